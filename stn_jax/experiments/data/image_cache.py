"""A cache on disk of pictures that were cut out and resized, as uint8 arrays, with their labels."""

import io
import json
import math
import mmap
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from stn_jax.errors import UserError
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.data.unusable import UnusableError
from stn_jax.experiments.locks import locked
from stn_jax.experiments.training.memory import memory_bytes
from stn_jax.experiments.workdir.json_files import COUNT, LIST_OF_TEXTS, check_entries

_AT_ONCE, _BYTES_AT_ONCE = 512, 64 << 20  # images made together before they are written
_MIXING_SEED = 1607_2011  # the competition of GTSRB, whose signs were the first to be mixed so
_LEFT_OUT = "left_out.json"

FITS = ("pad", "crop", "stretch")

Shape = tuple[int, ...]


class Content(NamedTuple):
    """What a cache holds, and how it is made of N items, such as pictures with their labels."""

    name: str  # of the items, for messages, such as "street numbers"
    settings: Mapping[str, Any]  # that the content depends on; with "count", which is N
    shape: tuple[int, int, int]  # of each image
    columns: Mapping[str, Shape]  # the name and shape of each int32 array, without its first axis
    read: Callable[[], Iterator[Any]]  # gives the items
    make: Callable[[Any], tuple[np.ndarray, Mapping[str, Any]]]  # its image, and its columns
    # Gives the index of each item in the arrays, [N]; None: the items stay in order.
    places: Callable[[], np.ndarray] | None = None
    # Counts an item for which `make` raised UnusableError; takes the report, the reason and the
    # item. Only for items that stay in order.
    leave_out: Callable[[dict[str, Any], str, Any], None] | None = None


class Cached(NamedTuple):
    """The N items that could be used."""

    images: np.ndarray  # [N, H, W, C] uint8, memory-mapped
    columns: dict[str, np.ndarray]  # [N, ...] int32, by name
    left_out: dict[str, Any]  # by reason, as `unusable.leave_out` counts them


def mixed_places(count: int) -> np.ndarray:
    """Returns a place for each of some pictures, [count]: mixed, but always in the same way."""
    return np.random.default_rng(_MIXING_SEED).permutation(count)


def crop_box(
    boxes: np.ndarray, context: float, width: int, height: int
) -> tuple[float, float, float, float]:
    """Returns the box to cut out of a picture: left, top, right and bottom in pixels.

    The box lies within the picture.

    Args:
        boxes: [N, 4], left, top, right and bottom of each thing to show.
        context: the factor by which the box around all of them is enlarged about its centre, in
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


def check_context(context: float) -> None:
    """Raises UserError unless `context` is one that `crop_box` accepts."""
    if context != 0 and not context >= 1:
        raise UserError(
            f"config.data.context must be at least 1, or 0 for whole pictures, got {context}"
        )


def cut_out(
    png: bytes,
    boxes: np.ndarray,
    *,
    shape: tuple[int, int],
    context: float,
    letterbox: bool = False,
) -> np.ndarray:
    """Returns a picture cropped to `crop_box` and resized as in `resize`: [*shape, 3] uint8."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        return resize(picture, shape, crop_box(boxes, context, *picture.size), letterbox)


def fitted(picture: Image.Image, shape: tuple[int, int], fit: str) -> np.ndarray:
    """Returns a picture that is made to fit a shape, [*shape, 3] uint8, or 1 channel if it is grey.

    Args:
        picture: the picture, mode RGB or L.
        shape: height and width in pixels.
        fit: "pad" to repeat the edges of the shorter side, "crop" to use the largest part of the
            middle that has the proportions of the shape, or "stretch" to change the proportions.
    """
    if fit == "crop":
        height, width = shape
        across = min(picture.width, max(1, round(picture.height * width / height)))
        down = min(picture.height, max(1, round(picture.width * height / width)))
        left, top = (picture.width - across) // 2, (picture.height - down) // 2
        picture = picture.crop((left, top, left + across, top + down))
    return resize(picture, shape, letterbox=fit == "pad")


def resize(
    picture: Image.Image,
    shape: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
    letterbox: bool = False,
) -> np.ndarray:
    """Returns a picture, or a box of it, resized: [*shape, 3] uint8, or [*shape, 1] if it is grey.

    With `letterbox`, it keeps its proportions: it fills the height or the width, and the rest
    repeats its edges. Otherwise it is stretched to fill both.

    Pillow's bilinear filter averages over as many pixels as become one, so that nothing is aliased.
    Unlike its sharper filters, it adds no bright or dark lines beside edges. A crop that already
    has the shape is not changed.
    """
    height, width = shape
    if letterbox:
        left, top, right, bottom = box or (0, 0, *picture.size)
        scale = min(width / (right - left), height / (bottom - top))
        width = max(1, round(scale * (right - left)))
        height = max(1, round(scale * (bottom - top)))
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box))
    pixels = pixels.reshape(height, width, -1)
    above, before = (shape[0] - height) // 2, (shape[1] - width) // 2
    around = (above, shape[0] - height - above), (before, shape[1] - width - before), (0, 0)
    return np.pad(pixels, around, mode="edge")


