"""Linear sampling without aliasing where a grid shrinks an image.

The image is blurred in steps: level l averages about 2^l pixels along each axis. A point is read
between the two levels that fit the distance of its neighbours in the grid, as one reads a volume.
"""

import operator

import jax
import jax.numpy as jnp
import numpy as np

from stn_jax.errors import UserError
from stn_jax.sampling.windows import extend

MOST_LEVELS = 10

_FIRST = {1: 118 / 512, 2: -9 / 512}
"""The weights of the neighbours in the first level, by their distance. Together with linear
interpolation, these come closest to the average over a turned square of two pixels, measured on
photographs and on noise. Their variance is nearly that of such a square, 1/3, which a photograph
needs; without the second neighbours, noise would then be blurred too little. The sums of weights
are exactly 1, so that `fill` leaves no trace inside the image."""


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
    found = [image]
    for level in range(levels):
        sides = _FIRST if level == 0 else {2 ** (level - 1): 0.5}
        for axis in range(image.ndim - 1):
            margins = [0] * (image.ndim - 1)
            margins[axis] = max(sides)
            wide = extend(image, margins, padding, align_corners)
            image = _smoothed(wide, axis, sides)
        found.append(image)
    return jnp.stack(found)


def _smoothed(wide: jax.Array, axis: int, sides: dict[int, float]) -> jax.Array:
    """Averages the pixels of an image with their neighbours along an axis.

    Args:
        wide: [*S, C], with a margin as wide as the largest distance.
        axis: an axis of S.
        sides: the weight of the neighbours on both sides, by their distance.
    """
    margin = max(sides)
    size = wide.shape[axis] - 2 * margin

    def at(distance: int) -> jax.Array:
        start = margin + distance
        return jax.lax.slice_in_dim(wide, start, start + size, axis=axis)

    middle = (1 - 2 * sum(sides.values())) * at(0)
    return sum((weight * (at(-d) + at(d)) for d, weight in sides.items()), middle)


def level(points: jax.Array, levels: int) -> jax.Array:
    """Returns the level [*T] at which each point of a grid [*T, n], in pixels, is read.

    The squared distance to the neighbours along the grid's axes, on average, is s^2. The average
    over s pixels has a variance of s^2 / 12; the level is the one whose variance is the same.
    """
    if 0 in points.shape:
        return jnp.zeros(points.shape[:-1], points.dtype)
    squares, used_axes = jnp.zeros_like(points[..., 0]), 0
    # What is no place has no gradient, and its neighbours have theirs.
    points = jnp.where(jnp.abs(points) < 1 / jnp.finfo(points.dtype).eps, points, 0)
    for axis in range(points.ndim - 1):
        steps = jnp.diff(points, axis=axis)
        # At the ends there is one step, and without neighbours there is none.
        mean = _next_to(steps, axis) / jnp.maximum(_next_to(jnp.ones_like(steps), axis), 1)
        squares += jnp.sum(mean**2, axis=-1)
        used_axes += jax.core.min_dim(points.shape[axis] - 1, 1)
    # At the identity, whose square is 1 up to rounding, the level has no gradient.
    square = jnp.clip(squares / jax.core.max_dim(used_axes, 1) - 1e-4, 1, 4.0**levels)
    whole = jnp.floor(jnp.log2(jax.lax.stop_gradient(square)) / 2)
    return jnp.clip(whole + (square / 4**whole - 1) / 3, 0, levels)


def _next_to(steps: jax.Array, axis: int) -> jax.Array:
    """Returns the sum of the steps before and after each point along an axis."""
    margins = [(0, 0)] * steps.ndim
    before, after = (
        jnp.pad(steps, [*margins[:axis], margin, *margins[axis + 1 :]])
        for margin in ((1, 0), (0, 1))
    )
    return before + after
