"""The sampler: an image and a sampling grid give the warped image (paper, section 3.3)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.dtypes import at_least_float32
from stn_jax.errors import UserError
from stn_jax.layout import check_image
from stn_jax.sampling.coordinates import PADDINGS, Padding
from stn_jax.sampling.interpolation import interpolate
from stn_jax.sampling.windows import METHODS, Method


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
    return _read(image, grid, method, padding, align_corners, is_separable=False)


def sample_separable(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    method: Method = "bilinear",
    padding: Padding = "zeros",
    align_corners: bool = False,
) -> jax.Array:
    """Computes `sample` for a grid whose x depends on the column and whose y on the row only.

    Such are the grids of crops, shifts and changes of size, as of the families "attention" and
    "translation". Where that is faster, it takes two small matrix products. If the grid is not of
    this kind, the values are wrong. Arguments, result, derivatives and errors are those of
    `sample`.

    >>> image, middle = jnp.array([[[0.0], [1.0]]]), jnp.zeros((1, 1, 2))
    >>> sample_separable(image, middle).tolist()
    [[[0.5]]]
    """
    return _read(image, grid, method, padding, align_corners, is_separable=True)


def _read(
    image: ArrayLike,
    grid: ArrayLike,
    method: str,
    padding: str,
    align_corners: bool,
    is_separable: bool,
) -> jax.Array:
    image, grid = jnp.asarray(image), jnp.asarray(grid)
    _check(image, grid, method, padding)
    dtype = jnp.float64 if image.dtype == jnp.float64 else at_least_float32(grid).dtype
    return interpolate(
        image,
        grid.astype(dtype),
        method=method,
        padding=padding,
        align_corners=align_corners,
        is_separable=is_separable and 0 not in grid.shape,
    )


def _check(image: jax.Array, grid: jax.Array, method: str, padding: str) -> None:
    check_image(image.shape)
    height, width, _ = image.shape
    is_symbolic = not (isinstance(height, int) and isinstance(width, int))  # for `jax.export`
    # With a frame of two pixels, as for "bilinear", the pixels must be countable in int32.
    if not is_symbolic and (height + 4) * (width + 4) >= 2**31:
        raise UserError(f"image of {image.shape[:2]} pixels is too large: sample parts of it")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        scaled = "image.astype(jnp.float32)" + (" / 255" if image.dtype == jnp.uint8 else "")
        raise UserError(f"image must be floating-point, got {image.dtype}: pass {scaled}")
    if grid.ndim != 3 or grid.shape[-1] != 2:
        hint = ": use jax.vmap(stn_jax.sample, (None, 0)) for many grids" if grid.ndim == 4 else ""
        raise UserError(f"grid must have shape (H', W', 2), got {grid.shape}{hint}")
    if method not in METHODS:
        raise UserError(f"method must be one of {METHODS}, got {method!r}")
    if padding not in PADDINGS:
        raise UserError(f"padding must be one of {PADDINGS}, got {padding!r}")
