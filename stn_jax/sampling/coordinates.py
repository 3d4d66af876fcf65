"""Coordinates along one axis: conversion to pixels, and padding."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from stn_jax.errors import UserError

Padding = Literal["zeros", "border", "reflection", "wrap"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)

Coordinates = Literal["normalised", "pixels"]
COORDINATES: tuple[Coordinates, ...] = get_args(Coordinates)


def check_options(padding: str, coordinates: str) -> None:
    """Raises UserError if there is no such padding, or there are no such coordinates."""
    for name, value, choices in (
        ("padding", padding, PADDINGS),
        ("coordinates", coordinates, COORDINATES),
    ):
        if value not in choices:
            raise UserError(f"{name} must be one of {choices}, got {value!r}")


def to_pixels(coordinate: jax.Array, size: int, align_corners: bool) -> jax.Array:
    """Converts normalised coordinates to positions in pixels; 0 is the centre of the first pixel.

    The coordinates -1 and 1 are the outer edges of the border pixels, or their centres with
    `align_corners`.
    """
    half, offset = ((size - 1) / 2, 0.0) if align_corners else (size / 2, 0.5)
    return (coordinate + 1) * half - offset


def clamp(position: jax.Array, size: int, padding: str) -> jax.Array:
    """Limits a position in pixels, even NaN or infinity, to a range that integers can hold."""
    if padding in ("reflection", "wrap"):
        most = 1 / float(jnp.finfo(position.dtype).eps)
        if isinstance(size, int):
            most = max(most, 2 * size)
        return jnp.where(jnp.abs(position) < most, position, 0)
    # At four pixels outside the image, no tap of any kernel reaches it.
    above = jnp.where(position > -4, position, -4)
    return jnp.where(above < size + 3, above, size + 3)


def apply_padding(position: jax.Array, size: int, padding: str, align_corners: bool) -> jax.Array:
    """Returns the position that is read in place of `position`.

    It is clipped to 0..size-1 under "border", mirrored into that range under "reflection", moved
    there by whole widths of the image under "wrap", and unchanged under "zeros".
    """
    if padding == "zeros":
        return position
    if padding == "reflection":
        position = reflect(position, size, align_corners)
    elif padding == "wrap":
        return position % size
    return jnp.clip(position, 0, size - 1)


def reflect(position: jax.Array, size: int, align_corners: bool) -> jax.Array:
    """Mirrors a position in pixels at the borders, as many times as needed."""
    low, span = (0.0, size - 1) if align_corners else (-0.5, size)
    distance = jnp.abs(position - low) % (2 * jax.core.max_dim(span, 1))
    return jnp.minimum(distance, 2 * span - distance) + low
