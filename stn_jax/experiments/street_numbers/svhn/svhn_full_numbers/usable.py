"""Converts a picture of an archive to an example of the data set, unless it must be left out."""

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image

from stn_jax.experiments.street_numbers.labels import MAX_DIGITS, NO_DIGIT
from stn_jax.experiments.street_numbers.svhn.format1 import ArchivePicture

TOO_LONG = f"more than {MAX_DIGITS} digits"
_MOST_PIXELS = 1 << 24  # a file of 64 MB could hold 10,000 times as many


class UnusableError(Exception):
    """A picture must be left out. The message says why and does not name the picture."""


def to_example(picture: ArchivePicture) -> tuple[dict[str, Any], bool]:
    """Returns the example as tfds's features expect it, and whether a box was cut at the edge.

    Raises:
        UnusableError: the picture cannot be decoded, or it does not have valid boxes of 1 to 5
            digits.
    """
    boxes = picture.boxes
    if not boxes:
        raise UnusableError("no digits")
    if len(boxes) > MAX_DIGITS:
        raise UnusableError(TOO_LONG)
    if any(box.digit < 0 for box in boxes):
        raise UnusableError("label not in 1..10")
    png, width, height = rgb_png(picture.png)
    left, top, *size, _ = np.array(boxes, np.float64).T
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.stack([top, left, top + size[1], left + size[0]], axis=1)
    if not (np.isfinite(edges).all() and (np.array(size) > 0).all()):
        raise UnusableError("box without a size")
    inside = np.clip(edges, 0, [height, width, height, width])
    if (inside[:, :2] >= inside[:, 2:]).any():
        raise UnusableError("box outside of the picture")
    digits = np.full(MAX_DIGITS, NO_DIGIT, np.int32)
    digits[: len(boxes)] = [box.digit for box in boxes]
    example = {
        "image": png,
        "file_name": picture.name,
        "length": len(boxes),
        "digits": digits,
        "bboxes": inside / [height, width, height, width],
    }
    return example, bool((inside != edges).any())


def rgb_png(content: bytes) -> tuple[bytes, int, int]:
    """Returns a picture as an RGB PNG of 8 bits, and its width and height.

    A file that already is such a PNG is returned unchanged. Transparency is dropped, so that the
    colours under it are visible.

    Raises:
        UnusableError: the content is not a PNG or JPEG file, or it is damaged or too large.
    """
    try:
        with _opened(content) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise UnusableError(f"picture of more than {_MOST_PIXELS} pixels")
            image.load()
            if _is_rgb_png(image, content):
                return content, *image.size
            if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
                rgb = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
            else:
                rgb = image.convert("RGB")
    except UnusableError:
        raise
    except Exception as error:  # Pillow raises errors of any kind for damaged files
        raise UnusableError("unreadable picture") from error
    converted = io.BytesIO()
    rgb.save(converted, "png")
    return converted.getvalue(), *rgb.size


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # told by `rgb_png`
        return Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))


def _is_rgb_png(image: Image.Image, content: bytes) -> bool:
    bit_depth, colour_type = content[24:26]  # from the PNG's header; type 2 is RGB
    return (
        image.format == "PNG"
        and (bit_depth, colour_type) == (8, 2)
        and "transparency" not in image.info
    )
