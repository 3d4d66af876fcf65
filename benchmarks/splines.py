"""Cubic B-splines of images and volumes against SciPy and torch-interpol.

With the prefilter, the coefficients are computed from the image each time, and so is their
gradient. The padding is reflection; the grids are those of the other parts. SciPy has no gradients,
and runs on one core.
"""

from collections.abc import Sequence

import jax

import stn_jax
from benchmarks import comparisons, jax_samplers, report, scipy_samplers, workloads
from benchmarks.peers import have
from benchmarks.report import Record
from benchmarks.settings import Settings
from benchmarks.workloads import Workload
from stn_jax.sampling import spline_coefficients

TITLE = "Cubic B-splines"
SHAPES = ((1, 512, 512, 1), (1, 512, 512, 3), (1, 64, 64, 64, 1))
SHORT_SHAPES = ((2, 9, 8, 2), (1, 5, 6, 7, 1))
KINDS = ("forward", "gradient to points", "both")


def measure(settings: Settings, earlier: dict[str, list[Record]]) -> list[Record]:
    """Returns a record for each shape, with and without prefilter, kind and library."""
    del earlier
    records = []
    for shape in SHORT_SHAPES if settings.short else SHAPES:
        if len(shape) == 4:
            images, cotangents = workloads.random_images(Workload(*shape))
            arrays = images, workloads.random_grids(Workload(*shape)), cotangents
        else:
            arrays = workloads.random_volumes(shape)
        for prefilter in (False, True):
            about = {
                "workload": "x".join(map(str, shape)),
                "prefilter": "with prefilter" if prefilter else "without prefilter",
            }
            samplers = _samplers(prefilter)
            records += comparisons.measure(settings, about, arrays, samplers, KINDS)
    return records


def _samplers(prefilter: bool) -> dict[str, jax_samplers.Sampler]:
    def ours(image, grid):
        if prefilter:
            image = spline_coefficients(image, 3, padding="reflection")
        return stn_jax.sample(image, grid, method="bspline3", padding="reflection")

    samplers = {
        "ours": jax_samplers.make_sampler(jax.vmap(ours)),
        "SciPy": scipy_samplers.make_sampler(order=3, mode="reflect", prefilter=prefilter),
    }
    if have("torch") and have("torch-interpol"):
        from benchmarks import torch_samplers

        samplers["torch-interpol"] = torch_samplers.make_spline_sampler(prefilter)
    return samplers


def markdown(records: Sequence[Record]) -> str:
    """Returns a summary, the cases in which a peer is faster, and a table."""
    keys = {"workload": "B x (D x) H x W x C", "prefilter": "coefficients", "kind": "kind"}
    return "\n\n".join(
        [
            comparisons.summary(records, "prefilter"),
            comparisons.misses(records, "workload", "prefilter"),
            report.comparison(records, keys),
        ]
    )
