"""Affine transformations, 6 parameters (equation 1 of the paper)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from stn_jax.transforms.family import Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, checked_shape, regular_grid


def affine_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the sampling grid `(x_s, y_s) = theta (x_t, y_t, 1)` (paper, equation 1).

    In one and three dimensions, it is `x_s = theta (x_t, 1)` and
    `(x_s, y_s, z_s) = theta (x_t, y_t, z_t, 1)`. Agrees with `torch.nn.functional.affine_grid`.

    Args:
        theta: [2, 3], [1, 2] or [3, 4], maps target to source in normalised units (x right, y
            down).
        shape: (height, width), (width,) or (depth, height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised; or [width, 1]
        or [depth, height, width, 3].

    Raises:
        ValueError: theta has another shape, or `shape` is not as many positive integers as theta
            has rows.

    >>> half_size = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]  # reads twice as far out: zooms out
    >>> affine_grid(half_size, (2, 2))[0].tolist()
    [[-1.0, -1.0], [1.0, -1.0]]
    """
    theta = _checked(theta)
    target = regular_grid(
        checked_shape(shape, len(theta)), align_corners=align_corners, dtype=theta.dtype
    )
    shift = theta[:, -1].reshape(*(1 for _ in theta), len(theta))
    return jnp.matmul(target, theta[:, :-1].T, precision="highest") + shift


def compose(outer: ArrayLike, inner: ArrayLike) -> jax.Array:
    """Returns the theta, [2, 3] in two dimensions, of `x -> outer(inner(x))`.

    >>> shift = [[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]
    >>> compose(shift, shift).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    outer, inner = _checked(outer), _checked(inner)
    return jnp.matmul(outer[:, :-1], inner, precision="highest").at[:, -1].add(outer[:, -1])


def inverse(theta: ArrayLike) -> jax.Array:
    """Returns the theta that undoes `theta`; not finite if its matrix is singular.

    >>> inverse([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]).tolist()
    [[0.5, -0.0, -0.5], [-0.0, 0.5, 0.0]]
    """
    theta = _checked(theta)
    if len(theta) != 2:
        matrix = jnp.linalg.inv(theta[:, :-1])
        shift = jnp.matmul(matrix, -theta[:, -1:], precision="highest")
        return jnp.concatenate([matrix, shift], axis=1)
    (a, b, x), (c, d, y) = theta
    adjugate = jnp.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]])
    return adjugate / (a * d - b * c)


def _checked(theta: ArrayLike) -> jax.Array:
    theta = jnp.asarray(theta)
    shape = theta.shape if theta.shape in ((1, 2), (3, 4)) else (2, 3)
    return checked_theta(theta, shape, "affine theta")


def family(ndim: int) -> Family:
    """Returns the family of affine transformations in 1, 2 or 3 dimensions.

    Its parameters are numbered by row and column, as in equation 1 of the paper.
    """
    units = dict(enumerate(("widths", "heights", "depths"), 1))
    names = (
        f"theta {row}{column}" + (f" (half {units[row]})" if column > ndim else "")
        for row in range(1, ndim + 1)
        for column in range(1, ndim + 2)
    )
    identity = tuple(np.eye(ndim, ndim + 1).ravel().tolist())
    return Family("affine", tuple(names), identity, (ndim, ndim + 1), affine_grid, ndim=ndim)


FAMILY = family(2)
