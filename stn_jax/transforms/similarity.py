"""Similarities: scale, rotation and translation, 4 parameters.

The rotation is one of pixels: written in normalised coordinates it would shear every image that is
not square. So all functions here depend on the shape of the source.
"""

import functools

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
    """The sampling grid of a zoom and turn about the image's centre, then a shift.

    A target point, scaled to source pixels, is rotated by the angle, scaled, and given back its
    normalised units; then the translation is added. A positive angle turns the sampling grid
    clockwise as seen on the screen (x right, y down), so the picture appears turned
    counter-clockwise, as by `numpy.rot90`. A scale below 1 zooms in.

    Args:
        theta: [4], (scale, angle, tx, ty): angle in radians, translation in normalised units.
        shape: (height, width) of the output in pixels.
        source_shape: (height, width) of the image to be sampled; `shape` if None.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], (x, y) in the source for each target pixel, normalised.

    Raises:
        ValueError: on a theta of another shape, or shapes that are not two positive integers.
    """
    source_shape = shape if source_shape is None else source_shape
    matrix = similarity_matrix(theta, source_shape, align_corners=align_corners)
    return affine_grid(matrix, shape, align_corners=align_corners)


def similarity_matrix(
    theta: ArrayLike, source_shape: Shape, *, align_corners: bool = False
) -> jax.Array:
    """The affine theta [2, 3] that makes the grid of `similarity_grid`.

    Args:
        theta: [4], (scale, angle, tx, ty), as in `similarity_grid`.
        source_shape: (height, width) of the image to be sampled.
        align_corners: as the grid that the matrix is meant for.

    Raises:
        ValueError: on a theta of another shape, or a shape that is not two positive integers.
    """
    scale, angle, tx, ty = _checked(theta)
    height, width = checked_shape(source_shape)
    if align_corners:
        # An axis of a single pixel has no extent; any positive one will do.
        height, width = max(height - 1, 1), max(width - 1, 1)
    cos, sin = scale * jnp.cos(angle), scale * jnp.sin(angle)
    return jnp.array([[cos, -sin * (height / width), tx], [sin * (width / height), cos, ty]])


def compose(
    outer: ArrayLike, inner: ArrayLike, *, source_shape: Shape, align_corners: bool = False
) -> jax.Array:
    """The theta [4] of `x -> outer(inner(x))`, both of them for images of `source_shape`."""
    outer, inner = _checked(outer), _checked(inner)
    shift = _apply(outer, inner[2:], source_shape, align_corners)
    return jnp.concatenate([outer[:1] * inner[:1], outer[1:2] + inner[1:2], shift])


def inverse(theta: ArrayLike, *, source_shape: Shape, align_corners: bool = False) -> jax.Array:
    """The theta [4] that undoes `theta`; not finite where the scale is 0."""
    theta = _checked(theta)
    turn_back = jnp.array([1 / theta[0], -theta[1], 0, 0])
    return turn_back.at[2:].set(_apply(turn_back, -theta[2:], source_shape, align_corners))


@functools.lru_cache
def family(source_shape: tuple[int, int] | None = None) -> Family:
    """The family for images of `source_shape`; for images of the output's shape if None."""
    grid = functools.partial(similarity_grid, source_shape=source_shape)
    names = ("scale", "angle (radians)", *SHIFT_NAMES)
    return Family("similarity", names, (1.0, 0.0, 0.0, 0.0), _checked, grid)


def _apply(
    theta: jax.Array, point: jax.Array, source_shape: Shape, align_corners: bool
) -> jax.Array:
    matrix = similarity_matrix(theta, source_shape, align_corners=align_corners)
    return jnp.matmul(matrix[:, :2], point, precision="highest") + matrix[:, 2]


def _checked(theta: ArrayLike) -> jax.Array:
    return checked_theta(theta, (4,), "similarity theta")
