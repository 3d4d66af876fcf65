import functools
import itertools

import chex
import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import METHODS, PADDINGS, sample
from stn_jax.transforms import affine_grid, regular_grid
from tests import reference, torch_values

SHAPES = [(5, 7, 3), (1, 6, 1), (3, 1, 2), (1, 1, 1), (6, 2), (1, 1), (3, 4, 2, 1), (1, 1, 2, 3)]
PLANE = SHAPES[:4]


def to_normalised(pixels, size, align_corners):
    """Returns the coordinate of a position in pixels.

    It is exact if the size is a power of two, or that plus 1 with `align_corners`.
    """
    pixels = np.asarray(pixels, np.float64)
    return 2 * pixels / (size - 1) - 1 if align_corners else (2 * pixels + 1) / size - 1


def random_grid(rng, ndim=2, reach=2.5):
    return rng.uniform(-reach, reach, (6, 5, ndim)).astype(np.float32)


CASES = [
    *((*options, shape) for options, shape in zip(reference.OPTIONS, itertools.cycle(PLANE))),
    *((*options, shape) for options, shape in zip(reference.OPTIONS, itertools.cycle(SHAPES[4:]))),
]


@pytest.mark.parametrize(("method", "padding", "align_corners", "shape"), CASES)
def test_agrees_with_the_reference(method, padding, align_corners, shape):
    rng = np.random.default_rng(0)
    image = rng.normal(size=shape).astype(np.float32)
    grid = random_grid(rng, len(shape) - 1)
    options = dict(method=method, padding=padding, align_corners=align_corners)
    ours = jax.jit(lambda i, g: sample(i, g, **options))(image, grid)
    expected = reference.grid_sample(image, grid, method, padding, align_corners)
    chex.assert_trees_all_close(ours, expected.astype(np.float32), atol=1e-5)


@pytest.mark.parametrize(("method", "padding", "align_corners"), torch_values.OPTIONS)
def test_whole_and_half_pixels(method, padding, align_corners):
    image, grid = torch_values.edge_inputs(align_corners)
    ours = sample(image, grid, method=method, padding=padding, align_corners=align_corners)
    expected = reference.grid_sample(image, grid, method, padding, align_corners)
    chex.assert_trees_all_close(ours, expected.astype(np.float32), atol=1e-5)


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    data=st.data(), options=st.sampled_from(reference.OPTIONS), shape=st.sampled_from(PLANE)
)
def test_any_coordinates_give_values_of_the_reference(data, options, shape):
    method, padding, align_corners = options
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8
    # Steps of 1/64 are exact, but with sizes such as 7 the positions in pixels are not.
    steps = st.integers(-1024, 1024).map(lambda n: n / 64)
    grid = data.draw(hypothesis.extra.numpy.arrays(np.float32, (2, 3, 2), elements=steps))
    ours = sample(image, grid, method=method, padding=padding, align_corners=align_corners)
    expected = reference.grid_sample(image, grid, method, padding, align_corners)
    chex.assert_trees_all_close(ours, expected.astype(np.float32), atol=2e-4)


@pytest.mark.parametrize(
    ("method", "padding", "align_corners"),
    [options for options in reference.OPTIONS if not options[0].startswith("bspline")],
)
def test_the_regular_grid_reproduces_the_image(method, padding, align_corners):
    image = np.random.default_rng(2).uniform(size=(6, 9, 3)).astype(np.float32)
    grid = regular_grid((6, 9), align_corners=align_corners)
    ours = sample(image, grid, method=method, padding=padding, align_corners=align_corners)
    chex.assert_trees_all_close(ours, image, atol=2e-6)


class TransformationsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_vmap_is_a_loop(self):
        rng = np.random.default_rng(3)
        images = rng.normal(size=(3, 5, 4, 2)).astype(np.float32)
        grids = rng.uniform(-1.5, 1.5, (3, 2, 3, 2)).astype(np.float32)
        batched = self.variant(jax.vmap(sample))(images, grids)
        loop = jnp.stack([sample(i, g) for i, g in zip(images, grids, strict=True)])
        chex.assert_shape(batched, (3, 2, 3, 2))
        chex.assert_trees_all_close(batched, loop, atol=1e-6)


