"""The regular grid of target points, which every transformation starts from."""

import operator
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

Shape = Sequence[int]


def regular_grid(
    shape: Shape, *, align_corners: bool = False, dtype: DTypeLike = jnp.float32
) -> np.ndarray:
    """The centres of the pixels of an image of the given shape.

    Made in NumPy at trace time, so that it is a constant of the compiled program.

    Args:
        shape: (height, width) in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        dtype: of the result; it is computed in float64.

    Returns:
        [height, width, 2], last axis (x, y), normalised; an axis of one pixel is at 0.

    Raises:
        ValueError: if `shape` is not two positive integers.
    """
    y, x = (_centres(size, align_corners) for size in checked_shape(shape))
    return np.stack(np.meshgrid(x, y), axis=-1).astype(dtype)


def checked_shape(shape: Shape) -> tuple[int, int]:
    """`shape` as a pair of ints; ValueError if it is not two positive integers."""
    try:
        height, width = (operator.index(size) for size in shape)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ValueError(f"shape must be two positive integers (height, width), got {shape!r}")
    return height, width


def _centres(size: int, align_corners: bool) -> np.ndarray:
    span = max(size - 1, 1) if align_corners else size
    return (2 * np.arange(size) + 1 - size) / span
