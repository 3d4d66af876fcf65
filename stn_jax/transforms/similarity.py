"""Similarities: scale, rotation and translation, 4 parameters.

The rotation is applied in pixel coordinates. In normalised coordinates, it would shear every image
that is not square. All functions here therefore depend on the shape of the source.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.transforms.affine import affine_grid
from stn_jax.transforms.family import SHIFT_NAMES, Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, checked_shape


def similarity_grid(
    theta: ArrayLike,
    shape: Shape,
    *,
    source_shape: Shape | None = None,
    align_corners: bool = False,
) -> jax.Array:
    """Returns the sampling grid of scaling and rotation about the image's centre, then a shift.

    A target point is converted to source pixels, rotated by the angle, multiplied by the scale and
    normalised again. Then the translation is added. A positive angle rotates the sampling grid
    clockwise as seen on the screen (x right, y down), so the image appears rotated
    counter-clockwise, as with `numpy.rot90`. A scale below 1 zooms in.

    Args:
        theta: [4], (scale, angle, tx, ty): angle in radians, translation in normalised units.
        shape: (height, width) of the output in pixels.
        source_shape: (height, width) of the image to be sampled; `shape` if None. If the two have
            different aspect ratios, it must be given; otherwise the image is sheared.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised.

    Raises:
        ValueError: theta has another shape, or a shape is not two positive integers.

    >>> quarter_turn = [1.0, 3.14159265 / 2, 0.0, 0.0]
    >>> similarity_grid(quarter_turn, (2, 2))[0].round(4).tolist()
    [[0.5, -0.5], [0.5, 0.5]]
    """
    source_shape = shape if source_shape is None else source_shape
    matrix = similarity_matrix(theta, source_shape, align_corners=align_corners)
    return affine_grid(matrix, shape, align_corners=align_corners)


def similarity_matrix(
    theta: ArrayLike, source_shape: Shape, *, align_corners: bool = False
) -> jax.Array:
    """Returns the affine theta [2, 3] whose `affine_grid` is the grid of `similarity_grid`.

    Args:
        theta: [4], (scale, angle, tx, ty), as in `similarity_grid`.
        source_shape: (height, width) of the image to be sampled.
        align_corners: the `align_corners` of the grid that the theta is for.

    Raises:
        ValueError: theta has another shape, or `source_shape` is not two positive integers.

    >>> similarity_matrix([0.5, 0.0, 0.25, 0.0], (28, 56)).tolist()
    [[0.5, -0.0, 0.25], [0.0, 0.5, 0.0]]
    """
    scale, angle, tx, ty = _checked(theta)
    height, width = checked_shape(source_shape)
    if align_corners:
        # An axis with a single pixel has no extent; any positive value works.
        height, width = max(height - 1, 1), max(width - 1, 1)
    cos, sin = scale * jnp.cos(angle), scale * jnp.sin(angle)
    return jnp.array([[cos, -sin * (height / width), tx], [sin * (width / height), cos, ty]])


def compose(
    outer: ArrayLike, inner: ArrayLike, *, source_shape: Shape, align_corners: bool = False
) -> jax.Array:
    """Returns the theta [4] of `x -> outer(inner(x))`, both for images of `source_shape`.

    >>> compose([0.5, 0.25, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], source_shape=(28, 28)).tolist()
    [0.25, 0.75, 0.0, 0.0]
    """
    outer, inner = _checked(outer), _checked(inner)
    shift = _apply(outer, inner[2:], source_shape, align_corners)
    return jnp.concatenate([outer[:1] * inner[:1], outer[1:2] + inner[1:2], shift])


def inverse(theta: ArrayLike, *, source_shape: Shape, align_corners: bool = False) -> jax.Array:
    """Returns the theta [4] that undoes `theta`; not finite if the scale is 0.

    >>> inverse([0.5, 0.25, 0.0, 0.0], source_shape=(28, 28))[:2].tolist()
    [2.0, -0.25]
    """
    theta = _checked(theta)
    turn_back = jnp.array([1 / theta[0], -theta[1], 0, 0])
    return turn_back.at[2:].set(_apply(turn_back, -theta[2:], source_shape, align_corners))


def _apply(
    theta: jax.Array, point: jax.Array, source_shape: Shape, align_corners: bool
) -> jax.Array:
    matrix = similarity_matrix(theta, source_shape, align_corners=align_corners)
    return jnp.matmul(matrix[:, :2], point, precision="highest") + matrix[:, 2]


def _checked(theta: ArrayLike) -> jax.Array:
    return checked_theta(theta, (4,), "similarity theta")


FAMILY = Family(
    "similarity",
    ("scale", "angle (radians)", *SHIFT_NAMES),
    (1.0, 0.0, 0.0, 0.0),
    (4,),
    similarity_grid,
    needs_source_shape=True,
)
