"""Tests the options of the sampler: units, fill and the cubic kernel; and loose points."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from stn_jax import sample
from tests import reference


@pytest.mark.parametrize(("method", "padding", "align_corners"), reference.OPTIONS)
def test_pixels(method, padding, align_corners):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(5, 7, 2)).astype(np.float32)
    points = rng.uniform(-9, 13, (20, 2)).astype(np.float32)
    options = dict(method=method, padding=padding, align_corners=align_corners)
    ours = jax.jit(lambda *args: sample(*args, coordinates="pixels", **options))(image, points)
    expected = reference.grid_sample(image, points, *options.values(), in_pixels=True)
    chex.assert_trees_all_close(ours, expected.astype(np.float32), atol=1e-5)


@pytest.mark.parametrize("fill", [7.5, np.array([1.0, -2.0])])
@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "bspline2"])
def test_fill_is_what_an_image_with_a_wide_border_reads(method, fill):
    rng = np.random.default_rng(1)
    image = rng.normal(size=(4, 5, 2)).astype(np.float32)
    points = rng.uniform(-4, 8, (30, 2)).astype(np.float32)
    wide = np.full((24, 25, 2), fill, np.float32)
    wide[10:14, 10:15] = image
    read = functools.partial(sample, method=method, coordinates="pixels")

    def loss(image, points, function):
        values = function(image, points)
        return jnp.sum(jnp.sin(values)), values

    both = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True), static_argnums=2)
    ours = both(image, points, functools.partial(read, fill=fill))
    (expected, values), (by_image, by_points) = both(wide, points + 10, read)
    chex.assert_trees_all_close(
        ours, ((expected, values), (by_image[10:14, 10:15], by_points)), atol=1e-4
    )
    outside = sample(image, jnp.full((1, 2), np.nan), method=method, fill=fill)
    np.testing.assert_array_equal(outside, np.broadcast_to(np.float32(fill), (1, 2)))


def test_the_slope_of_the_cubic_kernel():
    rng = np.random.default_rng(2)
    image = rng.normal(size=(5, 6, 2)).astype(np.float32)
    grid = rng.uniform(-1.5, 1.5, (20, 2)).astype(np.float32)
    for cubic_a in (-0.5, 0.0, -1.0):
        ours = sample(image, grid, method="cubic", cubic_a=cubic_a)
        expected = reference.grid_sample(image, grid, "cubic", "zeros", False, cubic_a=cubic_a)
        chex.assert_trees_all_close(ours, expected.astype(np.float32), atol=1e-5)
    resized = jax.image.resize(image, (5, 12, 2), "cubic", antialias=False)
    x = (np.arange(12) + 0.5) / 2 - 0.5
    points = np.stack(np.meshgrid(x, np.arange(5.0)), axis=-1).astype(np.float32)
    ours = sample(image, points, method="cubic", cubic_a=-0.5, coordinates="pixels")
    # `jax.image` leaves out pixels outside of the image instead of padding them.
    chex.assert_trees_all_close(ours[:, 4:-4], resized[:, 4:-4], atol=1e-5)


@pytest.mark.parametrize("sizes", [(6,), (4, 5), (3, 4, 2)])
def test_a_grid_of_any_shape_is_points(sizes):
    rng = np.random.default_rng(3)
    image = rng.normal(size=(*sizes, 2)).astype(np.float32)
    points = rng.uniform(-1.2, 1.2, (12, len(sizes))).astype(np.float32)
    values = sample(image, points)
    assert values.shape == (12, 2)
    for shape in [(3, 4), (2, 1, 6), (1, 12, 1, 1)]:
        grid = points.reshape(*shape, len(sizes))
        chex.assert_trees_all_equal(sample(image, grid), values.reshape(*shape, 2))
    alone = sample(image, points[0])
    chex.assert_trees_all_close(alone, values[0], atol=1e-6)
    assert sample(image, points[:0]).shape == (0, 2)


@pytest.mark.parametrize("sizes", [(7,), (4, 5, 6)])
@pytest.mark.parametrize(("order", "method"), [(0, "nearest"), (1, "linear")])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("nearest", {"padding": "border"}),
        ("reflect", {"padding": "reflection"}),
        ("mirror", {"padding": "reflection", "align_corners": True}),
        ("grid-wrap", {"padding": "wrap"}),
        ("grid-constant", {"padding": "zeros", "fill": 2.5}),
    ],
)
def test_settings_that_equal_those_of_scipy(mode, options, order, method, sizes):
    with jax.enable_x64(True):
        rng = np.random.default_rng(4)
        image = rng.normal(size=sizes)
        points = rng.uniform(-5, 12, (40, len(sizes)))
        ours = sample(image[..., None], points, method=method, coordinates="pixels", **options)
        theirs = ndimage.map_coordinates(
            image, points[:, ::-1].T, order=order, mode=mode, cval=options.get("fill", 0.0)
        )
        chex.assert_trees_all_close(np.asarray(ours[:, 0]), theirs, atol=1e-12)
        if mode in ("nearest", "mirror"):
            jaxs = jax.scipy.ndimage.map_coordinates(image, points[:, ::-1].T, order, mode)
            chex.assert_trees_all_close(ours[:, 0], jaxs, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_large_fill_leaves_the_inside_as_it_is(antialias, dtype):
    image = jnp.full((24, 28, 1), 0.1, dtype)  # all averages are within it
    grid = jnp.stack(jnp.meshgrid(jnp.linspace(-0.2, 0.2, 4), jnp.linspace(-0.2, 0.2, 3)), -1)
    options = {} if antialias else {"method": "nearest"}
    inside, far = (
        sample(image, grid + shift, fill=1e6, antialias=antialias, **options) for shift in (0, 9)
    )
    expected = np.broadcast_to(image[0, 0], inside.shape)
    if antialias:  # whose averages are rounded
        np.testing.assert_allclose(inside, expected, rtol=1e-6)
    else:
        np.testing.assert_array_equal(inside, expected)
    np.testing.assert_allclose(far.astype(jnp.float32), 1e6, rtol=0.01)


@pytest.mark.parametrize("cubic_a", [-1, np.float32(-0.75), np.float64(-0.5), jnp.float32(-0.5)])
def test_the_slope_may_be_any_number(cubic_a):
    image, grid = np.ones((4, 5, 1), np.float32), np.zeros((2, 2), np.float32)
    read = functools.partial(sample, image, grid, method="cubic")
    with jax.numpy_dtype_promotion("strict"):
        chex.assert_trees_all_equal(read(cubic_a=cubic_a), read(cubic_a=float(cubic_a)))


def test_a_traced_or_infinite_slope_is_refused():
    def read(cubic_a):
        return sample(jnp.ones((4, 5, 1)), jnp.zeros((2, 2)), method="cubic", cubic_a=cubic_a)

    with pytest.raises(ValueError, match="cubic_a must be a number"):
        jax.jit(read)(-0.5)
    with pytest.raises(ValueError, match="cubic_a must be finite"):
        read(np.nan)
