"""Translations, one parameter for each axis: the attention family with its scale fixed at 1."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.transforms.family import SHIFT_NAMES, Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, checked_shape, regular_grid


def translation_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the sampling grid of a shift: `x_s = x_t + tx`, `y_s = y_t + ty`, `z_s = z_t + tz`.

    A positive tx reads further to the right, so the image moves to the left.

    Args:
        theta: [2], (tx, ty) in normalised units (x right, y down); or [1], (tx); or [3],
            (tx, ty, tz).
        shape: (height, width), (width,) or (depth, height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised; or [width, 1]
        or [depth, height, width, 3].

    Raises:
        ValueError: theta has another shape, or `shape` is not as many positive integers.

    >>> translation_grid([1.0, 0.0], (1, 2)).tolist()  # by one pixel of two
    [[[0.5, 0.0], [1.5, 0.0]]]
    """
    theta = _checked(theta)
    shape = checked_shape(shape, len(theta))
    target = regular_grid(shape, align_corners=align_corners, dtype=theta.dtype)
    return theta.reshape(*(1 for _ in shape), len(shape)) + target


def compose(outer: ArrayLike, inner: ArrayLike) -> jax.Array:
    """Returns the theta of `x -> outer(inner(x))`.

    >>> compose([0.5, 0.0], [0.25, 1.0]).tolist()
    [0.75, 1.0]
    """
    return _checked(outer) + _checked(inner)


def inverse(theta: ArrayLike) -> jax.Array:
    """Returns the theta that undoes `theta`.

    >>> inverse([0.5, -1.0]).tolist()
    [-0.5, 1.0]
    """
    return -_checked(theta)


def _checked(theta: ArrayLike) -> jax.Array:
    theta = jnp.asarray(theta)
    shape = theta.shape if theta.shape in ((1,), (3,)) else (2,)
    return checked_theta(theta, shape, "translation theta")


def family(ndim: int) -> Family:
    """Returns the family of translations in 1, 2 or 3 dimensions."""
    names = (*SHIFT_NAMES, "shift z (half depths)")[:ndim]
    identity = (0.0,) * ndim
    return Family(
        "translation", names, identity, (ndim,), translation_grid, is_separable=True, ndim=ndim
    )


FAMILY = family(2)
