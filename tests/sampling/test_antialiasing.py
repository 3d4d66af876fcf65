"""Tests anti-aliased sampling against averages over many points."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import affine_grid, sample, spatial_transform

NOISE = np.random.default_rng(0).uniform(size=(96, 96, 2)).astype(np.float32)
SMOOTH = (NOISE + np.roll(NOISE, 1, 0) + np.roll(NOISE, 1, 1) + np.roll(NOISE, (1, 1), (0, 1))) / 4


def turned(degrees, scale=0.7):
    cos, sin = (scale * f(math.radians(degrees)) for f in (math.cos, math.sin))
    return jnp.array([[cos, -sin, 0.02], [sin, cos, -0.03]])


@pytest.mark.parametrize("shrink", [2, 4, 8])
@pytest.mark.parametrize("degrees", [20, 40])
@pytest.mark.parametrize(("image", "align_corners"), [(NOISE, False), (SMOOTH, True)])
def test_the_error_is_a_fifth_of_that_of_points(shrink, degrees, image, align_corners):
    size = round(0.7 * len(image) / shrink)
    options = dict(padding="border", align_corners=False)
    fine = affine_grid(turned(degrees), (16 * size, 16 * size))
    exact = sample(image, fine, **options).reshape(size, 16, size, 16, 2).mean((1, 3))
    if align_corners:  # the same points in other units
        options["align_corners"] = True
    unit = len(image) / (len(image) - 1) if align_corners else 1
    grid = unit * affine_grid(turned(degrees), (size, size))
    points, averages = (sample(image, grid, antialias=a, **options) for a in (False, True))
    errors = [float(jnp.sqrt(jnp.mean((x - exact) ** 2))) for x in (points, averages)]
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "wrap"])
def test_nothing_changes_where_the_grid_does_not_shrink(padding):
    grid = affine_grid(turned(30, 0.9), (96, 96))
    options = dict(padding=padding, fill=0.5)
    plain, averaged = jax.jit(
        lambda: [sample(NOISE, grid, antialias=a, **options) for a in (False, 2)]
    )()
    chex.assert_trees_all_close(averaged, plain, atol=2e-5)


def test_signals_and_grids_in_pixels():
    signal = NOISE[0]
    pixels = jnp.arange(1.5, 96, 4)[:, None]
    averaged = sample(signal, pixels, coordinates="pixels", antialias=2)
    # Level 2 of a signal: averages of two values of level 1 at a distance of 2.
    weights = np.array([-0.018, 0.23, 0.576, 0.23, -0.018])
    first = sum(weight * signal[i : 92 + i] for i, weight in enumerate(weights))
    second = (first[:-2] + first[2:]) / 2
    between = (second[1:] + second[:-1]) / 2
    chex.assert_trees_all_close(averaged[1:-1], between[2:-2:4][: len(averaged) - 2], atol=1e-5)


def test_gradients_are_finite_differences():
    with jax.enable_x64(True):
        image = NOISE[:24, :20].astype(float)
        theta = turned(20, 0.8).astype(float)
        weights = np.random.default_rng(1).normal(size=(7, 6, 2))

        @jax.jit
        def loss(theta, image):
            warped, _ = spatial_transform(
                image[None], theta[None], output_shape=(7, 6), padding="border", antialias=True
            )
            return jnp.vdot(weights, warped[0])

        gradients = jax.jit(jax.grad(loss, (0, 1)))(theta, image)
        direction = np.random.default_rng(2).normal(size=(2, 3))
        ends = [loss(theta + step * direction, image) for step in (-1e-6, 1e-6)]
        slope = (ends[1] - ends[0]) / 2e-6
        np.testing.assert_allclose(np.vdot(gradients[0], direction), slope, rtol=1e-5)
        chex.assert_trees_all_close(jnp.vdot(gradients[1], image), loss(theta, image), rtol=1e-9)


def test_points_that_are_no_place_have_no_gradient_and_their_neighbours_have_theirs():
    grid = np.array(affine_grid(turned(10, 0.9), (8, 9)))
    grid[3, 4] = np.nan, np.inf

    @jax.jit
    def loss(grid):
        return jnp.sum(jnp.sin(sample(NOISE, grid, antialias=True)))

    gradient = jax.grad(loss)(grid)
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[3, 4]) and np.all(gradient[3, [2, 6]])


@pytest.mark.parametrize("target", [(1, 1), (1, 5), (0, 4)])
def test_outputs_of_few_pixels(target):
    grid = affine_grid(turned(10), (max(target[0], 1), target[1]))[: target[0]]
    values = sample(NOISE, grid, antialias=True)
    assert values.shape == (*target, 2) and np.all(np.isfinite(values))


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ((5, 2), {}, r"\[H', W', 2\].*\(5, 2\)"),
        ((5, 5, 2), {"method": "cubic"}, "linear.*'cubic'"),
        ((5, 5, 2), {"antialias": 99}, r"0\.\.10, got 99"),
        ((5, 5, 2), {"antialias": 1.5}, r"0\.\.10, got 1\.5"),
    ],
)
def test_what_cannot_be_used_is_named(grid, options, message):
    with pytest.raises(ValueError, match=message):
        sample(NOISE, np.zeros(grid), **{"antialias": True, **options})
