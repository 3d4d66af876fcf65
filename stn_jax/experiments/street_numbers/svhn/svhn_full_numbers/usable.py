"""Converts a picture of an archive to an example of the data set, unless it must be left out."""

from typing import Any

import numpy as np

from stn_jax.experiments.data.unusable import UnusableError, rgb_png
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS, NO_DIGIT
from stn_jax.experiments.street_numbers.svhn.format1 import ArchivePicture

TOO_LONG = f"more than {MAX_DIGITS} digits"


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
    png, width, height = rgb_png(picture.png, ("PNG", "JPEG"))
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