def cached_images(folder: Path, content: Content) -> Cached:
    """Returns the images and the columns.

    The first call creates the images and stores them in `folder`, which is named after the
    settings. Its parent holds all such caches.

    Raises:
        UserError: the cache is damaged, was made with other settings or cannot be written.
    """
    try:
        if not folder.exists():
            _create(folder, content)
    except OSError as error:
        raise UserError(
            f"cannot write {content.name} to {folder} ({error.strerror or error}): make room "
            "there or choose another --config.data.data_dir=DIR"
        ) from error
    return _read(folder, content)


def _create(folder: Path, content: Content) -> None:
    cache = folder.parent
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache):
        if folder.exists():  # by now
            return
        for leftover in cache.glob("*.incomplete"):  # of a process that was killed
            shutil.rmtree(leftover)
        with warnings.catch_warnings(action="ignore"):  # about damage that does not matter
            _write(folder, content)


def _read(folder: Path, content: Content) -> Cached:
    remedy = "delete that folder to have it rebuilt, or choose another --config.data.data_dir=DIR"
    with tfds_support.damage_reported(f"the {content.name}", folder):
        recorded = json.loads((folder / "settings.json").read_text())
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("images", *content.columns)
        }
        if not isinstance(recorded, dict):
            raise ValueError("settings.json holds no settings")
        left_out = {}
        if (folder / _LEFT_OUT).exists():
            left_out = json.loads((folder / _LEFT_OUT).read_text())
            check_entries(left_out, {})
            for entry in left_out.values():
                check_entries(entry, {"count": COUNT, "names": LIST_OF_TEXTS})
        count = content.settings["count"] - sum(entry["count"] for entry in left_out.values())
    if recorded != content.settings:
        differing = [
            f"{key}: {recorded.get(key)!r} there, {value!r} now"
            for key, value in content.settings.items()
            if recorded.get(key) != value
        ]
        raise UserError(
            f"the {content.name} in {folder} were made with other settings "
            f"({'; '.join(differing)}): {remedy}"
        )
    expected: dict[str, tuple[Shape, type]] = {
        name: ((count, *shape), np.int32) for name, shape in content.columns.items()
    }
    expected["images"] = (count, *content.shape), np.uint8
    if {name: (array.shape, array.dtype) for name, array in arrays.items()} != expected:
        raise UserError(f"the {content.name} in {folder} are incomplete: {remedy}")
    images = arrays.pop("images")
    _expect_random_reads(images)
    return Cached(images, {name: np.array(array) for name, array in arrays.items()}, left_out)


def _expect_random_reads(images: np.memmap) -> None:
    """Keeps the system from reading ahead if not all images fit into memory.

    It would read 128 kB for each image, and drop others for them, which can be 50 times slower. If
    all fit, they are in memory sooner when it reads ahead.
    """
    advice = getattr(mmap, "MADV_RANDOM", None)  # there is none on Windows
    if isinstance(images.base, mmap.mmap) and advice and images.nbytes > memory_bytes() / 2:
        images.base.madvise(advice)


def _write(folder: Path, content: Content) -> None:
    """Writes a temporary folder next to `folder`, then renames it."""
    count = content.settings["count"]
    print(f"resizing {count} {content.name} into {folder}", flush=True)
    beside = folder.with_name(f"{folder.name}.incomplete")
    beside.mkdir()
    try:
        columns = {
            name: np.empty((count, *shape), np.int32) for name, shape in content.columns.items()
        }
        report: dict[str, Any] = {"listed": count, "left_out": {}}
        kept = count
        # Not memory-mapped, so that a full disk raises an error and does not kill the process.
        with (beside / "images.npy").open("wb") as images:
            start = _write_header(images, (count, *content.shape))
            places = content.places() if content.places else range(count)
            made = _shown(_all_made(content), content.name, count)
            for place, (item, row) in zip(places, made, strict=True):
                if isinstance(row, UnusableError):
                    if content.leave_out is None:
                        raise row
                    content.leave_out(report, str(row), item)
                    kept -= 1
                    continue
                pixels, entries = row
                place = int(place) - (count - kept)
                images.seek(start + place * pixels.size)
                images.write(pixels.tobytes())
                for name, entry in entries.items():
                    columns[name][place] = entry
            images.seek(0)
            _write_header(images, (kept, *content.shape))
        for name, column in columns.items():
            np.save(beside / f"{name}.npy", column[:kept])
        if report["left_out"]:
            (beside / _LEFT_OUT).write_text(json.dumps(report["left_out"], indent=2) + "\n")
        (beside / "settings.json").write_text(json.dumps(content.settings, indent=2) + "\n")
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _write_header(file: BinaryIO, shape: Shape) -> int:
    """Writes the header of an array of uint8, and returns its length, the same for any count."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _all_made(content: Content) -> Iterator[tuple[Any, Any]]:
    """Yields each item and what is made of it, or the UnusableError.

    Pillow can decode in several threads at once.
    """

    def attempt(item: Any) -> tuple[np.ndarray, Mapping[str, Any]] | UnusableError:
        try:
            return content.make(item)
        except UnusableError as error:
            return error

    items = content.read()
    at_once = max(1, min(_AT_ONCE, _BYTES_AT_ONCE // math.prod(content.shape)))
    with ThreadPoolExecutor() as pool:
        while some := list(islice(items, at_once)):
            yield from zip(some, pool.map(attempt, some), strict=True)


def _shown(made: Iterator, name: str, total: int) -> Iterator:
    return tqdm(made, f"resizing {name}", total, disable=not sys.stderr.isatty())
