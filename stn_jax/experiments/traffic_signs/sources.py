"""The source of traffic signs: GTSRB, with a validation split by track."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.data import image_cache, tfds_support
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.data.prepared_data import archives_digest
from stn_jax.experiments.traffic_signs.gtsrb.prepared import Sign, prepare, read_signs

EVALUATE_ON = ("test", "held_out")
MOST_HELD_OUT = 0.5
_FORMAT = 1
_TRACK_SEED = 3107_2011


def load_traffic_signs(config: ConfigDict) -> tuple[Examples, Examples]:
    """Returns the examples to train on and the examples to evaluate on, by `config.data`.

    The share `held_out` of each class's tracks is set aside; see `held_out_tracks`. The other
    training examples are mixed, always in the same way, and `subset` selects the first of them.
    Images are [size, size, 3] uint8 and memory-mapped; labels are the classes 0..42.

    Raises:
        UserError: a setting is unknown or out of range, or data are not available or cannot be read
            or written.
    """
    check_choice(config.evaluate_on, EVALUATE_ON, "config.data.evaluate_on")
    if not 0 <= config.held_out <= MOST_HELD_OUT:
        raise UserError(
            f"config.data.held_out must be in 0..{MOST_HELD_OUT}, got {config.held_out}: it is the "
            "share of each class's tracks"
        )
    if config.evaluate_on == "held_out" and config.held_out == 0:
        raise UserError("config.data.evaluate_on=held_out needs a config.data.held_out above 0")
    image_cache.check_context(config.context)
    root = tfds_support.root(config.data_dir)
    builder = prepare(str(root), config.manual_dir)
    if not all(builder.info.metadata[split]["official"] for split in builder.info.splits):
        print("note: these are not GTSRB's official archives, but others of the same format")
    cache = root / "traffic_sign_crops"
    kind = {"size": config.size, "context": config.context}
    train = load_signs(cache, builder, "train", **kind, held_out=config.held_out)
    last = train.num_learned
    if not 0 <= config.subset <= last:
        raise UserError(f"config.data.subset must be in 0..{last}, got {config.subset}")
    learned = _rows(train.examples, 0, config.subset or last)
    if config.evaluate_on == "test":
        return learned, load_signs(cache, builder, "test", **kind).examples
    held_out = _rows(train.examples, last, len(train.tracks))
    if not len(held_out.labels):
        raise UserError(
            "config.data.evaluate_on=held_out needs a class with at least two tracks: use "
            "--config.data.evaluate_on=test"
        )
    return learned, held_out


class Signs(NamedTuple):
    """All N examples of a split; those that are held out are last."""

    examples: Examples
    tracks: np.ndarray  # [N] int32, unique within a class
    num_learned: int


def held_out_tracks(labels: np.ndarray, tracks: np.ndarray, share: float) -> np.ndarray:
    """Returns which examples are held out, [N] bool: all those of some tracks of each class.

    The choice is random but always the same, whatever the order of the examples. A larger share
    includes the tracks of a smaller one.

    Args:
        labels: [N], the classes.
        tracks: [N], unique within a class.
        share: the share of each class's tracks, rounded, but at least one if it is above 0. A class
            keeps at least one to learn from.
    """
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = labels == label
        choices = np.unique(tracks[of_class])
        count = min(max(round(share * len(choices)), share > 0), len(choices) - 1)
        random = np.random.default_rng((_TRACK_SEED, int(label)))
        held_out |= of_class & np.isin(tracks, random.permutation(choices)[:count])
    return held_out


def load_signs(
    cache: Path, builder: Any, split: str, *, size: int, context: float, held_out: float = 0.0
) -> Signs:
    """Returns the examples of a split, with images [N, size, size, 3], memory-mapped.

    The first call creates the images and stores them in a folder below `cache` that is named after
    the settings. Training examples are mixed, always in the same way; test examples stay in order.

    Args:
        cache: the folder of all such caches.
        builder: the builder that `prepare` returns.
        split: "train" or "test".
        size: height and width of the images, in pixels.
        context: how much around the sign is shown; see `image_cache.crop_box`.
        held_out: the share of tracks that are held out; see `held_out_tracks`.

    Raises:
        UserError: the cache is damaged, was made with other settings or cannot be written.
    """
    count = builder.info.splits[split].num_examples
    archives = archives_digest(builder, [split])
    settings = {
        "format": _FORMAT,
        "archives": archives,
        "count": count,
        "size": size,
        "context": context,
        "held_out": held_out,
    }

    def places() -> np.ndarray:
        if split == "test":
            return np.arange(count)
        signs = read_signs(builder, split)
        labels, tracks = np.array([(sign.label, sign.track) for sign in signs]).T
        shuffled = image_cache.mixed_places(count)
        return np.argsort(np.lexsort((shuffled, held_out_tracks(labels, tracks, held_out))))

    def make(sign: Sign) -> tuple[np.ndarray, dict[str, int]]:
        image = image_cache.cut_out(sign.png, sign.roi, shape=(size, size), context=context)
        return image, {"labels": sign.label, "tracks": sign.track}

    content = image_cache.Content(
        "traffic signs",
        settings,
        (size, size, 3),
        columns={"labels": (), "tracks": ()},
        read=lambda: read_signs(builder, split),
        make=make,
        places=places,
    )
    folder = cache / f"{split}-{size}px-context{context:g}-out{held_out:g}-{archives}"
    images, columns, _ = image_cache.cached_images(folder, content)
    labels, tracks = columns["labels"], columns["tracks"]
    num_learned = count - int(held_out_tracks(labels, tracks, held_out).sum())
    return Signs(Examples(images, labels), tracks, num_learned)


def _rows(examples: Examples, start: int, stop: int) -> Examples:
    return Examples(examples.images[start:stop], examples.labels[start:stop])
