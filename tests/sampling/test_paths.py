"""Tests that all paths compute the same, and which one a platform uses."""

import functools
import itertools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stn_jax.functional import spatial_transform
from stn_jax.sampling import (
    PADDINGS,
    paths,
    sample,
    sample_separable,
    sampling_path,
)
from stn_jax.transforms import make_family, translation_grid
from tests import reference

SHAPES = itertools.cycle(
    [
        (5, 7, 3),
        (1, 6, 1),
        (5, 6, 7),
        (9, 2),
        (3, 1, 2),
        (9, 4, 1),
        (2, 3, 4, 1),
        (2, 3, 4, 5),
        (7, 6),
    ]
)
CASES = [(*options, shape) for options, shape in zip(reference.OPTIONS, SHAPES, strict=False)]
OTHER_PATHS = sorted(paths.PATHS.keys() - {"separable"})


@pytest.mark.parametrize(("method", "padding", "align_corners", "shape"), CASES)
def test_all_paths_give_the_values_of_the_reference(method, padding, align_corners, shape):
    rng = np.random.default_rng(0)
    image = rng.normal(size=shape).astype(np.float32)
    grid = rng.uniform(-2.5, 2.5, (4, 3, len(shape) - 1)).astype(np.float32)
    grid[0, 0], grid[0, 1] = np.nan, -1e30
    grid[0, 0, -1], grid[0, 1, -1] = np.inf, 1e30
    expected = reference.grid_sample(image, grid[1:], method, padding, align_corners)
    options = dict(method=method, padding=padding, align_corners=align_corners)
    plain = sample(image, grid, **options)
    for path in OTHER_PATHS:
        with sampling_path(path):
            actual = sample(image, grid, **options)
        np.testing.assert_allclose(actual[1:], expected, atol=1e-5)
        np.testing.assert_allclose(actual, plain, atol=1e-5)


def derivatives(batched, image, grid):
    """Returns values, forward-mode derivatives, gradients and products with the Hessian."""

    def loss(image, grid):
        return jnp.sum(jnp.sin(batched(image, grid)))

    gradients = jax.grad(loss, (0, 1))
    dots = jnp.cos(image), jnp.sin(grid)
    return jax.jvp(batched, (image, grid), dots), jax.jvp(gradients, (image, grid), dots)


@pytest.mark.parametrize("path", OTHER_PATHS)
@pytest.mark.parametrize(
    ("method", "padding", "align_corners", "channels"),
    [
        ("bilinear", "reflection", False, 2),
        ("bicubic", "border", True, 6),
        ("linear", "wrap", False, 5),
        ("bspline3", "reflection", True, 2),
    ],
)
def test_all_paths_have_the_derivatives_of_the_kernels(
    path, method, padding, align_corners, channels
):
    rng = np.random.default_rng(1)
    grid = reference.grids_off_kinks(rng, (5, 4), align_corners).astype(np.float32)
    image = rng.normal(size=(*grid.shape[:1], 5, 4, channels)).astype(np.float32)
    options = dict(method=method, padding=padding, align_corners=align_corners)

    def all_derivatives(image, grid):
        return derivatives(jax.vmap(functools.partial(sample, **options)), image, grid)

    expected = jax.jit(all_derivatives)(image, grid)
    with sampling_path(path):
        actual = jax.jit(all_derivatives)(image, grid)
    for ours, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1, np.max(np.abs(theirs))))


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_an_image_that_many_grids_share(path):
    rng = np.random.default_rng(2)
    image = rng.normal(size=(5, 4, 2)).astype(np.float32)
    grids = rng.uniform(-1.2, 1.2, (3, 4, 6, 2)).astype(np.float32)

    def gradients(image, grids):
        crops = jax.vmap(sample, (None, 0))
        return jax.grad(lambda *args: jnp.sum(jnp.sin(crops(*args))), (0, 1))(image, grids)

    expected = gradients(image, grids)
    with sampling_path(path):
        chex.assert_trees_all_close(gradients(image, grids), expected, atol=1e-5)


