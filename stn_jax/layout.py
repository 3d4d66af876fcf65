"""Checks that the axes of images are in the order that the library expects: channels last."""

import warnings
from collections.abc import Sequence
from typing import Any

from stn_jax.errors import UserError

_COLOURS = (1, 3)  # channels of pictures
_SMALLEST_SIDE = 8  # pixels


def check_image(shape: Sequence[Any]) -> None:
    """Raises UserError unless this is the shape of one image [H, W, C] with pixels in it.

    Warns if the channels seem to come first.
    """
    shape = tuple(shape)
    if len(shape) != 3 or 0 in shape[:2]:
        hints = {
            2: ": pass image[..., None]",
            4: ": use jax.vmap(stn_jax.sample) for a batch, or stn_jax.spatial_transform",
        }
        raise UserError(
            f"image must have shape (H, W, C) with pixels in it, got {shape}"
            f"{hints.get(len(shape), '')}"
        )
    _warn_if_channels_first(shape)


def check_images(shape: Sequence[Any], reader: str = "") -> None:
    """Raises UserError unless this is the shape of a batch [B, H, W, C].

    Warns if the channels seem to come first.

    Args:
        shape: the shape of the images.
        reader: the module that reads them, for the message.
    """
    shape = tuple(shape)
    if len(shape) != 4:
        hint = ""
        if len(shape) == 3:
            is_one = shape[-1] in _COLOURS
            hint = f": pass {'image[None] for one image' if is_one else 'images[..., None]'}"
        elif len(shape) == 2:
            hint = ": pass image[None, :, :, None] for one image"
        of = f"{reader}: " if reader else ""
        raise UserError(f"{of}images must have shape (B, H, W, C), got {shape}{hint}")
    _warn_if_channels_first(shape)


def _warn_if_channels_first(shape: tuple[Any, ...]) -> None:
    shape = shape[-3:]
    if not all(isinstance(size, int) for size in shape):  # symbolic, for `jax.export`
        return
    if shape[0] in _COLOURS and min(shape[1:]) >= _SMALLEST_SIDE:
        # Python shows a warning of the same text and line once.
        warnings.warn(
            f"images of shape (..., H, W, C) = (..., {', '.join(map(str, shape))}) seem to have "
            "their channels first: if so, pass jnp.moveaxis(images, -3, -1)",
            stacklevel=1,
        )
