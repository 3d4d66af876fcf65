"""Differentiable image sampling: an image and a sampling grid give the warped image.

Section 3.3 of "Spatial Transformer Networks" (Jaderberg et al., 2015), equations 3 to 5.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.bilinear import interpolate
from stn_jax.coordinates import PADDINGS, fold, in_pixels, tame

METHODS = ("nearest", "bilinear", "bicubic")


def sample(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    method: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> jax.Array:
    """Reads `image` at the points of `grid`.

    `V[i, j] = sum_nm image[n, m] * k(x[i, j] - m) * k(y[i, j] - n)`, every channel alike, where k
    is the kernel of `method` and x, y are the grid's coordinates in pixels.

    Convention: the grid's last axis is (x, y), x to the right and y down; the grid maps target to
    source, so `grid[i, j]` says where in `image` the output pixel (i, j) is read. Coordinates are
    normalised: -1 and 1 are the outer edges of the border pixels, or their centres with
    `align_corners`. Values agree with `torch.nn.functional.grid_sample`.

    Padding says what lies outside: zeros, the nearest border pixel, or the image mirrored at its
    border (at the edges of its border pixels, or at their centres with `align_corners`). It holds
    for each tap of the kernel, so a point close to the border mixes pixels and padding.

    Coordinates that are NaN, infinite or huge are safe, axis by axis. Under zeros padding they read
    0; under border padding the border pixel on their side, NaN the first; under reflection NaN,
    infinity and anything too large to have a fractional part read the first pixel. The gradient to
    such a coordinate is 0.

    The gradient to the grid at a whole pixel, where the bilinear kernel has a kink, is the slope
    towards the next pixel; for "nearest" it is 0. Derivatives work in either mode, and nest.

    Args:
        image: [H, W, C], of a floating dtype.
        grid: [H', W', 2]; half precision is raised to float32, float64 is kept.
        method: "nearest" (halves go to the even pixel), "bilinear" or "bicubic" (a = -0.75).
        padding: "zeros", "border" or "reflection".
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [H', W', C], in the image's dtype; the sums are made in float32 at least.

    Raises:
        ValueError: on wrong shapes, an image that is not floating, an unknown method or padding.
    """
    image, grid = jnp.asarray(image), jnp.asarray(grid)
    _check(image, grid, method, padding)
    grid = grid.astype(jnp.promote_types(grid.dtype, jnp.float32))
    height, width, channels = image.shape
    if method == "bilinear":
        dtype = jnp.promote_types(image.dtype, grid.dtype)
        output = interpolate(image.astype(dtype), grid.astype(dtype), padding, align_corners)
        return output.astype(image.dtype)
    columns = _taps(grid[..., 0], width, method, padding, align_corners)
    rows = _taps(grid[..., 1], height, method, padding, align_corners)
    pixels = image.reshape(height * width, channels)

    output = jnp.zeros((), grid.dtype)
    for row, row_weight in rows:
        for column, column_weight in columns:
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = jnp.where(inside, row * width + column, height * width)
            # Past the end the gather itself gives 0: no NaN of a border pixel can leak out.
            tap = pixels.at[index].get(mode="fill", fill_value=0, wrap_negative_indices=False)
            output = output + (row_weight * column_weight)[..., None] * tap
    return output.astype(image.dtype)


def _taps(
    coordinate: jax.Array, size: int, method: str, padding: str, align_corners: bool
) -> list[tuple[jax.Array, jax.Array]]:
    """The pixels that a normalised coordinate reads along one axis: (index, weight) pairs.

    Only under zeros padding can an index lie outside 0..size-1.
    """
    position = tame(in_pixels(coordinate, size, align_corners), size, padding)
    if method == "nearest":
        # Folded before it is rounded: mirroring at an edge turns an even pixel into an odd one.
        nearest = jnp.round(fold(position, size, padding, align_corners))
        return [(nearest.astype(jnp.int32), jnp.ones_like(position))]
    first = jnp.floor(position)
    t = position - first
    weights = {-1: _outer(1 + t), 0: _inner(t), 1: _inner(1 - t), 2: _outer(2 - t)}
    # Folding the taps instead of the coordinate gives the same values, and keeps the kinks of
    # clip and abs out of the gradient.
    return [
        (fold(first + step, size, padding, align_corners).astype(jnp.int32), weight)
        for step, weight in weights.items()
    ]


def _inner(t: jax.Array, a: float = -0.75) -> jax.Array:
    """The cubic convolution kernel (Keys, 1981) at a distance of 0 to 1."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _outer(t: jax.Array, a: float = -0.75) -> jax.Array:
    """The cubic convolution kernel at a distance of 1 to 2."""
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _check(image: jax.Array, grid: jax.Array, method: str, padding: str) -> None:
    if image.ndim != 3 or 0 in image.shape[:2]:
        raise ValueError(f"image must have shape (H, W, C) with pixels in it, got {image.shape}")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image must be floating, got {image.dtype}: convert it first")
    if grid.ndim != 3 or grid.shape[-1] != 2:
        raise ValueError(f"grid must have shape (H', W', 2), got {grid.shape}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {PADDINGS}, got {padding!r}")
