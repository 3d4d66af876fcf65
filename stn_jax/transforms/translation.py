"""Translations, 2 parameters: the attention family with its scale fixed at 1."""

import jax
from jax.typing import ArrayLike

from stn_jax.transforms.family import SHIFT_NAMES, Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, regular_grid


def translation_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the sampling grid of a shift: `x_s = x_t + tx`, `y_s = y_t + ty`.

    A positive tx reads further to the right, so the image moves to the left.

    Args:
        theta: [2], (tx, ty) in normalised units (x right, y down).
        shape: (height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised.

    Raises:
        ValueError: theta has another shape, or `shape` is not two positive integers.

    >>> translation_grid([1.0, 0.0], (1, 2)).tolist()  # by one pixel of two
    [[[0.5, 0.0], [1.5, 0.0]]]
    """
    theta = _checked(theta)
    return theta[None, None] + regular_grid(shape, align_corners=align_corners, dtype=theta.dtype)


def compose(outer: ArrayLike, inner: ArrayLike) -> jax.Array:
    """Returns the theta [2] of `x -> outer(inner(x))`.

    >>> compose([0.5, 0.0], [0.25, 1.0]).tolist()
    [0.75, 1.0]
    """
    return _checked(outer) + _checked(inner)


def inverse(theta: ArrayLike) -> jax.Array:
    """Returns the theta [2] that undoes `theta`.

    >>> inverse([0.5, -1.0]).tolist()
    [-0.5, 1.0]
    """
    return -_checked(theta)


def _checked(theta: ArrayLike) -> jax.Array:
    return checked_theta(theta, (2,), "translation theta")


FAMILY = Family("translation", SHIFT_NAMES, (0.0, 0.0), (2,), translation_grid, is_separable=True)
