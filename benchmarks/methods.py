"""Nearest, bilinear and bicubic sampling under each padding against torch, for 1 to 64 channels.

A cell is torch's time divided by ours. Images are square; rows of batch 1 and of larger batches
have up to 16 and 4 million numbers. "gradient to points" and "both" include the forward pass.
There is no column for the gradient with respect to the image alone: torch takes as long for it as
for both. "nearest" has no gradient with respect to the points.
"""

from collections.abc import Sequence

import jax

import stn_jax
from benchmarks import comparisons, jax_samplers, report, workloads
from benchmarks.peers import have
from benchmarks.report import Record
from benchmarks.settings import METHODS, Settings

TITLE = "Methods and paddings"
PADDINGS = ("zeros", "border", "reflection")
KINDS = ("forward", "gradient to points", "both")
_KEYS = ("method", "padding", "workload")


def measure(settings: Settings, earlier: dict[str, list[Record]]) -> list[Record]:
    """Returns a record for each workload, method, padding, kind and library.

    Only the methods and channels of `settings` are measured; for others, earlier records are kept.
    """
    shapes = workloads.SHORT_WORKLOADS if settings.short else workloads.METHOD_WORKLOADS
    chosen = [shape for shape in shapes if settings.short or shape.channels in settings.channels]
    names = {str(shape) for shape in chosen}
    records = [
        record
        for record in earlier.get("methods", ())
        if record["workload"] not in names or record["method"] not in settings.methods
    ]
    for shape in chosen:
        images, cotangents = workloads.random_images(shape)
        arrays = images, workloads.random_grids(shape), cotangents
        for method in settings.methods:
            for padding in PADDINGS:
                about = {"workload": str(shape), "method": method, "padding": padding}
                samplers = _samplers(method, padding)
                kinds = [k for k in KINDS if (method, k) != ("nearest", "gradient to points")]
                records += comparisons.measure(settings, about, arrays, samplers, kinds)
    order = [str(shape) for shape in shapes]
    return sorted(
        records,
        key=lambda record: (METHODS.index(record["method"]), order.index(record["workload"])),
    )


def _samplers(method, padding) -> dict[str, jax_samplers.Sampler]:
    def ours(image, grid):
        return stn_jax.sample(image, grid, method=method, padding=padding)

    samplers = {"ours": jax_samplers.make_sampler(jax.vmap(ours))}
    if have("torch"):
        from benchmarks import torch_samplers

        samplers["torch"] = torch_samplers.make_sampler(
            lambda images, grids: torch_samplers.grid_sample(images, grids, method, padding)
        )
    return samplers


def markdown(records: Sequence[Record]) -> str:
    """Returns a summary, the cases in which torch is faster, and a table for each method."""
    texts = [comparisons.summary(records, "method", "padding"), comparisons.misses(records, *_KEYS)]
    for method in METHODS:
        mine = [record for record in records if record["method"] == method]
        if mine:
            texts += [f"### {method.capitalize()}: torch / ours", _table(mine)]
    return "\n\n".join(texts)


def _table(records: Sequence[Record]) -> str:
    columns = [
        (kind, padding)
        for kind in dict.fromkeys(record["kind"] for record in records)
        for padding in dict.fromkeys(record["padding"] for record in records)
    ]
    cells: dict[str, dict] = {}
    for record in records:
        row = cells.setdefault(record["workload"], {})
        if record["who"] == "torch":
            row[record["kind"], record["padding"]] = f"{record['ratio'][1]:.2f}"
    rows = ([shape, *(row.get(column, "-") for column in columns)] for shape, row in cells.items())
    return report.table(["B x H x W x C", *map(", ".join, columns)], rows)
