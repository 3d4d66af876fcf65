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
    """Returns the centres of the pixels of an image of the given shape.

    Args:
        shape: (height, width) in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        dtype: the dtype of the result, which is rounded from float64.

    Returns:
        [height, width, 2], last axis (x, y), normalised. If an axis has only one pixel, its
        coordinate is 0.

    Raises:
        ValueError: `shape` is not two positive integers.

    >>> regular_grid((1, 4))[0, :, 0].tolist()
    [-0.75, -0.25, 0.25, 0.75]
    >>> regular_grid((1, 2), align_corners=True)[0, :, 0].tolist()
    [-1.0, 1.0]
    """
    height, width = checked_shape(shape)
    # The program holds the coordinates of the axes, and makes the grid of them when it runs.
    x, y = (
        jnp.asarray(pixel_centres(size, align_corners).astype(dtype)) for size in (width, height)
    )
    return jnp.stack(jnp.meshgrid(x, y), axis=-1)


def checked_shape(shape: Shape) -> tuple[int, int]:
    """Returns `shape` as a pair of ints; raises ValueError unless it is two positive integers."""
    try:
        height, width = (operator.index(size) for size in shape)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise UserError(f"shape must be two positive integers (height, width), got {shape!r}")
    return height, width


def pixel_centres(size: int, align_corners: bool) -> np.ndarray:
    """Returns the normalised coordinates [size] of the pixels along one axis, in float64."""
    span = max(size - 1, 1) if align_corners else size
    return (2 * np.arange(size) + 1 - size) / span
