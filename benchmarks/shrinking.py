"""What `antialias` costs where a turned grid shrinks an image, and what it gains.

The grids turn by 20 degrees; making them from theta is included. "points" reads one point for each
pixel, bilinearly, and "averages" the mean of as many points along each axis as the grid shrinks by.
The error is the root of the mean squared difference to the mean of 16 x 16 points, divided by that
of "points".
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import stn_jax
from benchmarks import jax_samplers, report, timing, workloads
from benchmarks.report import Record
from benchmarks.settings import Settings
from benchmarks.workloads import Workload
from stn_jax.functional import average_pool

TITLE = "Shrinking"
SHAPES = (Workload(1, 512, 512, 3), Workload(16, 128, 128, 3))
SHORT_SHAPES = (Workload(2, 24, 24, 2),)
KINDS = ("forward", "both")


def measure(settings: Settings, earlier: dict[str, list[Record]]) -> list[Record]:
    """Returns a record for each workload, shrinkage, kind and way of reading."""
    del earlier
    records = []
    for workload in SHORT_SHAPES if settings.short else SHAPES:
        for shrink in (2, 4):
            records += _measure(settings, workload, shrink)
        settings.say(f"{workload}: done")
    return records


def _measure(settings: Settings, workload: Workload, shrink: int) -> list[Record]:
    size = round(0.7 * workload.height / shrink)

    def read(images, thetas, each=1, levels=0):
        """Reads `each` x `each` points for each pixel."""

        def one(image, theta):
            grid = stn_jax.affine_grid(theta, (size * each, size * each))
            return stn_jax.sample(image, grid, antialias=levels)

        return average_pool(jax.vmap(one)(images, thetas), each)

    levels = round(math.log2(shrink))
    ways: dict[str, Callable] = {
        "points": read,
        f"antialias={levels}": functools.partial(read, levels=levels),
        "antialias=True": functools.partial(read, levels=True),
        "averages": functools.partial(read, each=shrink),
    }
    images, cotangents = workloads.random_images(workload)
    images = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2)) / 3  # not all noise
    cos, sin = 0.7 * np.cos(np.pi / 9), 0.7 * np.sin(np.pi / 9)
    theta = np.array([[cos, -sin, 0], [sin, cos, 0]], np.float32)
    inputs = jax.tree.map(
        jnp.asarray, (images, np.tile(theta, (len(images), 1, 1)), cotangents[:, :size, :size])
    )
    exact = jax.jit(functools.partial(read, each=16))(*inputs[:2])
    programs = {who: jax_samplers.make_sampler(way).programs for who, way in ways.items()}
    errors = {
        who: float(jnp.sqrt(jnp.mean((kinds["forward"](*inputs)["values"] - exact) ** 2)))
        for who, kinds in programs.items()
    }
    records = []
    for kind in KINDS:
        runs = {who: functools.partial(kinds[kind], *inputs) for who, kinds in programs.items()}
        times = timing.alternating(runs, repeats=settings.repeats, budget=settings.budget / 2)
        about = {"workload": str(workload), "shrink": shrink, "kind": kind}
        records += [
            {**about, **record, "error": errors[record["who"]] / errors["points"]}
            for record in timing.compared(times, "points")
        ]
    return records


def markdown(records: Sequence[Record]) -> str:
    """Returns a table with the time and the error of each way, relative to those of "points"."""
    rows = [
        [
            *(record[key] for key in ("workload", "shrink", "kind", "who")),
            report.milliseconds(record["seconds"]),
            report.times(record["ratio"]),
            f"{record['error']:.3f}",
        ]
        for record in records
    ]
    head = ["B x H x W x C", "shrinks by", "kind", "way", "ms", "time / points", "error / points"]
    return report.table(head, rows)
