"""Affine transformations, 6 parameters (equation 1 of the paper)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.transforms.family import Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, regular_grid


def affine_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the sampling grid `(x_s, y_s) = theta (x_t, y_t, 1)` (paper, equation 1).

    Agrees with `torch.nn.functional.affine_grid`.

    Args:
        theta: [2, 3], maps target to source in normalised units (x right, y down).
        shape: (height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised.

    Raises:
        ValueError: theta has another shape, or `shape` is not two positive integers.

    >>> half_size = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]  # reads twice as far out: zooms out
    >>> affine_grid(half_size, (2, 2))[0].tolist()
    [[-1.0, -1.0], [1.0, -1.0]]
    """
    theta = _checked(theta)
    target = regular_grid(shape, align_corners=align_corners, dtype=theta.dtype)
    return jnp.matmul(target, theta[:, :2].T, precision="highest") + theta[None, None, :, 2]


def compose(outer: ArrayLike, inner: ArrayLike) -> jax.Array:
    """Returns the theta [2, 3] of `x -> outer(inner(x))`.

    >>> shift = [[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]
    >>> compose(shift, shift).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    outer, inner = _checked(outer), _checked(inner)
    return jnp.matmul(outer[:, :2], inner, precision="highest").at[:, 2].add(outer[:, 2])


def inverse(theta: ArrayLike) -> jax.Array:
    """Returns the theta [2, 3] that undoes `theta`; not finite if its matrix is singular.

    >>> inverse([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]).tolist()
    [[0.5, -0.0, -0.5], [-0.0, 0.5, 0.0]]
    """
    theta = _checked(theta)
    (a, b, x), (c, d, y) = theta
    adjugate = jnp.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]])
    return adjugate / (a * d - b * c)


def _checked(theta: ArrayLike) -> jax.Array:
    return checked_theta(theta, (2, 3), "affine theta")


PARAM_NAMES = (
    *("theta 11", "theta 12", "theta 13 (half widths)"),
    *("theta 21", "theta 22", "theta 23 (half heights)"),
)
"""The names of the parameters, numbered by row and column, as in equation 1 of the paper."""

FAMILY = Family("affine", PARAM_NAMES, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (2, 3), affine_grid)