def interior_grid(shape, align_corners, seed=0):
    """Returns points in and out of the image, at least 0.1 pixels from any kink of the kernels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(-3, 8, (4, 3, 2)) + rng.choice([0.0, 0.5], (4, 3, 2))
    pixels += rng.uniform(0.1, 0.4, pixels.shape)
    x = to_normalised(pixels[..., 0], shape[1], align_corners)
    y = to_normalised(pixels[..., 1], shape[0], align_corners)
    return np.stack([x, y], axis=-1)


def finite_difference(function, argument, step=1e-6):
    steps = step * np.eye(argument.size).reshape(-1, *argument.shape)
    batched = jax.jit(jax.vmap(function))
    slopes = (batched(argument + steps) - batched(argument - steps)) / (2 * step)
    return np.asarray(slopes).reshape(argument.shape)


@pytest.mark.parametrize(("method", "padding", "align_corners"), reference.OPTIONS)
def test_gradients_are_finite_differences(method, padding, align_corners):
    with jax.enable_x64(True):
        rng = np.random.default_rng(4)
        image, grid = rng.normal(size=(4, 6, 2)), interior_grid((4, 6), align_corners)
        weights = rng.normal(size=(4, 3, 2))

        def loss(image, grid):
            options = dict(method=method, padding=padding, align_corners=align_corners)
            return jnp.vdot(weights, sample(image, grid, **options))

        to_image, to_grid = jax.jit(jax.grad(loss, argnums=(0, 1)))(image, grid)
        assert to_image.dtype == to_grid.dtype == jnp.float64
        expected = finite_difference(lambda i: loss(i, grid), image)
        chex.assert_trees_all_close(np.asarray(to_image), expected, atol=1e-7)
        expected = finite_difference(lambda g: loss(image, g), grid)
        chex.assert_trees_all_close(np.asarray(to_grid), expected, atol=1e-6)
        assert (method == "nearest") == (not np.any(to_grid))


@pytest.mark.parametrize(("method", "padding", "align_corners"), reference.SMOOTH)
def test_forward_mode_agrees_with_reverse_mode(method, padding, align_corners):
    with jax.enable_x64(True):
        rng = np.random.default_rng(5)
        primals = rng.normal(size=(4, 6, 2)), interior_grid((4, 6), align_corners)
        tangents = tuple(rng.normal(size=p.shape) for p in primals)
        cotangent = rng.normal(size=(4, 3, 2))

        def function(image, grid):
            options = dict(method=method, padding=padding, align_corners=align_corners)
            return sample(image, grid, **options)

        _, forward = jax.jit(functools.partial(jax.jvp, function))(primals, tangents)
        back = jax.jit(lambda: jax.vjp(function, *primals)[1](cotangent))()
        expected = sum(np.vdot(b, t) for b, t in zip(back, tangents, strict=True))
        np.testing.assert_allclose(np.vdot(forward, cotangent), expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_second_derivatives(method):
    with jax.enable_x64(True):
        rng = np.random.default_rng(6)
        image, grid = rng.normal(size=(4, 6, 1)), interior_grid((4, 6), False)
        direction = rng.normal(size=grid.shape)

        def loss(grid):
            return jnp.sum(jnp.tanh(sample(image, grid, method=method)) ** 2)

        def slope(grid):
            return jnp.vdot(jax.grad(loss)(grid), direction)

        second = jax.jit(jax.grad(slope))(grid)
        expected = finite_difference(slope, grid)
        assert np.any(np.abs(expected) > 0.1)
        chex.assert_trees_all_close(np.asarray(second), expected, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
def test_the_slope_at_a_whole_pixel_is_the_right_hand_one(padding, align_corners, axis):
    size = 5 if align_corners else 4  # so that whole pixels are exact
    with jax.enable_x64(True):
        image = np.random.default_rng(7).normal(size=(size, size, 1))
        along = to_normalised(np.arange(-3, size + 3), size, align_corners)
        across = to_normalised(np.full(size + 6, 1.25), size, align_corners)
        grid = np.stack([along, across] if axis == 0 else [across, along], axis=-1)[None]

        def read(grid):
            return sample(image, grid, padding=padding, align_corners=align_corners)[..., 0]

        gradient = jax.jit(jax.grad(lambda g: jnp.sum(read(g))))(grid)[0, :, axis]
        step = np.zeros_like(grid)
        step[..., axis] = 1e-3
        expected = np.asarray(read(grid + step) - read(grid))[0] / 1e-3
        gradient = np.asarray(gradient)
    chex.assert_trees_all_close(gradient, expected, atol=1e-9)
    assert np.all(gradient[3 : 3 + size - 1] != 0)


BAD = [np.nan, np.inf, -np.inf, 1e20, -1e20, np.finfo(np.float32).max, np.finfo(np.float32).min]


@pytest.mark.parametrize(("method", "padding", "align_corners"), reference.OPTIONS)
def test_coordinates_that_are_no_place(method, padding, align_corners):
    image = np.random.default_rng(8).normal(size=(5, 4, 2)).astype(np.float32)
    # On x alone, on y alone, on both.
    centre = to_normalised(1, 5, True) if align_corners else to_normalised(2, 5, False)
    grid = np.array(
        [[(b, centre) for b in BAD], [(centre, b) for b in BAD], [(b, b) for b in BAD]], np.float32
    )

    def read(image, grid):
        return sample(image, grid, method=method, padding=padding, align_corners=align_corners)

    @jax.jit
    def read_and_back(image, grid):
        output, back = jax.vjp(read, image, grid)
        return output, *back(jnp.ones_like(output))

    output, to_image, to_grid = read_and_back(image, grid)
    chex.assert_tree_all_finite((output, to_image, to_grid))
    assert not np.any(to_grid[2])
    assert not np.any(to_grid[0, :, 0]) and not np.any(to_grid[1, :, 1])
    if padding == "zeros":
        assert not np.any(output)
    if padding == "border":
        last = [value > 0 for value in BAD]
        expected = np.where(np.array(last)[:, None], image[-1, -1], image[0, 0])
        chex.assert_trees_all_close(np.asarray(output[2]), expected, atol=1e-6)
    if padding in ("reflection", "wrap") and method != "cubic":
        assert image.min() - 1e-6 <= output.min() and output.max() <= image.max() + 1e-6


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "bspline4"])
def test_zeros_outside_an_image_of_nan(method, channels):
    image = np.full((3, 3, channels), np.nan, np.float32)
    image[1, 1] = np.inf
    grid = np.array([[(-3.5, 0), (0, 3.5), (5, 5), (np.nan, 0)]], np.float32)
    output = sample(image, grid, method=method)
    assert np.all(np.asarray(output) == 0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_images_are_read_at_float32_coordinates(dtype):
    ramp = jnp.linspace(-1, 1, 257)[None, :, None]
    x = np.linspace(-0.9, 0.9, 50, dtype=np.float32)
    grid = np.stack([x, np.zeros_like(x)], axis=-1)[None]
    output = sample(ramp.astype(dtype), grid, align_corners=True, padding="border")
    assert output.dtype == dtype
    # The image is rounded once, and so is the result.
    tolerance = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(output[0, :, 0].astype(np.float32), x, atol=tolerance)
    half = jnp.asarray(grid, dtype)
    same = sample(ramp, half, align_corners=True)
    chex.assert_trees_all_close(same, sample(ramp, half.astype(jnp.float32), align_corners=True))


def test_float64():
    with jax.enable_x64(True):
        rng = np.random.default_rng(9)
        image, grid = rng.normal(size=(5, 7, 2)), rng.uniform(-1.3, 1.3, (4, 4, 2))
        for method in METHODS:
            output = sample(image, grid, method=method)
            assert output.dtype == jnp.float64
            expected = reference.grid_sample(image, grid, method, "zeros", False)
            chex.assert_trees_all_close(np.asarray(output), expected, atol=1e-12)
        assert sample(image.astype(np.float32), grid).dtype == jnp.float32


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_theta_at_the_identity_has_a_gradient(align_corners, method):
    image, weights = np.random.default_rng(10).uniform(size=(2, 8, 8, 1)).astype(np.float32)

    def loss(theta):
        grid = affine_grid(theta, (8, 8), align_corners=align_corners)
        output = sample(image, grid, method=method, align_corners=align_corners)
        return jnp.sum(output * weights)

    gradient = jax.jit(jax.grad(loss))(jnp.eye(2, 3))
    assert np.all(np.abs(gradient) > 1e-3)


@pytest.mark.parametrize(
    ("image", "grid", "options", "message"),
    [
        (np.zeros(3), np.zeros((2, 2, 2)), {}, r"\(W, C\), \(H, W, C\) or .*\(3,\)"),
        (
            np.zeros((3, 3)),
            np.zeros((2, 2, 2)),
            {},
            r"\(\.\.\., 1\) .* \(W, C\).*image\[\.\.\., None\]",
        ),
        (np.zeros((5, 3, 3, 1)), np.zeros((5, 2, 2, 2)), {}, r"jax\.vmap\(stn_jax\.sample\)"),
        (np.zeros((5, 3, 3, 3, 1)), np.zeros((5, 2, 2, 3)), {}, r"jax\.vmap\(stn_jax\.sample\)"),
        (np.zeros((0, 3, 1)), np.zeros((2, 2, 2)), {}, r"\(0, 3, 1\)"),
        (np.zeros((3, 3, 1)), np.zeros((2, 2, 3)), {}, r"\(\.\.\., 2\).*\(2, 2, 3\)"),
        (np.zeros((3, 3, 1), np.uint8), np.zeros((2, 2, 2)), {}, "uint8.*astype"),
        (np.zeros((3, 3, 1)), np.zeros((2, 2, 2)), {"method": "cube"}, "bicubic.*'cube'"),
        (np.zeros((3, 3, 1)), np.zeros((2, 2, 2)), {"padding": "zero"}, "zeros.*'zero'"),
        (np.zeros((3, 3, 1)), np.zeros((2, 2, 2)), {"coordinates": "px"}, "pixels.*'px'"),
        (np.zeros((3, 3, 2)), np.zeros((2, 2, 2)), {"fill": np.ones(3)}, r"2 channels.*\(3,\)"),
    ],
)
def test_what_cannot_be_used_is_named(image, grid, options, message):
    with pytest.raises(ValueError, match=message):
        sample(image, grid, **options)
