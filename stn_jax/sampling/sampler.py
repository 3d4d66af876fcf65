"""The sampler: an image and a sampling grid give the warped image (paper, section 3.3)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from stn_jax.dtypes import at_least_float32, check_floating
from stn_jax.errors import UserError
from stn_jax.layout import check_image
from stn_jax.sampling.antialiasing import blurred, checked_levels, level
from stn_jax.sampling.coordinates import Coordinates, Padding, check_options, to_pixels
from stn_jax.sampling.interpolation import interpolate
from stn_jax.sampling.windows import (
    Axis,
    Method,
    check_countable,
    make_kernel,
    weight_outside,
)


def sample(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    method: Method = "bilinear",
    padding: Padding = "zeros",
    fill: ArrayLike = 0.0,
    align_corners: bool = False,
    coordinates: Coordinates = "normalised",
    cubic_a: float = -0.75,
    antialias: bool | int = False,
) -> jax.Array:
    """Reads an image, a signal or a volume at the points of `grid` (paper, equations 3 to 5).

    In two dimensions, `V[i, j] = sum_nm image[n, m] * k(x[i, j] - m) * k(y[i, j] - n)` for every
    channel, where k is the kernel of `method` and x, y are the grid's coordinates in pixels.

    Convention: the grid's last axis is (x), (x, y) or (x, y, z), with x along the last axis of S, y
    along the one before it. In an image, x is to the right and y down. The grid maps target to
    source: `grid[i, j]` is the point of `image` that is read for the output pixel (i, j).
    Coordinates are normalised: -1 and 1 are the outer edges of the border pixels, or their centres
    with `align_corners`. With `coordinates="pixels"`, whole numbers are the centres of pixels and 0
    is that of the first one. Values agree with `torch.nn.functional.grid_sample`.

    Outside the image, the padding is read: zeros or `fill`, the nearest border pixel, the image
    mirrored at its border (at the edges of its border pixels, or at their centres with
    `align_corners`), or the image repeated. This applies to each tap of the kernel, that is, to
    each pixel that it weights. A point near the border therefore mixes pixels and padding.

    NaN, infinite and very large coordinates are safe. Under "zeros" they read `fill`. Under
    "border" they read the border pixel on their side; NaN reads the first pixel. Under "reflection"
    and "wrap", NaN, infinity and numbers too large to have a fractional part read the first pixel.
    The gradient with respect to such a coordinate is 0.

    At whole pixels, where the linear kernel has a kink, the gradient with respect to the grid is
    the slope towards the next pixel. For "nearest", that gradient is 0. Forward and reverse
    mode are supported and can be nested.

    Args:
        image: [*S, C], of a floating-point dtype. S is (W,), (H, W) or (D, H, W).
        grid: [..., n] with the number n of axes in S: a grid such as [H', W', 2], or points [N, 2].
            Half precision is converted to float32, float64 is kept.
        method: "nearest" (halves round to the even pixel), "linear" ("bilinear" is the same),
            "cubic" ("bicubic" is the same), which is cubic convolution, or a B-spline of degree 2
            to 5, "bspline2" to "bspline5", of which `image` has the coefficients; see
            `spline_coefficients`.
        padding: "zeros", "border", "reflection" or "wrap".
        fill: what "zeros" reads outside the image: a finite number, or one for each channel [C].
            Other paddings ignore it.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        coordinates: the units of the grid, "normalised" or "pixels".
        cubic_a: the slope of "cubic" at a distance of 1 pixel: -0.75 as in torch, or -0.5 (Keys,
            1981) as in TensorFlow and `jax.image`.
        antialias: where the grid shrinks the image, average over the pixels between its points: the
            number of times that it may shrink the image by half, or True for 3. For "linear", and
            grids [H', W', 2] of images or [W', 1] of signals, whose neighbours show how much they
            shrink. Nothing changes where they do not. The image is kept once more for each level.

    Returns:
        [..., C], in the image's dtype; sums are accumulated in float32 or float64.

    Raises:
        ValueError: a shape is wrong, the image has about 2^31 pixels or more, its dtype is not
            floating-point, or the method, the padding or the coordinates are unknown.

    >>> image, middle = jnp.array([[[0.0], [1.0]]]), jnp.zeros((1, 1, 2))
    >>> sample(image, middle).tolist()
    [[[0.5]]]
    """
    return _read(
        image,
        grid,
        method,
        padding,
        fill,
        align_corners,
        coordinates,
        cubic_a,
        antialias,
        is_separable=False,
    )


def sample_separable(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    method: Method = "bilinear",
    padding: Padding = "zeros",
    fill: ArrayLike = 0.0,
    align_corners: bool = False,
    coordinates: Coordinates = "normalised",
    cubic_a: float = -0.75,
    antialias: bool | int = False,
) -> jax.Array:
    """Computes `sample` for a grid [H', W', 2] whose x depends on the column, y on the row only.

    Such are the grids of crops, shifts and changes of size, as of the families "attention" and
    "translation". Where that is faster, it takes one small matrix product along each axis. If the
    grid is not of this kind, the values are wrong. In one and three dimensions, the grid is
    [W', 1] or [D', H', W', 3]. Arguments, result, derivatives and errors are those of `sample`.

    >>> image, middle = jnp.array([[[0.0], [1.0]]]), jnp.zeros((1, 1, 2))
    >>> sample_separable(image, middle).tolist()
    [[[0.5]]]
    """
    return _read(
        image,
        grid,
        method,
        padding,
        fill,
        align_corners,
        coordinates,
        cubic_a,
        antialias,
        is_separable=True,
    )


def _read(
    image: ArrayLike,
    grid: ArrayLike,
    method: str,
    padding: str,
    fill: ArrayLike,
    align_corners: bool,
    coordinates: str,
    cubic_a: float,
    antialias: bool | int,
    is_separable: bool,
) -> jax.Array:
    image, grid = jnp.asarray(image), jnp.asarray(grid)
    check_image(image.shape, grid.shape)
    check_floating(image, "image")
    if is_separable and grid.ndim != image.ndim:
        raise UserError(f"grid must have {image.ndim} axes, as [H', W', 2], got {grid.shape}")
    check_options(padding, coordinates)
    kernel, filling = make_kernel(method, cubic_a), _checked_fill(fill, image.shape[-1])
    levels = checked_levels(antialias, method, grid.shape)
    check_countable((*image.shape[:-1], *([levels + 1] if levels else [])), kernel)
    dtype = jnp.float64 if image.dtype == jnp.float64 else at_least_float32(grid).dtype
    grid, in_pixels = grid.astype(dtype), coordinates == "pixels"
    if levels:
        if not in_pixels:
            sizes = zip(range(grid.shape[-1]), image.shape[-2::-1], strict=True)
            axes = (to_pixels(grid[..., i], size, align_corners) for i, size in sizes)
            grid, in_pixels = jnp.stack(tuple(axes), axis=-1), True
        grid = jnp.concatenate([grid, level(grid, levels)[..., None]], axis=-1)

    def read(image: jax.Array) -> jax.Array:
        return interpolate(
            blurred(at_least_float32(image), levels, padding, align_corners) if levels else image,
            grid,
            kernel,
            padding=padding,
            align_corners=align_corners,
            in_pixels=in_pixels,
            is_separable=is_separable and not levels and 0 not in grid.shape,
        )

    values = read(image)
    if padding != "zeros" or filling is None:
        return values.astype(image.dtype)
    if levels:
        outside = 1 - read(jnp.ones_like(image, dtype, shape=(*image.shape[:-1], 1)))
    else:
        of_axes = [Axis(size, padding, align_corners, in_pixels) for size in image.shape[:-1]]
        outside = weight_outside(grid, of_axes, kernel)[..., None]
    filling = filling.astype(dtype).reshape(*(1,) * (values.ndim - 1), filling.size)
    return (values.astype(dtype) + outside * filling).astype(image.dtype)


def _checked_fill(fill: ArrayLike, channels: Any) -> jax.Array | None:
    """Returns what to read outside the image, or None for zeros."""
    is_zero = not isinstance(fill, jax.Array) and not np.any(fill)
    fill = jnp.asarray(fill)
    if fill.shape not in ((), (1,), (channels,)):
        raise UserError(
            f"fill must be a number or one for each of the {channels} channels, "
            f"got the shape {fill.shape}"
        )
    return None if is_zero else fill
