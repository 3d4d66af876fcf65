"""Theta in words: what happens to the picture, as turn, scale, slant and shift.

A grid maps the output to the input. A motion describes the opposite direction: how the picture that
comes out differs from the one that goes in.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.dtypes import at_least_float32
from stn_jax.errors import UserError
from stn_jax.transforms.regular_grid import Shape, checked_shape, regular_grid

_UNEVEN = 1.05
"""Scales that differ by a smaller factor are described by one number, their geometric mean."""


class Motion(NamedTuple):
    """What a grid does to the picture: it is mirrored, scaled, slanted, turned and moved, in turn.

    All but the shift are about the centre of the picture. Angles are those on the screen: the
    output counts as being drawn as large as the input, whatever its number of pixels.

    Attributes:
        mirrored: whether left and right are swapped.
        scale_x: the factor for the width; above 1, the picture is enlarged.
        scale_y: the factor for the height.
        slant: how far vertical lines lean, in degrees, to the right if positive.
        turn: the angle in degrees, -180..180, to the left (counter-clockwise) if positive.
        right: how far the centre moves to the right, as a share of the width.
        down: how far the centre moves down, as a share of the height.
        bend: the largest distance between the grid and the affine map that is closest to it and
            gives the other numbers, as a share of the picture's size; 0 for affine grids.

    >>> str(grid_motion(stn_jax.affine_grid(jnp.eye(2, 3), (28, 28)), (28, 28)))
    'unchanged'
    """

    mirrored: jax.Array
    scale_x: jax.Array
    scale_y: jax.Array
    slant: jax.Array
    turn: jax.Array
    right: jax.Array
    down: jax.Array
    bend: jax.Array

    def __str__(self) -> str:
        """Describes one motion, such as "turned 14 degrees left, scale 0.95"."""
        _, *numbers = (float(number) for number in self)
        if not all(map(math.isfinite, numbers)):
            return "collapsed to a line or a point"
        scale_x, scale_y, slant, turn, right, down, bend = numbers
        scale = f"{math.sqrt(scale_x * scale_y):.2f}"
        if not 1 / _UNEVEN < scale_x / scale_y < _UNEVEN:
            scale = f"{scale_x:.2f} across and {scale_y:.2f} down"
        moves = [_signed(100 * right, "%", "right", "left"), _signed(100 * down, "%", "down", "up")]
        parts = {
            "mirrored": "left to right" if self.mirrored else "",
            "turned": _signed(turn, " degrees", "left", "right"),
            "scale": scale if scale != "1.00" else "",
            "slanted": _signed(slant, " degrees", "right", "left"),
            "moved": " and ".join(filter(None, moves)),
            "bent": f"by up to {100 * bend:.0f}%" if bend >= 0.005 else "",
        }
        return ", ".join(f"{name} {text}" for name, text in parts.items() if text) or "unchanged"


def _signed(amount: float, unit: str, positive: str, negative: str) -> str:
    """Returns a size with a word for its sign, or nothing if it is rounded to 0."""
    size = f"{abs(amount):.0f}"
    if size == "0":
        return ""
    unit = unit.removesuffix("s") if size == "1" else unit
    return f"{size}{unit} {positive if amount > 0 else negative}"


def grid_motion(grid: ArrayLike, source_shape: Shape, *, align_corners: bool = False) -> Motion:
    """Returns what a sampling grid of any family does to the picture.

    Args:
        grid: [H', W', 2], at least 2x2 points.
        source_shape: (H, W) of the image to be sampled.
        align_corners: that of the grid.

    Returns:
        A `Motion` of scalars. If the grid shows a line or a single point of the image, numbers are
        not finite. `str` describes it.

    Raises:
        UserError: a shape is wrong.

    >>> theta = [0.5, jnp.pi / 2, 0.0, 0.0]
    >>> seen = grid_motion(stn_jax.similarity_grid(theta, (28, 28)), (28, 28))
    >>> str(seen), seen.turn.round(2).item(), seen.scale_x.round(2).item()
    ('turned 90 degrees left, scale 2.00', 90.0, 2.0)
    """
    grid = at_least_float32(grid)
    if grid.ndim != 3 or grid.shape[-1] != 2 or min(grid.shape[:2]) < 2:
        raise UserError(f"grid must have shape (H', W', 2) of at least 2x2, got {grid.shape}")
    target = regular_grid(grid.shape[:2], align_corners=align_corners, dtype=grid.dtype)
    # The columns of the target are orthogonal to each other and to constants.
    linear = jnp.einsum("ijs,ijt->st", grid, target, precision="highest")
    linear = linear / jnp.sum(target**2, axis=(0, 1))
    shift = grid.mean(axis=(0, 1))
    fitted = jnp.einsum("st,ijt->ijs", linear, target, precision="highest") + shift
    bend = jnp.sqrt(jnp.max(jnp.sum((grid - fitted) ** 2, axis=-1))) / 2

    (a, b), (c, d) = linear
    determinant = a * d - b * c
    # The picture moves by the inverse, written in pixels.
    height, width = (size - align_corners for size in checked_shape(source_shape))
    aspect = max(width, 1) / max(height, 1)
    (p, q), (r, s) = ((d, -b * aspect), (-c / aspect, a))
    p, q, r, s = (entry / determinant for entry in (p, q, r, s))
    right, down = (
        -(row[0] * shift[0] + row[1] * shift[1]) / determinant / 2 for row in ((d, -b), (-c, a))
    )
    sign = jnp.where(determinant < 0, -1.0, 1.0).astype(grid.dtype)
    p, r = sign * p, sign * r
    scale_x = jnp.hypot(p, r)
    cos, sin = p / scale_x, r / scale_x  # clockwise on the screen, because y points down
    scale_y = cos * s - sin * q
    lean = (cos * q + sin * s) / scale_y
    return Motion(
        mirrored=determinant < 0,
        scale_x=scale_x,
        scale_y=scale_y,
        slant=-jnp.rad2deg(jnp.arctan(lean)),
        turn=-jnp.rad2deg(jnp.arctan2(sin, cos)),
        right=right,
        down=down,
        bend=bend,
    )
