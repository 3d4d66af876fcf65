"""The sampler: an image and a sampling grid give the warped image (paper, section 3.3)."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.dtypes import at_least_float32
from stn_jax.sampling.bilinear import bilinear
from stn_jax.sampling.coordinates import PADDINGS, Padding, apply_padding, clamp, to_pixels

Method = Literal["nearest", "bilinear", "bicubic"]
METHODS: tuple[str, ...] = get_args(Method)


def sample(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    method: Method = "bilinear",
    padding: Padding = "zeros",
    align_corners: bool = False,
) -> jax.Array:
    """Reads `image` at the points of `grid` (paper, equations 3 to 5).

    `V[i, j] = sum_nm image[n, m] * k(x[i, j] - m) * k(y[i, j] - n)` for every channel, where k is
    the kernel of `method` and x, y are the grid's coordinates in pixels.

    Convention: the grid's last axis is (x, y), x to the right and y down. The grid maps target to
    source: `grid[i, j]` is the point of `image` that is read for the output pixel (i, j).
    Coordinates are normalised: -1 and 1 are the outer edges of the border pixels, or their centres
    with `align_corners`. Values agree with `torch.nn.functional.grid_sample`.

    Outside the image, the padding is read: zeros, the nearest border pixel, or the image mirrored
    at its border (at the edges of its border pixels, or at their centres with `align_corners`).
    This applies to each tap of the kernel, that is, to each pixel that it weights. A point near the
    border therefore mixes pixels and padding.

    NaN, infinite and very large coordinates are safe. Under "zeros" they read 0. Under "border"
    they read the border pixel on their side; NaN reads the first pixel. Under "reflection", NaN,
    infinity and numbers too large to have a fractional part read the first pixel. The gradient with
    respect to such a coordinate is 0.

    At whole pixels, where the bilinear kernel has a kink, the gradient with respect to the grid is
    the slope towards the next pixel. For "nearest", that gradient is 0. Forward and reverse
    mode are supported and can be nested.

    Args:
        image: [H, W, C], of a floating-point dtype.
        grid: [H', W', 2]; half precision is converted to float32, float64 is kept.
        method: "nearest" (halves round to the even pixel), "bilinear" or "bicubic" (the cubic
            convolution kernel with a = -0.75).
        padding: "zeros", "border" or "reflection".
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [H', W', C], in the image's dtype; sums are accumulated in float32 or float64.

    Raises:
        ValueError: a shape is wrong, the image has about 2^31 pixels or more, its dtype is not
            floating-point, or the method or the padding is unknown.

    >>> image, middle = jnp.array([[[0.0], [1.0]]]), jnp.zeros((1, 1, 2))
    >>> sample(image, middle).tolist()
    [[[0.5]]]
    """
    image, grid = jnp.asarray(image), jnp.asarray(grid)
    _check(image, grid, method, padding)
    grid = at_least_float32(grid)
    dtype = jnp.float64 if jnp.float64 in (image.dtype, grid.dtype) else jnp.float32
    height, width, channels = image.shape
    if method == "bilinear":
        output = bilinear(image.astype(dtype), grid.astype(dtype), padding, align_corners)
        return output.astype(image.dtype)
    columns = _taps(grid[..., 0], width, method, padding, align_corners)
    rows = _taps(grid[..., 1], height, method, padding, align_corners)
    pixels = image.reshape(height * width, channels)

    output = jnp.zeros((), dtype)
    for row, row_weight in rows:
        for column, column_weight in columns:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = jnp.where(inside, row * width + column, height * width)
            # Past the end, the gather itself returns 0. A product with 0 would let a NaN through.
            tap = pixels.at[index].get(mode="fill", fill_value=0, wrap_negative_indices=False)
            weight = (row_weight * column_weight)[..., None]
            output = output + weight.astype(dtype) * tap.astype(dtype)
    return output.astype(image.dtype)


def _taps(
    coordinate: jax.Array, size: int, method: str, padding: str, align_corners: bool
) -> list[tuple[jax.Array, jax.Array]]:
    """Returns the pixels that a coordinate reads along one axis, as (index, weight) pairs.

    Only under "zeros" can an index lie outside 0..size-1.
    """
    position = clamp(to_pixels(coordinate, size, align_corners), size, padding)
    if method == "nearest":
        # Padding comes before rounding: mirroring at an edge can change a pixel from even to odd.
        nearest = jnp.round(apply_padding(position, size, padding, align_corners))
        return [(nearest.astype(jnp.int32), jnp.ones_like(position))]
    first = jnp.floor(position)
    t = position - first
    weights = {-1: _outer(1 + t), 0: _inner(t), 1: _inner(1 - t), 2: _outer(2 - t)}
    # Padding the taps instead of the coordinate gives the same values, and keeps the kinks of clip
    # and abs out of the gradient.
    return [
        (apply_padding(first + step, size, padding, align_corners).astype(jnp.int32), weight)
        for step, weight in weights.items()
    ]


def _inner(t: jax.Array, a: float = -0.75) -> jax.Array:
    """Returns the cubic convolution kernel (Keys, 1981) at distances of 0 to 1."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _outer(t: jax.Array, a: float = -0.75) -> jax.Array:
    """Returns the cubic convolution kernel at distances of 1 to 2."""
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _check(image: jax.Array, grid: jax.Array, method: str, padding: str) -> None:
    if image.ndim != 3 or 0 in image.shape[:2]:
        raise ValueError(f"image must have shape (H, W, C) with pixels in it, got {image.shape}")
    if (image.shape[0] + 4) * (image.shape[1] + 4) >= 2**31:
        # With a frame of two pixels, as for "bilinear", they must be countable in int32.
        raise ValueError(f"image of {image.shape[:2]} pixels is too large: sample parts of it")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        scaled = "image.astype(jnp.float32)" + (" / 255" if image.dtype == jnp.uint8 else "")
        raise ValueError(f"image must be floating, got {image.dtype}: give sample {scaled}")
    if grid.ndim != 3 or grid.shape[-1] != 2:
        raise ValueError(f"grid must have shape (H', W', 2), got {grid.shape}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {PADDINGS}, got {padding!r}")
