"""Plane projective transformations (homographies), 8 parameters."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from stn_jax.transforms import affine
from stn_jax.transforms.family import Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, regular_grid


def projective_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the grid `(x_s, y_s) = (u / w, v / w)` with `(u, v, w) = theta (x_t, y_t, 1)`.

    Points with w < 0, which lie behind the viewer, are read like all others. On the horizon,
    where |w| is below the dtype's epsilon, the coordinates are finite but so large that the sampler
    reads padding. No gradient flows from these points to theta.

    Args:
        theta: [3, 3], maps target to source in normalised units (x right, y down). Multiplying
            theta by a constant has no effect, unless |w| then falls below epsilon.
        shape: (height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised.

    Raises:
        ValueError: theta has another shape, or `shape` is not two positive integers.

    >>> tilted = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]  # divides by 1 + x
    >>> projective_grid(tilted, (1, 2))[0].tolist()
    [[-1.0, 0.0], [0.3333333432674408, 0.0]]
    """
    theta = _checked(theta)
    target = regular_grid(shape, align_corners=align_corners, dtype=theta.dtype)
    ones = jnp.ones((*target.shape[:2], 1), theta.dtype)
    points = jnp.concatenate([target, ones], axis=-1).reshape(-1, 3).T
    # One array per coordinate: on the CPU, arrays of (x, y) pairs are slow to differentiate.
    u, v, w = jnp.matmul(theta, points, precision="highest")
    epsilon = jnp.finfo(theta.dtype).eps
    horizon = jnp.abs(w) < epsilon
    # The untaken branch must not be 0 / 0: its gradient would be NaN.
    divisor = jnp.where(horizon, 1, w)

    def divided(coordinate: jax.Array) -> jax.Array:
        far = jnp.where((coordinate < 0) == (w < 0), 1 / epsilon, -1 / epsilon)
        return jnp.where(horizon, far, coordinate / divisor)

    return jnp.stack([divided(u), divided(v)], axis=-1).reshape(target.shape)


def compose(outer: ArrayLike, inner: ArrayLike) -> jax.Array:
    """Returns the theta [3, 3] of `x -> outer(inner(x))`; its last entry may differ from 1.

    >>> compose(jnp.eye(3), 2 * jnp.eye(3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    """
    return jnp.matmul(_checked(outer), _checked(inner), precision="highest")


def inverse(theta: ArrayLike) -> jax.Array:
    """Returns the theta [3, 3] that undoes `theta`; not finite if it is singular.

    >>> inverse(2 * jnp.eye(3)).diagonal().tolist()
    [0.5, 0.5, 0.5]
    """
    return jnp.linalg.inv(_checked(theta))


CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
"""[4, 2], (x, y): the image's corners in normalised units, clockwise from the upper left."""


def from_corners(corners: ArrayLike) -> jax.Array:
    """Returns the theta [3, 3] that maps `CORNERS` to the given corners.

    The closed form is that of Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989,
    section 2.2.3.

    Args:
        corners: [4, 2], the corners (x, y) of a quadrilateral. No three of them may lie on a line.

    Raises:
        ValueError: `corners` has another shape.

    >>> theta = from_corners(CORNERS / 2)  # the middle half
    >>> (theta / theta[2, 2]).round(4).tolist()
    [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    corners = checked_theta(corners, (4, 2), "corners")
    first, second, third, fourth = corners
    sides = jnp.stack([second - third, fourth - third], axis=1)
    excess = first - second + third - fourth
    g, h = _solve_2x2(sides, excess)
    from_unit_square = jnp.stack(
        [
            jnp.append(second - first + g * second, g),
            jnp.append(fourth - first + h * fourth, h),
            jnp.append(first, 1),
        ],
        axis=1,
    )
    to_unit_square = jnp.array([[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]], corners.dtype)
    return compose(from_unit_square, to_unit_square)


def _solve_2x2(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    (a, b), (c, d) = matrix
    x, y = vector
    return jnp.stack([d * x - b * y, a * y - c * x]) / (a * d - b * c)


def _checked(theta: ArrayLike) -> jax.Array:
    return checked_theta(theta, (3, 3), "projective theta")


FAMILY = Family(
    "projective",
    (*affine.FAMILY.param_names, "theta 31", "theta 32"),
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
    (3, 3),
    projective_grid,
)
