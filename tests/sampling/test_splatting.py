"""Tests the transpose of the sampler, and the mask of the points inside an image."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import inside, sample, splat
from tests import reference


@pytest.mark.parametrize("sizes", [(6,), (4, 5), (3, 4, 5)])
@pytest.mark.parametrize(("method", "padding", "align_corners"), reference.OPTIONS[::3])
def test_it_is_the_transpose_of_sample(method, padding, align_corners, sizes):
    rng = np.random.default_rng(0)
    options = dict(method=method, padding=padding, align_corners=align_corners)
    image = rng.normal(size=(*sizes, 2)).astype(np.float32)
    grid = rng.uniform(-1.5, 1.5, (3, 7, len(sizes))).astype(np.float32)
    values = rng.normal(size=(3, 7, 2)).astype(np.float32)
    added = jax.jit(lambda *args: splat(*args, sizes, **options))(values, grid)
    (expected,) = jax.vjp(lambda image: sample(image, grid, **options), image)[1](values)
    chex.assert_trees_all_close(added, expected, atol=1e-5)
    alone = sum(
        splat(v[None], g[None], sizes, **options) for v, g in zip(values[0], grid[0], strict=False)
    )
    chex.assert_trees_all_close(alone, splat(values[0], grid[0], sizes, **options), atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_its_gradients_are_finite_differences(method):
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        values, weights = rng.normal(size=(6, 2)), rng.normal(size=(4, 5, 2))
        grid = reference.grids_off_kinks(rng, (4, 5), False, (6,), reach=1)

        def loss(values, grid):
            return jnp.vdot(weights, jnp.sin(splat(values, grid, (4, 5), method=method)))

        gradients = jax.jit(jax.grad(loss, (0, 1)))(values, grid)
        for i, (gradient, argument) in enumerate(zip(gradients, (values, grid), strict=True)):
            direction = rng.normal(size=argument.shape)
            arguments = [values, grid]
            ends = []
            for step in (-1e-6, 1e-6):
                arguments[i] = argument + step * direction
                ends.append(loss(*arguments))
            slope = (ends[1] - ends[0]) / 2e-6
            np.testing.assert_allclose(np.vdot(gradient, direction), slope, rtol=1e-6)


def test_batches_share_or_have_their_own_points():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(3, 8, 2)).astype(np.float32)
    grids = rng.uniform(-1, 1, (3, 8, 2)).astype(np.float32)
    one = functools.partial(splat, shape=(4, 5))
    for axes in ((0, 0), (0, None), (None, 0)):
        value_axis, grid_axis = axes
        operands = values[: 3 if value_axis == 0 else 1], grids[: 3 if grid_axis == 0 else 1]
        pairs = zip(*(np.broadcast_to(x, (3, 8, 2)) for x in operands), strict=True)
        expected = [one(*pair) for pair in pairs]
        operands = [x if axis == 0 else x[0] for x, axis in zip(operands, axes, strict=True)]
        chex.assert_trees_all_close(jax.vmap(one, axes)(*operands), jnp.stack(expected), atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_point_is_inside_up_to_the_border(align_corners):
    sizes = (3, 5)
    edge = 0.0 if align_corners else 0.5
    grid = np.array([[4 + edge, 1], [4.01 + edge, 1], [-edge, -edge], [1, 2.1 + edge], [np.nan, 1]])
    options = dict(align_corners=align_corners)
    expected = [True, False, True, False, False]
    assert inside(grid, sizes, coordinates="pixels", **options).tolist() == expected
    spans = np.array(sizes[::-1]) - (1 if align_corners else 0)
    normalised = 2 * (grid + edge) / spans - 1
    assert inside(np.round(normalised, 6), sizes, **options).tolist() == expected


def test_what_cannot_be_used_is_named():
    values, grid = np.ones((3, 2)), np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"alike but for their last axis.*\(2, 2\) and \(3, 2\)"):
        splat(values[:2], grid, (4, 5))
    with pytest.raises(ValueError, match=r"\(\.\.\., 3\)"):
        splat(values, grid, (4, 5, 6))
    with pytest.raises(ValueError, match="floating-point, got int"):
        splat(values.astype(int), grid, (4, 5))
    with pytest.raises(ValueError, match="method must be one of"):
        splat(values, grid, (4, 5), method="quadratic")
    for shape in (5, (4.0, 5.0), (-4, 5)):
        with pytest.raises(ValueError, match="shape must be positive integers"):
            splat(values, grid, shape)
    with pytest.raises(ValueError, match="too large"):
        splat(values, grid, (2**17, 2**16))
    numbers = splat(values, grid, tuple(np.array([4, 5])))
    chex.assert_trees_all_equal(numbers, splat(values, grid, (4, 5)))
    with pytest.raises(ValueError, match="coordinates must be one of"):
        inside(grid, (4, 5), coordinates="metres")
