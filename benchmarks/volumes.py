"""Linear sampling of volumes against torch, `jax.scipy.ndimage` and SciPy.

The grids are rotations by up to 30 degrees about each axis with scales of 0.8 to 1.2, made
beforehand; the padding is zeros. SciPy has no gradients, and runs on one core.
"""

from collections.abc import Sequence

import jax

import stn_jax
from benchmarks import comparisons, jax_samplers, report, scipy_samplers, workloads
from benchmarks.peers import have
from benchmarks.report import Record
from benchmarks.settings import Settings

TITLE = "Volumes"
SHAPES = ((1, 96, 96, 96, 1), (1, 96, 96, 96, 8), (1, 160, 192, 224, 1))
SHORT_SHAPES = ((2, 5, 6, 7, 2),)
KINDS = ("forward", "gradient to points", "both")


def measure(settings: Settings, earlier: dict[str, list[Record]]) -> list[Record]:
    """Returns a record for each shape, kind and library."""
    del earlier
    samplers = {
        "ours": jax_samplers.make_sampler(jax.vmap(stn_jax.sample)),
        "jax.scipy": jax_samplers.make_sampler(jax.vmap(jax_samplers.by_map_coordinates)),
        "SciPy": scipy_samplers.make_sampler(order=1, mode="grid-constant"),
    }
    if have("torch"):
        from benchmarks import torch_samplers

        samplers["torch"] = torch_samplers.make_sampler(torch_samplers.grid_sample)
    records = []
    for shape in SHORT_SHAPES if settings.short else SHAPES:
        arrays = workloads.random_volumes(shape)
        about = {"workload": "x".join(map(str, shape))}
        records += comparisons.measure(settings, about, arrays, samplers, KINDS)
    return records


def markdown(records: Sequence[Record]) -> str:
    """Returns a summary, the cases in which a peer is faster, and a table."""
    return "\n\n".join(
        [
            comparisons.summary(records),
            comparisons.misses(records, "workload"),
            report.comparison(records, {"workload": "B x D x H x W x C", "kind": "kind"}),
        ]
    )
