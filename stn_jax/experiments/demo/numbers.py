"""Draws street numbers, and turns drawn or photographed ones into a network's input."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.data.image_cache import crop_box, resize
from stn_jax.experiments.street_numbers.drawn.drawing import draw_picture, random_number
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.street_numbers.preprocessing import make_preprocessing
from stn_jax.experiments.street_numbers.shapes import picture_shape


class NumberPicture(NamedTuple):
    """A picture that may show a number."""

    pixels: Image.Image  # mode RGB
    boxes: np.ndarray | None  # [digits, 4]: left, top, right and bottom, if known


def draw(number: str, scene: int) -> NumberPicture:
    """Draws a number on a wall, 128x128 pixels, as in the networks' training data.

    Args:
        number: 1 to 5 digits.
        scene: the seed for everything else: font, place, angle, colours and so on.

    Raises:
        UserError: the number is not 1 to 5 digits.
    """
    number = number.strip()
    if not (number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS):
        raise UserError(f"Type a number of 1 to {MAX_DIGITS} digits, such as 407.")
    rng = np.random.default_rng(scene)
    pixels, boxes = draw_picture(rng, "wide", [int(digit) for digit in number])
    corners = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in boxes]
    return NumberPicture(Image.fromarray(pixels), np.array(corners))


def any_number(seed: int) -> str:
    """Returns a random number; each length is as likely as it is in the street."""
    return "".join(map(str, random_number(np.random.default_rng(seed))))


def network_input(picture: NumberPicture, config: ConfigDict) -> np.ndarray:
    """Returns a picture as a network's input: [*crop_shape, 3] with mean 0.

    It is cropped as in training if the digits' boxes are known; otherwise it is used whole.
    """
    box = None
    if picture.boxes is not None:
        box = crop_box(picture.boxes, config.data.context, *picture.pixels.size)
    resized = resize(picture.pixels, picture_shape(config.data), box, config.data.letterbox)
    stored = jnp.asarray(resized)[None]
    return np.asarray(make_preprocessing(config.data).test(stored, jnp.zeros(1, jnp.int32))[0])
