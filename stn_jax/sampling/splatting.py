"""The transpose of the sampler, and the mask of the points that it reads inside an image."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax.export import is_symbolic_dim
from jax.typing import ArrayLike

from stn_jax.dtypes import at_least_float32, check_floating
from stn_jax.errors import UserError
from stn_jax.layout import check_image
from stn_jax.sampling.coordinates import Coordinates, Padding, check_options
from stn_jax.sampling.interpolation import add_at
from stn_jax.sampling.windows import Method, check_countable, make_kernel


def splat(
    values: ArrayLike,
    grid: ArrayLike,
    shape: tuple[int, ...],
    *,
    method: Method = "bilinear",
    padding: Padding = "zeros",
    align_corners: bool = False,
    coordinates: Coordinates = "normalised",
    cubic_a: float = -0.75,
) -> jax.Array:
    """Adds each value to the pixels that `stn_jax.sample` reads at its point: forward warping.

    It is the transpose of `sample` as a linear map of the image: for every image of this shape,
    `vdot(splat(values, grid, shape), image) == vdot(values, sample(image, grid))`. Where many
    points meet, their values add up; divide by `splat(jnp.ones_like(values), grid, shape)` for
    averages. What "zeros" reads outside the image is lost. Derivatives with respect to the values
    and the grid are supported in both modes.

    Args:
        values: [..., C], of a floating-point dtype.
        grid: [..., n], a point for each value, in the conventions of `sample`.
        shape: the sizes S of the image, such as (H, W); n of them.
        method: the sampling kernel, as for `sample`.
        padding: what is outside the image, as for `sample`.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        coordinates: the units of the grid, "normalised" or "pixels".
        cubic_a: the slope of "cubic" at a distance of 1 pixel.

    Returns:
        [*S, C], in the values' dtype; sums are accumulated in float32 or float64.

    Raises:
        ValueError: a shape is wrong, the values are not floating-point, or an option is unknown.

    >>> values, points = jnp.array([[1.0], [2.0]]), jnp.array([[0.25], [1.0]])
    >>> splat(values, points, (3,), coordinates="pixels")[:, 0].tolist()
    [0.75, 2.25, 0.0]
    """
    values, grid = jnp.asarray(values), jnp.asarray(grid)
    if values.shape[:-1] != grid.shape[:-1] or values.ndim == 0:
        raise UserError(
            f"values and grid must be alike but for their last axis, got {values.shape} and "
            f"{grid.shape}"
        )
    check_floating(values, "values")
    sizes = _checked_sizes(shape)
    check_image((*sizes, values.shape[-1]), grid.shape)
    check_options(padding, coordinates)
    kernel = make_kernel(method, cubic_a)
    check_countable(sizes, kernel)
    dtype = jnp.float64 if values.dtype == jnp.float64 else at_least_float32(grid).dtype
    return add_at(
        values,
        grid.astype(dtype),
        sizes,
        kernel,
        padding=padding,
        align_corners=align_corners,
        in_pixels=coordinates == "pixels",
    )


def inside(
    grid: ArrayLike,
    shape: tuple[int, ...],
    *,
    align_corners: bool = False,
    coordinates: Coordinates = "normalised",
) -> jax.Array:
    """Returns which points are within the image: not beyond -1 or 1 in normalised units.

    These are the outer edges of the border pixels, or their centres with `align_corners`. Use it to
    leave out what was read outside, or to mark it: `jnp.where(inside(grid, shape)[..., None],
    values, jnp.nan)`.

    Args:
        grid: [..., n], in the conventions of `stn_jax.sample`.
        shape: the sizes S of the image, such as (H, W); n of them.
        align_corners: as for `sample`.
        coordinates: the units of the grid, "normalised" or "pixels".

    Returns:
        [...], bool. A NaN is not inside.

    Raises:
        ValueError: the last axis of the grid does not fit the shape, or the units are unknown.

    >>> inside(jnp.array([[-0.5, 1.0], [4.0, 1.0]]), (3, 4), coordinates="pixels").tolist()
    [True, False]
    """
    grid = at_least_float32(grid)
    sizes = _checked_sizes(shape)
    check_image((*sizes, 1), grid.shape)
    check_options("zeros", coordinates)
    if coordinates == "normalised":
        return jnp.all(jnp.abs(grid) <= 1, axis=-1)
    edge = 0.0 if align_corners else 0.5
    last = jnp.asarray(sizes[::-1], grid.dtype) - 1 + edge
    last = last.reshape(*(1,) * (grid.ndim - 1), len(sizes))
    return jnp.all((grid >= -edge) & (grid <= last), axis=-1)


def _checked_sizes(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns a shape with its sizes as ints, except symbolic ones of `jax.export`."""
    try:
        sizes = tuple(x if is_symbolic_dim(x) else operator.index(x) for x in shape)
    except TypeError:
        sizes = ()
    if not sizes or any(size < 1 for size in sizes if isinstance(size, int)):
        raise UserError(f"shape must be positive integers, such as (H, W), got {shape!r}")
    return sizes
