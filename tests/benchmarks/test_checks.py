"""Wrong results are found in every part of the benchmarks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax
from benchmarks import jax_samplers, sampler, workloads
from benchmarks.checks import WrongResult, check_agreement
from benchmarks.settings import Settings

WORKLOAD = workloads.SHORT_WORKLOADS[0]


@pytest.mark.parametrize("wrong", [[1.0, 2.1], [1.0, np.nan], [1.0, 2.0, 3.0], [[1.0], [2.0]]])
def test_another_value_or_shape_is_a_wrong_result(wrong):
    right = {"values": np.array([1.0, 2.0])}
    check_agreement("peer", right, {"values": right["values"] + 1e-4}, {"values": 1e-3})
    with pytest.raises(WrongResult, match="peer: values"):
        check_agreement("peer", right, {"values": np.array(wrong)}, {"values": 1e-3})


def shifted(images, grids):
    """Samples with an error of a hundredth of a pixel."""
    return jax.vmap(stn_jax.sample)(images, grids + 0.02 / WORKLOAD.width)


def without_gradient(images, grids):
    return jax.vmap(stn_jax.sample)(images, jax.lax.stop_gradient(grids))


@pytest.mark.parametrize(
    ("function", "what"), [(shifted, "forward: values"), (without_gradient, "points: points")]
)
def test_the_sampler_part_refuses_a_sampler_that_is_slightly_wrong(monkeypatch, function, what):
    samplers = {"ours": jax_samplers.make_samplers()["ours"]}
    samplers["wrong"] = jax_samplers.make_sampler(function)
    monkeypatch.setattr(jax_samplers, "make_samplers", lambda: dict(samplers))
    monkeypatch.setattr(sampler, "have", lambda name: False)
    with pytest.raises(WrongResult, match=f"wrong on {WORKLOAD}.*{what}"):
        sampler.measure(Settings(short=True), {})


def test_a_peer_without_trust_is_left_out_where_it_is_wrong(monkeypatch):
    samplers = {"ours": jax_samplers.make_samplers()["ours"]}
    samplers["wrong"] = jax_samplers.make_sampler(without_gradient)._replace(trusted=False)
    monkeypatch.setattr(jax_samplers, "make_samplers", lambda: dict(samplers))
    monkeypatch.setattr(sampler, "have", lambda name: False)
    monkeypatch.setattr(sampler, "FAMILIES", ())
    records = sampler.measure(Settings(short=True), {})
    kinds = [record["kind"] for record in records if record["who"] == "wrong"]
    assert kinds == ["forward", "gradient to image"]
    forward, both = sampler.markdown(records).split("### Both")
    assert "wrong / ours" in forward and "wrong / ours" not in both


def test_only_points_near_the_border_and_on_whole_pixels_are_left_out():
    width = WORKLOAD.width
    in_pixels = jnp.array([-2.0, -0.5, 0.5, 2.0, width - 1.5, width - 0.5, width + 1.0])
    x = (2 * in_pixels + 1) / width - 1
    y = jnp.full_like(x, (2 * 1.25 + 1) / WORKLOAD.height - 1)
    grids = np.stack([x, y], -1)[None, None]
    far = sampler._far_from_border(WORKLOAD, grids)[0, 0]
    assert far.tolist() == [True, False, True, True, True, False, True]
    off = sampler._far_from_kinks(WORKLOAD, grids)[0, 0, :, 0]
    assert off.tolist() == [False, True, True, False, True, True, False]
