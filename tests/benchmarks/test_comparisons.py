"""Parts that compare samplers: wrong results are found, and earlier results are kept."""

import functools

import jax
import numpy as np
import pytest

import stn_jax
from benchmarks import comparisons, jax_samplers, methods, workloads
from benchmarks.checks import WrongResult
from benchmarks.settings import METHODS, Settings


def make(function):
    return jax_samplers.make_sampler(jax.vmap(function))


@pytest.mark.parametrize("shape", [(2, 7, 9, 3), (1, 4, 5, 6, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_a_sampler_that_is_slightly_wrong_is_refused(method, shape):
    sample = functools.partial(stn_jax.sample, method=method)
    if len(shape) == 4:
        workload = workloads.Workload(*shape)
        images, cotangents = workloads.random_images(workload)
        arrays = images, workloads.random_grids(workload), cotangents
    else:
        arrays = workloads.random_volumes(shape)
    others = {
        "right": make(sample),
        "shifted": make(lambda image, grid: sample(image, grid + 0.02)),
    }
    wrong = "shifted on here, both: "
    with pytest.raises(WrongResult, match=wrong):
        comparisons.measure(
            Settings(short=True),
            {"where": "here"},
            arrays,
            {"ours": make(sample)} | others,
            ["both"],
        )


def test_results_of_methods_that_are_not_measured_are_kept(monkeypatch):
    monkeypatch.setattr(methods, "have", lambda name: False)
    monkeypatch.setattr(methods, "PADDINGS", ("zeros",))
    first = methods.measure(Settings(short=True, methods=("bilinear",)), {})
    both = methods.measure(Settings(short=True, methods=("nearest",)), {"methods": first})
    assert [r for r in both if r["method"] == "bilinear"] == first
    assert {r["method"] for r in both} == {"nearest", "bilinear"}
    again = methods.measure(Settings(short=True, methods=("nearest",)), {"methods": both})
    assert len(again) == len(both)


def test_a_peer_that_is_faster_is_named():
    records = [
        {"workload": "1x2x2x1", "kind": "forward", "who": who, "ratio": [ratio] * 3}
        for who, ratio in (("ours", 1.0), ("a", 0.9), ("b", 0.5), ("c", 2.0))
    ]
    lines = comparisons.misses(records, "workload").splitlines()[2:]
    assert lines == [
        "- 0.50 (0.50..0.50) b: 1x2x2x1, forward",
        "- 0.90 (0.90..0.90) a: 1x2x2x1, forward",
    ]
    assert "| c | 1 of 1 | 2.00 | 2.00 | 2.00 |" in comparisons.summary(records)


def test_no_workload_of_methods_is_too_large():
    sizes = [np.prod(shape[:4]) for shape in workloads.METHOD_WORKLOADS]
    assert max(sizes) == 2**24
