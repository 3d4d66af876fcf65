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

_FIRST = {1: 0.23, 2: -0.018}
"""The weights of the neighbours in the first level, by their distance. Together with linear
interpolation, these come closest to the average over a turned square of two pixels, measured on
photographs and on noise. Their variance is nearly that of such a square, 1/3, which a photograph
needs; without the second neighbours, noise would then be blurred too little."""


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
        sides = _FIRST if level == 0 else {2 ** (level - 1): 0.5}
        for axis in range(image.ndim - 1):
            image = _smoothed(image, axis, sides, mode)
        found.append(image)
    return jnp.stack(found)


def _smoothed(image: jax.Array, axis: int, sides: dict[int, float], mode: str) -> jax.Array:
    """Returns an image whose pixels are averaged with their neighbours along an axis.

    Args:
        image: [*S, C].
        axis: an axis of S.
        sides: the weight of the neighbours on both sides, by their distance.
        mode: how `jnp.pad` continues the image.
    """
    size, reach = image.shape[axis], max(sides)
    margins = [(0, 0)] * image.ndim
    margins[axis] = (reach, reach)
    wide = jnp.pad(image, margins, mode)

    def at(distance: int) -> jax.Array:
        start = reach + distance
        return jax.lax.slice_in_dim(wide, start, start + size, axis=axis)

    middle = (1 - 2 * sum(sides.values())) * image
    return sum((weight * (at(-d) + at(d)) for d, weight in sides.items()), middle)


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
