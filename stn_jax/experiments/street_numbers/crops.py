"""A cache on disk of numbers cut out of their pictures and resized, as uint8 arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stn_jax.experiments.data import image_cache
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.data.prepared_data import archives_digest
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.street_numbers.shapes import Shape
from stn_jax.experiments.street_numbers.svhn.prepared import Number, read_numbers

_FORMAT = 1
_SHUFFLING_SEED = 1312_6082


def cut_out(number: Number, **kind: Any) -> np.ndarray:
    """Returns a number's picture, cropped and resized as in `image_cache.cut_out`."""
    return image_cache.cut_out(number.png, number.boxes, **kind)


def load_crops(
    cache: Path,
    builder: Any,
    splits: Sequence[str],
    *,
    shape: Shape,
    context: float,
    letterbox: bool = False,
    shuffled: bool,
) -> Examples:
    """Returns the numbers of some splits as images [N, *shape, 3], memory-mapped.

    The first call creates the images and stores them in a folder below `cache` that is named after
    the settings.

    Args:
        cache: the folder of all such caches.
        builder: the builder that `prepare` returns.
        splits: the names of the splits, such as ("train", "extra").
        shape: height and width of the images, in pixels.
        context: how much around the digits is shown; see `image_cache.crop_box`.
        letterbox: whether the images keep their proportions; see `image_cache.resize`.
        shuffled: whether the splits are mixed, always in the same way; if not, they stay in order.

    Raises:
        UserError: the cache is damaged, was made with other settings or cannot be written.
    """
    image_cache.check_context(context)
    height, width = shape
    archives = archives_digest(builder, splits)
    settings = {
        "format": _FORMAT,
        "archives": archives,
        "count": sum(builder.info.splits[split].num_examples for split in splits),
        "size": height if height == width else [height, width],
        "context": context,
        "shuffled": shuffled,
    } | ({"letterbox": True} if letterbox else {})

    def make(number: Number) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        image = cut_out(number, shape=shape, context=context, letterbox=letterbox)
        return image, {"labels": number.digits}

    size = str(height) if height == width else f"{height}x{width}"
    kind = f"{size}px-context{context:g}-{archives}" + "-letterbox" * letterbox
    content = image_cache.Content(
        "street numbers",
        settings,
        (*shape, 3),
        columns={"labels": (MAX_DIGITS,)},
        read=lambda: (number for split in splits for number in read_numbers(builder, split)),
        make=make,
        places=lambda: places(settings["count"], shuffled),
    )
    folder = cache / f"{builder.builder_config.name}-{'+'.join(splits)}-{kind}"
    images, columns, _ = image_cache.cached_images(folder, content)
    return Examples(images, columns["labels"])


def places(count: int, shuffled: bool) -> np.ndarray:
    """Returns the place in the arrays of each number that is read, [count]."""
    if shuffled:
        return np.random.default_rng(_SHUFFLING_SEED).permutation(count)
    return np.arange(count)
