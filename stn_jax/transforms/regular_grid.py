"""The regular grid of target points, to which the transformations are applied."""

import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from stn_jax.errors import UserError

Shape = Sequence[int]


def regular_grid(
    shape: Shape, *, align_corners: bool = False, dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """Returns the centres of the pixels of an image, a signal or a volume of the given shape.

    Args:
        shape: (height, width), (width,) or (depth, height, width) in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        dtype: the dtype of the result, which is rounded from float64.

    Returns:
        [*shape, n], last axis (x, y), (x) or (x, y, z), normalised. If an axis has only one pixel,
        its coordinate is 0.

    Raises:
        ValueError: `shape` is not one to three positive integers.

    >>> regular_grid((1, 4))[0, :, 0].tolist()
    [-0.75, -0.25, 0.25, 0.75]
    >>> regular_grid((1, 2), align_corners=True)[0, :, 0].tolist()
    [-1.0, 1.0]
    """
    # The program holds the coordinates of the axes, and makes the grid of them when it runs.
    axes = (
        jnp.asarray(pixel_centres(size, align_corners).astype(dtype))
        for size in checked_shape(shape, None)
    )
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij")[::-1], axis=-1)


def checked_shape(shape: Shape, ndim: int | None = 2) -> tuple[int, ...]:
    """Returns `shape` as a tuple of `ndim` positive ints, or one to three ints for None.

    Raises:
        ValueError: it is something else.
    """
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        sizes = ()
    if len(sizes) not in ((1, 2, 3) if ndim is None else (ndim,)) or min(sizes) < 1:
        wanted = "one to three positive integers" if ndim is None else _SHAPES[ndim]
        raise UserError(f"shape must be {wanted}, got {shape!r}")
    return sizes


_SHAPES = {
    1: "one positive integer (width,)",
    2: "two positive integers (height, width)",
    3: "three positive integers (depth, height, width)",
}


def pixel_centres(size: int, align_corners: bool) -> np.ndarray:
    """Returns the normalised coordinates [size] of the pixels along one axis, in float64."""
    span = max(size - 1, 1) if align_corners else size
    return (2 * np.arange(size) + 1 - size) / span