@pytest.mark.parametrize("path", OTHER_PATHS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32(path, dtype):
    rng = np.random.default_rng(3)
    image = rng.normal(size=(6, 5, 2)).astype(dtype)
    # All points are in one pixel's reach: its gradient is a sum of many numbers.
    grid = rng.uniform(0.0, 0.1, (30, 30, 2)).astype(np.float32)
    values = rng.uniform(size=(30, 30, 2)).astype(dtype)
    with sampling_path(path):
        actual, back = jax.vjp(lambda image: sample(image, grid), image)
        (gradient,) = back(jnp.asarray(values))
    expected, back = jax.vjp(lambda image: sample(image, grid), image.astype(np.float32))
    (exact,) = back(jnp.asarray(values, jnp.float32))
    unit = jnp.finfo(dtype).eps
    assert actual.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(actual.astype(jnp.float32), expected, rtol=unit, atol=unit / 8)
    np.testing.assert_allclose(gradient.astype(jnp.float32), exact, rtol=unit, atol=unit / 8)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("family", "method"), [("attention", "bilinear"), ("translation", "bicubic")]
)
def test_separable_grids(family, method, padding):
    rng = np.random.default_rng(4)
    images = rng.normal(size=(3, 7, 6, 2)).astype(np.float32)
    params = rng.normal(size=(3, make_family(family).num_params)).astype(np.float32)

    def loss(images, params):
        options = dict(method=method, padding=padding, output_shape=(4, 5))
        warped, _ = spatial_transform(images, params, family, **options)
        return jnp.sum(jnp.sin(warped)), warped

    both = jax.value_and_grad(loss, (0, 1), has_aux=True)
    expected = jax.jit(both)(images, params)
    with sampling_path("separable"):
        actual = jax.jit(both)(images, params)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_separable_grids_that_share_an_image():
    image = np.random.default_rng(6).normal(size=(7, 6, 2)).astype(np.float32)
    thetas = np.array([[0.5, 0.1], [0.2, -0.4], [-0.3, 0.0]], np.float32)

    def warp(theta):
        return sample_separable(image, translation_grid(theta, (4, 5)))

    expected = jnp.stack([warp(theta) for theta in thetas])
    with sampling_path("separable"):
        chex.assert_trees_all_close(jax.vmap(warp)(thetas), expected, atol=1e-5)


def test_an_empty_separable_grid():
    assert sample_separable(jnp.ones((3, 4, 2)), jnp.zeros((0, 5, 2))).shape == (0, 5, 2)


def operations(function, *shapes, platform):
    """Counts the operations of a program's gradients for a platform."""
    operands = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]

    def gradients(*operands):
        return jax.grad(lambda *args: jnp.sum(jnp.sin(function(*args))), (0, 1))(*operands)

    text = jax.jit(gradients).trace(*operands).lower(lowering_platforms=(platform,)).as_text()
    return set(re.findall(r"stablehlo\.(gather|scatter|dot_general|custom_call)", text))


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
def test_a_tpu_multiplies_small_images_and_gathers_from_large_ones(method):
    read = jax.vmap(functools.partial(sample, method=method))
    small = operations(read, (8, 42, 42, 1), (8, 42, 42, 2), platform="tpu")
    assert small == {"dot_general"}
    large = operations(read, (1, 500, 500, 64), (1, 500, 500, 2), platform="tpu")
    assert large == {"gather", "scatter"}


@pytest.mark.parametrize("platform", ["cuda", "rocm"])
def test_a_gpu_gathers(platform):
    for channels in (1, 3):
        shapes = (8, 42, 42, channels), (8, 42, 42, 2)
        assert operations(jax.vmap(sample), *shapes, platform=platform) == {"gather", "scatter"}


@pytest.mark.parametrize("platform", ["tpu", "cuda", "rocm"])
@pytest.mark.parametrize(("family", "size"), [("attention", 42), ("translation", 300)])
def test_accelerators_multiply_twice_for_separable_grids(family, size, platform):
    def warp(images, params):
        return spatial_transform(images, params, family)[0]

    shapes = (8, size, size, 1), (8, make_family(family).num_params)
    assert operations(warp, *shapes, platform=platform) == {"dot_general"}


def test_an_unknown_path_is_refused():
    with pytest.raises(ValueError, match=r"path must be one of .*'products'.*got 'cuda'"):
        sampling_path("cuda")


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_training_with_another_path_gives_the_same_network(path):
    rng = np.random.default_rng(5)
    images = rng.normal(size=(16, 8, 8, 1)).astype(np.float32)
    labels = rng.normal(size=(16, 6, 6)).astype(np.float32)
    adam = optax.adam(1e-2)

    def loss(theta):
        warped, _ = spatial_transform(images, theta, "affine", output_shape=(6, 6))
        return jnp.mean((warped[..., 0] - labels) ** 2)

    @jax.jit
    def train(theta):
        def step(_, state):
            theta, moments = state
            updates, moments = adam.update(jax.grad(loss)(theta), moments)
            return optax.apply_updates(theta, updates), moments

        return jax.lax.fori_loop(0, 100, step, (theta, adam.init(theta)))[0]

    theta = jnp.tile(jnp.eye(2, 3), (16, 1, 1))
    expected = train(theta)
    assert jnp.max(jnp.abs(expected - theta)) > 0.1
    with sampling_path(path):
        chex.assert_trees_all_close(train(theta), expected, atol=1e-3)
