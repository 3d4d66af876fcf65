"""The examples of the user's pictures: decoded once, then read from a memory-mapped cache."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data import image_cache, tfds_support
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.data.picture_files import decode
from stn_jax.experiments.data.unusable import leave_out
from stn_jax.experiments.own_pictures.listed_folders import list_folders
from stn_jax.experiments.own_pictures.listed_tfds import list_tfds
from stn_jax.experiments.own_pictures.listing import Item, Listing, Split, shortened
from stn_jax.experiments.own_pictures.remembered import remember, remembered
from stn_jax.experiments.user_paths import expanded

CHANNELS = {"rgb": 3, "grey": 1}
"""By `config.data.colours`."""

SPLITS = ("folders", "random", "group", "list")

_FORMAT = 1
_MOST_UNUSABLE = 0.5
_MUCH_LARGER = 3  # a class than another one
_ENOUGH = 4  # pixels of a picture for one of an image, in each direction


class OwnPictures(NamedTuple):
    """The examples, and what the user should know about them."""

    title: str
    train: Examples
    test: Examples
    notes: Sequence[str]


def list_pictures(config: ConfigDict) -> Listing:
    """Returns which pictures `config.data` is about, without decoding them.

    Raises:
        UserError: as `list_folders` and `list_tfds`, or no pictures are named, or both kinds.
    """
    if bool(config.dir) == bool(config.tfds):
        raise UserError(
            "name your pictures: either --config.data.dir=DIR, with DIR/train/CLASS/1.png and "
            "DIR/test/CLASS/2.png, or --config.data.tfds=NAME, a prepared tensorflow-datasets data "
            "set"
        )
    return list_folders(config) if config.dir else list_tfds(config)


def load_pictures(config: ConfigDict) -> OwnPictures:
    """Returns the examples of `config.data`, memory-mapped.

    Images are [height, width, channels] uint8; labels are places in the names of the classes.

    Raises:
        UserError: as `list_pictures`, or more than half of the pictures cannot be used, or the
            cache is damaged or cannot be written.
    """
    folder = tfds_support.data_folder(config.data_dir) / "own_pictures"
    gone = bool(config.dir) and not expanded(config.dir, "config.data.dir").exists()
    listing = (remembered(config, folder) if gone else None) or list_pictures(config)
    train = _cached(folder, listing.title, "train", listing.train, config)
    test = _cached(folder, listing.title, "test", listing.test, config)
    remember(listing, config, folder)
    notes = [*listing.notes]
    if config.digest not in ("", listing.identity):
        notes.append(f"{listing.train.where}: other pictures than when the run was started")
    for name, split, cached in (("train", listing.train, train), ("test", listing.test, test)):
        notes += _unusable(name, split, cached)
    notes += _balance(listing.class_names, train.columns["labels"], test.columns["labels"])
    notes += _repeated(train, test)
    examples = [Examples(each.images, each.columns["labels"]) for each in (train, test)]
    return OwnPictures(listing.title, examples[0], examples[1], notes)


def picture_shape(config: ConfigDict) -> tuple[int, int]:
    """Returns the (height, width) of stored pictures, in pixels."""
    height, width = (config.size,) * 2 if isinstance(config.size, int) else config.size
    return height, width


def size_text(config: ConfigDict) -> str:
    """Returns the size of stored pictures for names, such as "32" or "32x96"."""
    height, width = picture_shape(config)
    return f"{height}" if height == width else f"{height}x{width}"


def image_of(picture: Image.Image, config: ConfigDict) -> np.ndarray:
    """Returns a picture, mode RGB, as it is stored: [height, width, channels] uint8."""
    if config.colours == "grey":
        picture = picture.convert("L")
    return image_cache.fitted(picture, picture_shape(config), config.fit)


def _cached(
    folder: Path, title: str, name: str, split: Split, config: ConfigDict
) -> image_cache.Cached:
    shape = picture_shape(config)
    size = shape[0] if shape[0] == shape[1] else list(shape)
    kind = {"size": size, "colours": config.colours, "fit": config.fit}
    settings = {"format": _FORMAT, "pictures": split.identity, "count": split.num_pictures} | kind

    def make(item: Item) -> tuple[np.ndarray, dict[str, Any]]:
        content = item.read()
        image = image_of(decode(content, _ENOUGH * max(shape)), config)
        content_digest = np.frombuffer(hashlib.sha256(content).digest()[:8], np.int32)
        return image, {"labels": item.label, "digests": content_digest}

    def note_unusable(report: dict[str, Any], reason: str, item: Item) -> None:
        leave_out(
            report,
            reason,
            printable(item.name),
            Path(split.where),
            most=_MOST_UNUSABLE,
            remedy="see that these are pictures that can be read, or remove them",
        )

    content = image_cache.Content(
        "pictures",
        settings,
        (*shape, CHANNELS[config.colours]),
        columns={"labels": (), "digests": (2,)},
        read=split.items,
        make=make,
        leave_out=note_unusable,
    )
    slug = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")[:40] or "pictures"
    kinds = f"{size_text(config)}px-{config.colours}-{config.fit}"
    return image_cache.cached_images(folder / f"{slug}-{name}-{kinds}-{split.identity}", content)


def _unusable(name: str, split: Split, cached: image_cache.Cached) -> list[str]:
    """Returns a line for each reason for which pictures were left out."""
    notes = []
    for reason, entry in cached.left_out.items():
        names = ", ".join(entry["names"]) + ", ..." * (entry["count"] > len(entry["names"]))
        counts = f"{entry['count']:,} of {split.num_pictures:,}"
        notes.append(f"{name}: {counts} pictures left out, {reason}: {names}")
    return notes


def _balance(class_names: Sequence[str], train: np.ndarray, test: np.ndarray) -> list[str]:
    counts = np.bincount(train, minlength=len(class_names))
    notes = []
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] >= _MUCH_LARGER * counts[least]:
        notes.append(
            f"the classes are unbalanced: {counts[most]:,} training pictures of "
            f"{class_names[most]}, {counts[least]:,} of {class_names[least]}"
        )
    untested = [class_names[label] for label in np.setdiff1d(np.arange(len(class_names)), test)]
    if untested:
        notes.append(f"no test pictures of {shortened(untested)}")
    return notes


def _repeated(train: image_cache.Cached, test: image_cache.Cached) -> list[str]:
    """Returns a warning about files that are in both sets."""
    first, second = (each.columns["digests"].view(np.int64).ravel() for each in (train, test))
    count = int(np.isin(second, first).sum())
    if not count:
        return []
    return [
        f"{count:,} of {len(second):,} test pictures are also training pictures, so the test error "
        "is too low"
    ]
