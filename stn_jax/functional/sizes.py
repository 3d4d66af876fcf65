"""The sizes of the localisation networks' layers, checked before any layer is made."""

import math
from collections.abc import Sequence
from typing import Literal

from stn_jax.errors import UserError, check_choice
from stn_jax.layout import SHAPES


def fitting_padding(
    input_shape: Sequence[int], *, filters: Sequence[int], downsample: int
) -> Literal["VALID", "SAME"]:
    """Returns "VALID" if the convolutions of a localisation network then fit, otherwise "SAME".

    Arguments as in `flat_features`.

    >>> fitting_padding((28, 28, 1), filters=(20, 20), downsample=2)
    'VALID'
    >>> fitting_padding((12, 12, 1), filters=(20, 20), downsample=2)
    'SAME'
    """
    size = _sizes(input_shape, filters, downsample, "VALID") if downsample > 0 else []
    return "VALID" if min(size, default=1) > 0 else "SAME"


def flat_features(
    network: str,
    input_shape: Sequence[int],
    features: Sequence[int],
    *,
    filters: Sequence[int] = (),
    downsample: int = 1,
    padding: str = "VALID",
) -> int:
    """Returns how many features the first fully connected layer of a localisation network reads.

    Args:
        network: the name of the network, for messages.
        input_shape: (H, W, C) of the network's inputs, (W, C) or (D, H, W, C).
        features: the widths of the fully connected layers.
        filters: the numbers of filters of the 5x5 convolutions, with 2x2 max-pooling between them.
        downsample: the size and stride of the average pooling before them.
        padding: the padding of the convolutions, "VALID" or "SAME".

    Raises:
        UserError: an option is out of range, or the inputs are too small.

    >>> flat_features("ConvLocalisation", (28, 28, 1), (20,), filters=(20, 20), downsample=2)
    20
    """
    check_choice(padding, ("VALID", "SAME"), "padding")
    if min(input_shape) < 1:
        axes = SHAPES[len(input_shape) - 1]
        raise UserError(
            f"{network} needs images with {axes} and C of at least 1, "
            f"got ({axes}, C) = {tuple(input_shape)}"
        )
    if min((*filters, *features, downsample)) < 1:
        raise UserError(
            f"{network}: filters, features and downsample must be at least 1, got "
            f"filters={tuple(filters)}, features={tuple(features)}, downsample={downsample}"
        )
    size = _sizes(input_shape, filters, downsample, padding)
    if min(size, default=1) < 1:
        remedies = ["a larger image"]
        if min(_sizes(input_shape, filters, 1, padding)) > 0:
            remedies.insert(0, "downsample=1")
        if padding == "VALID":
            remedies.insert(0, 'padding="SAME"')
        raise UserError(
            f"{network}: {len(filters)} convolutions of 5x5 with padding={padding!r} do not fit "
            f"images of {tuple(input_shape[:-1])} pixels that are downsampled by {downsample}: "
            f"use {' or '.join(remedies)}"
        )
    return math.prod(size) * (filters[-1] if filters else input_shape[-1])


def _sizes(
    input_shape: Sequence[int], filters: Sequence[int], downsample: int, padding: str
) -> list[int]:
    """Returns the height and width after the last convolution; below 1 if it does not fit."""
    sides = input_shape[:-1]
    return [_size_after_convolutions(side // downsample, len(filters), padding) for side in sides]


def _size_after_convolutions(size: int, layers: int, padding: str) -> int:
    for layer in range(layers):
        if layer > 0:
            size = -(-size // 2)
        if padding == "VALID":
            size -= 4
    return size
