"""The sizes of the localisation networks' layers, checked before any layer is made."""

import math
from collections.abc import Sequence

from stn_jax.errors import UserError, check_choice


def flat_features(
    input_shape: Sequence[int],
    features: Sequence[int],
    *,
    filters: Sequence[int] = (),
    downsample: int = 1,
    padding: str = "VALID",
) -> int:
    """Returns how many features the first fully connected layer of a localisation network reads.

    Args:
        input_shape: (H, W, C) of the network's inputs.
        features: the widths of the fully connected layers.
        filters: the numbers of filters of the 5x5 convolutions, with 2x2 max-pooling between them.
        downsample: the size and stride of the average pooling before them.
        padding: the padding of the convolutions, "VALID" or "SAME".

    Raises:
        UserError: an option is out of range, or the inputs are too small.

    >>> flat_features((28, 28, 1), (20,), filters=(20, 20), downsample=2)
    20
    """
    check_choice(padding, ("VALID", "SAME"), "padding")
    if min(input_shape) < 1:
        raise UserError(
            f"a localisation network needs images with H, W and C of at least 1, "
            f"got (H, W, C) = {tuple(input_shape)}"
        )
    if min((*filters, *features, downsample)) < 1:
        raise UserError(
            f"filters, features and downsample must be at least 1, got filters={tuple(filters)}, "
            f"features={tuple(features)}, downsample={downsample}"
        )
    *size, channels = input_shape
    size = [_size_after_convolutions(s // downsample, len(filters), padding) for s in size]
    if min(size, default=1) < 1:
        raise UserError(
            f"{len(filters)} convolutions of 5x5 with padding {padding!r} do not fit an input of "
            f"{tuple(input_shape[:2])} pixels that is downsampled by {downsample}"
        )
    return math.prod(size) * (filters[-1] if filters else channels)


def _size_after_convolutions(size: int, layers: int, padding: str) -> int:
    for layer in range(layers):
        if layer > 0:
            size = -(-size // 2)
        if padding == "VALID":
            size -= 4
    return size
