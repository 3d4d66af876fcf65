"""Checks that the axes of images are in the order that the library expects: channels last."""

import warnings
from collections.abc import Sequence
from typing import Any

from stn_jax.errors import UserError

_COLOURS = (1, 3)  # channels of pictures
_SMALLEST_SIDE = 8  # pixels


SHAPES = {1: "W", 2: "H, W", 3: "D, H, W"}
"""The axes of signals, images and volumes, without that of the channels, by their number."""


def check_image(shape: Sequence[Any], grid_shape: Sequence[Any]) -> None:
    """Raises UserError unless these are an image [*S, C] with pixels in it and a grid for it.

    Warns if the channels seem to come first.
    """
    *sizes, channels = tuple(shape) or (0,)
    many = "use jax.vmap(stn_jax.sample) for a batch, or stn_jax.spatial_transform"
    if len(sizes) not in SHAPES or 0 in sizes:
        *others, last = (f"({axes}, C)" for axes in SHAPES.values())
        raise UserError(
            f"image must have shape {', '.join(others)} or {last} with pixels in it, got "
            f"{tuple(shape)}{f': {many}' if len(sizes) > len(SHAPES) else ''}"
        )
    if tuple(grid_shape[-1:]) != (len(sizes),):
        hint = {
            len(sizes) + 1: ": pass image[..., None] if the image has no axis of channels",
            len(sizes) - 1: f": {many}",
        }.get(grid_shape[-1] if len(grid_shape) else 0, "")
        raise UserError(
            f"grid must have shape (..., {len(sizes)}) for an image of shape "
            f"({SHAPES[len(sizes)]}, C) = {tuple(shape)}, got {tuple(grid_shape)}{hint}"
        )
    _warn_if_channels_first((*sizes, channels))


def check_images(shape: Sequence[Any], reader: str = "", ndim: int = 2) -> None:
    """Raises UserError unless this is the shape of a batch, [B, H, W, C] in two dimensions.

    Warns if the channels seem to come first.

    Args:
        shape: the shape of the images.
        reader: the module that reads them, for the message.
        ndim: the number of axes of each image, without that of the channels.
    """
    shape = tuple(shape)
    if len(shape) != ndim + 2:
        hint = ""
        if len(shape) == ndim + 1:
            is_one = shape[-1] in _COLOURS
            hint = f": pass {'image[None] for one image' if is_one else 'images[..., None]'}"
        elif len(shape) == ndim:
            hint = f": pass image[None, {':, ' * ndim}None] for one image"
        elif len(shape) - 2 in SHAPES:
            family = f'make_family("affine", ndim={len(shape) - 2})'
            hint = f": name a family of these dimensions, such as {family}"
        of = f"{reader}: " if reader else ""
        raise UserError(f"{of}images must have shape (B, {SHAPES[ndim]}, C), got {shape}{hint}")
    _warn_if_channels_first(shape[1:])


def _warn_if_channels_first(shape: tuple[Any, ...]) -> None:
    if len(shape) != 3 or not all(
        isinstance(size, int) for size in shape
    ):  # symbolic, for `jax.export`
        return
    if shape[0] in _COLOURS and min(shape[1:]) >= _SMALLEST_SIDE:
        # Python shows a warning of the same text and line once.
        warnings.warn(
            f"images of shape (..., H, W, C) = (..., {', '.join(map(str, shape))}) seem to have "
            "their channels first: if so, pass jnp.moveaxis(images, -3, -1)",
            stacklevel=1,
        )
