"""Linear sampling without aliasing where a grid shrinks an image.

The image is blurred in steps: level l averages about 2^l pixels along each axis. A point is read
between the two levels that fit the distance of its neighbours in the grid, as one reads a volume.
"""

import operator

import jax
import jax.numpy as jnp
import numpy as np

from stn_jax.errors import UserError
from stn_jax.sampling.windows import frame_mode

MOST_LEVELS = 10

_SIDE = 0.2
"""The weight of each neighbour in the first level. Together with linear interpolation, 0.2 comes
closest to the average over a square of two pixels: measured on photographs and on noise."""


def checked_levels(antialias: bool | int, method: str, grid_shape: tuple[int, ...]) -> int:
    """Returns the number of blurred levels that `antialias` asks for, 0 for none.

    Raises:
        UserError: there are no such levels, or the method or the grid does not support them.
    """
    try:
        levels = (
            3 if isinstance(antialias, np.bool | bool) and antialias else operator.index(antialias)
        )
    except TypeError:
        levels = -1
    if not 0 <= levels <= MOST_LEVELS:
        raise UserError(f"antialias must be a bool or in 0..{MOST_LEVELS}, got {antialias!r}")
    if levels == 0:
        return 0
    if method not in ("linear", "bilinear"):
        raise UserError(f'antialias needs method="linear", got {method!r}')
    ndim = grid_shape[-1]
    if ndim > 2 or len(grid_shape) != ndim + 1:
        raise UserError(
            "antialias needs a grid [H', W', 2], whose neighbours tell how much it shrinks the "
            f"image, or [W', 1] for a signal, got {grid_shape}"
        )
    return levels


def blurred(image: jax.Array, levels: int, padding: str, align_corners: bool) -> jax.Array:
    """Returns the image [*S, C] and its blurred levels, [levels + 1, *S, C]."""
    mode = frame_mode(padding, align_corners)
    found = [image]
    for level in range(levels):
        step = 2 ** max(level - 1, 0)
        side = _SIDE if level == 0 else 0.5
        for axis in range(image.ndim - 1):
            size = image.shape[axis]
            margins = [(0, 0)] * image.ndim
            margins[axis] = (step, step)
            wide = jnp.pad(image, margins, mode)
            before, behind = (
                jax.lax.slice_in_dim(wide, start, start + size, axis=axis)
                for start in (0, 2 * step)
            )
            image = side * (before + behind) + (1 - 2 * side) * image
        found.append(image)
    return jnp.stack(found)


def level(points: jax.Array, levels: int) -> jax.Array:
    """Returns the level [*T] at which each point of a grid [*T, n], in pixels, is read.

    The squared distance to the neighbours along the grid's axes, on average, is s^2. The average
    over s pixels has a variance of s^2 / 12; the level is the one whose variance is the same.
    """
    squares = []
    # What is no place has no gradient, and its neighbours have theirs.
    points = jnp.where(jnp.abs(points) < 1 / jnp.finfo(points.dtype).eps, points, 0)
    for axis in range(points.ndim - 1):
        if points.shape[axis] > 1:
            # One-sided at the ends, as `jnp.gradient` does it.
            steps = jnp.asarray(jnp.gradient(points, axis=axis))
            squares.append(jnp.sum(steps**2, axis=-1))
    if not squares:
        return jnp.zeros(points.shape[:-1], points.dtype)
    # At the identity, whose square is 1 up to rounding, the level has no gradient.
    square = jnp.clip(sum(squares) / len(squares) - 1e-4, 1, 4.0**levels)
    whole = jnp.floor(jnp.log2(jax.lax.stop_gradient(square)) / 2)
    return jnp.clip(whole + (square / 4**whole - 1) / 3, 0, levels)
