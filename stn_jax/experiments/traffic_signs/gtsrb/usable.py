"""Converts a picture of an archive to an example of the data set, unless it must be left out."""

import re
from typing import Any

import numpy as np

from stn_jax.experiments.data.unusable import UnusableError, rgb_png
from stn_jax.experiments.traffic_signs.gtsrb.archives import SignPicture

NUM_CLASSES = 43
NO_TRACK = -1
_TRAINING_NAME = re.compile(r"([0-9]{5})/([0-9]{5})_[0-9]{5}\.ppm")


def to_example(picture: SignPicture, split: str) -> tuple[dict[str, Any], bool]:
    """Returns the example as tfds's features expect it, and whether the picture was resized.

    Resized pictures have another size than they are listed with. Their region is still the same
    part of the picture.

    Raises:
        UnusableError: the picture cannot be decoded, or is not described as it should be.
    """
    if picture.numbers is None:
        raise UnusableError("a number missing in the CSV file")
    *numbers, label = picture.numbers
    width, height, left, top, right, bottom = numbers
    if label >= NUM_CLASSES:
        raise UnusableError(f"class not in 0..{NUM_CLASSES - 1}")
    track = NO_TRACK
    if split == "train":
        if not (match := _TRAINING_NAME.fullmatch(picture.name)):
            raise UnusableError("file name without a track")
        if label != int(match[1]):
            raise UnusableError("class of another folder")
        track = int(match[2])
    if left >= right or top >= bottom:
        raise UnusableError("region without a size")
    if right > width or bottom > height:
        raise UnusableError("region outside of the picture")
    if picture.ppm is None:
        raise UnusableError("damaged in the archive")
    png, *size = rgb_png(picture.ppm, ("PPM",))
    example = {
        "image": png,
        "file_name": picture.name,
        "label": label,
        "track": track,
        "roi": np.array([top / height, left / width, bottom / height, right / width]),
    }
    return example, size != [width, height]
