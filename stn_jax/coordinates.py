"""From normalised coordinates to pixels along one axis, and what lies outside of the image."""

import jax
import jax.numpy as jnp

PADDINGS = ("zeros", "border", "reflection")


def in_pixels(coordinate: jax.Array, size: int, align_corners: bool) -> jax.Array:
    """Positions in pixels, 0 the centre of the first one, of normalised coordinates.

    -1 and 1 are the outer edges of the border pixels, or their centres with `align_corners`.
    """
    half, offset = ((size - 1) / 2, 0.0) if align_corners else (size / 2, 0.5)
    return (coordinate + 1) * half - offset


def tame(position: jax.Array, size: int, padding: str) -> jax.Array:
    """Brings a position in pixels, NaN and infinity too, to a range that integers can hold."""
    if padding == "reflection":
        return jnp.where(jnp.abs(position) < 1 / jnp.finfo(position.dtype).eps, position, 0)
    # Three pixels away, no tap of any method reaches the image.
    above = jnp.where(position > -3, position, -3)
    return jnp.where(above < size + 2, above, size + 2)


def fold(position: jax.Array, size: int, padding: str, align_corners: bool) -> jax.Array:
    """Where a position in pixels is read: clipped or mirrored into 0..size-1, or left as it is."""
    if padding == "zeros":
        return position
    if padding == "reflection":
        position = mirror(position, size, align_corners)
    return jnp.clip(position, 0, size - 1)


def mirror(position: jax.Array, size: int, align_corners: bool) -> jax.Array:
    """Mirrors a position in pixels at the border, as often as it takes."""
    low, span = (0.0, size - 1) if align_corners else (-0.5, size)
    distance = jnp.abs(position - low) % (2 * max(span, 1))
    return jnp.minimum(distance, 2 * span - distance) + low
