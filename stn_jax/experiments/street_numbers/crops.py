"""A cache on disk of numbers cut out of their pictures and resized, as uint8 arrays."""

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from stn_jax.errors import UserError
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.locks import locked
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.street_numbers.svhn.prepared import Number, read_numbers

_FORMAT = 1
_AT_ONCE = 512  # numbers decoded together before they are written
_SHUFFLING_SEED = 1312_6082


def crop_box(
    boxes: np.ndarray, context: float, width: int, height: int
) -> tuple[float, float, float, float]:
    """Returns the box to cut out of a picture: left, top, right and bottom in pixels.

    The box lies within the picture.

    Args:
        boxes: [digits, 4], left, top, right and bottom of each digit.
        context: the factor by which the box around all digits is enlarged about its centre, in
            width and in height, as far as the picture reaches. 0: the whole picture.
        width: the width of the picture, in pixels.
        height: the height of the picture, in pixels.
    """
    if context == 0:
        return 0.0, 0.0, float(width), float(height)
    corners = boxes.reshape(-1, 2, 2)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    middle, half = (low + high) / 2, context * (high - low) / 2
    left, top = np.maximum(middle - half, 0).tolist()
    right, bottom = np.minimum(middle + half, (width, height)).tolist()
    return left, top, right, bottom


def cut_out(number: Number, *, size: int, context: float) -> np.ndarray:
    """Returns a number's picture, cropped to `crop_box` and resized: [size, size, 3] uint8."""
    with Image.open(io.BytesIO(number.png), formats=("PNG",)) as picture:
        box = crop_box(number.boxes, context, *picture.size)
        return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box))


def load_crops(
    cache: Path, builder: Any, splits: Sequence[str], *, size: int, context: float, shuffled: bool
) -> Examples:
    """Returns the numbers of some splits as images [N, size, size, 3], memory-mapped.

    The first call creates the images and stores them in a folder below `cache` that is named after
    the settings.

    Args:
        cache: the folder of all such caches.
        builder: the builder that `prepare` returns.
        splits: the names of the splits, such as ("train", "extra").
        size: height and width of the images, in pixels.
        context: how much around the digits is shown; see `crop_box`.
        shuffled: whether the splits are mixed, always in the same way; if not, they stay in order.

    Raises:
        UserError: the cache is damaged, was made with other settings or cannot be written.
    """
    if context != 0 and not context >= 1:
        raise UserError(
            f"config.data.context must be at least 1, or 0 for whole pictures, got {context}"
        )
    digests = [builder.info.metadata[split]["archive_sha256"] for split in splits]
    archives = hashlib.sha256("".join(digests).encode()).hexdigest()[:12]
    settings = {
        "format": _FORMAT,
        "archives": archives,
        "count": sum(builder.info.splits[split].num_examples for split in splits),
        "size": size,
        "context": context,
        "shuffled": shuffled,
    }
    kind = f"{size}px-context{context:g}-{archives}"
    folder = cache / f"{builder.builder_config.name}-{'+'.join(splits)}-{kind}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache):
            if not folder.exists():
                for leftover in cache.glob("*.incomplete"):  # of a process that was killed
                    shutil.rmtree(leftover)
                _write(folder, builder, splits, settings)
    except OSError as error:
        raise UserError(
            f"cannot write street numbers to {folder} ({error.strerror or error}): make room there "
            "or choose another --config.data.data_dir=DIR"
        ) from error
    return _read(folder, settings)


def _read(folder: Path, settings: dict[str, Any]) -> Examples:
    remedy = "delete that folder to have it rebuilt, or choose another --config.data.data_dir=DIR"
    with tfds_support.damage_reported("the street numbers", folder):
        recorded = json.loads((folder / "settings.json").read_text())
        images, labels = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels")
        )
        if not isinstance(recorded, dict):
            raise ValueError("settings.json holds no settings")
    if recorded != settings:
        differing = [
            f"{key}: {recorded.get(key)!r} there, {value!r} now"
            for key, value in settings.items()
            if recorded.get(key) != value
        ]
        raise UserError(
            f"the street numbers in {folder} were made with other settings "
            f"({'; '.join(differing)}): {remedy}"
        )
    count, size = settings["count"], settings["size"]
    found = [(array.shape, array.dtype) for array in (images, labels)]
    if found != [((count, size, size, 3), np.uint8), ((count, MAX_DIGITS), np.int32)]:
        raise UserError(f"the street numbers in {folder} are incomplete: {remedy}")
    return Examples(images, np.array(labels))


def _write(folder: Path, builder: Any, splits: Sequence[str], settings: dict[str, Any]) -> None:
    """Writes a temporary folder next to `folder`, then renames it."""
    count, size, context = (settings[name] for name in ("count", "size", "context"))
    print(f"cutting out {count} street numbers into {folder}", flush=True)
    places = np.arange(count)
    if settings["shuffled"]:
        places = np.random.default_rng(_SHUFFLING_SEED).permutation(count)
    beside = folder.with_name(f"{folder.name}.incomplete")
    beside.mkdir()
    try:
        labels = np.empty((count, MAX_DIGITS), np.int32)
        # Not memory-mapped, so that a full disk raises an error and does not kill the process.
        with (beside / "images.npy").open("wb") as images:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
            np.lib.format.write_array_header_1_0(images, header)
            start = images.tell()
            numbers = (number for split in splits for number in read_numbers(builder, split))
            cut = _cut_out_all(numbers, size=size, context=context)
            for place, (pixels, digits) in zip(places, _shown(cut, count), strict=True):
                images.seek(start + int(place) * pixels.size)
                images.write(pixels.tobytes())
                labels[place] = digits
        np.save(beside / "labels.npy", labels)
        (beside / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _cut_out_all(
    numbers: Iterator[Number], *, size: int, context: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the pixels and digits of each number; Pillow can decode in several threads at once."""
    with ThreadPoolExecutor() as pool:
        while some := list(islice(numbers, _AT_ONCE)):
            cut = pool.map(lambda number: cut_out(number, size=size, context=context), some)
            yield from zip(cut, (number.digits for number in some), strict=True)


def _shown(items: Iterator, total: int) -> Iterator:
    return tqdm(items, "cutting out numbers", total, disable=not sys.stderr.isatty())
