"""Turns a drawing, or a digit of MNIST, into a network's input."""

import base64
import functools
import io
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.distorted_mnist.digit_pictures import LEAST_INK
from stn_jax.experiments.distorted_mnist.distortions import DIGIT_SIZE
from stn_jax.experiments.distorted_mnist.sources import load_mnist
from stn_jax.sampling import sample
from stn_jax.transforms import tps_grid
from stn_jax.transforms.similarity import similarity_matrix
from stn_jax.transforms.tps import control_points

NOTHING_DRAWN = "Nothing is drawn yet: draw a digit on the black square or pick one."
NUM_DIGITS = 1000
_LARGEST_DRAWING = 1024  # pixels per side


class Digit(NamedTuple):
    """A digit of MNIST."""

    image: np.ndarray  # [28, 28, 1] float32, 0..1
    label: int


def pick(number: int) -> Digit:
    """Returns one of the `NUM_DIGITS` test digits that `load_mnist` has without a download.

    They are from MNIST's training set, so the networks that come with the package have seen them.
    """
    examples = _examples()
    return Digit(examples.images[number].astype(np.float32) / 255, int(examples.labels[number]))


@functools.cache
def _examples() -> Examples:
    _, test = load_mnist("embedded", data_dir=None, manual_dir=None)
    return test


class Pose(NamedTuple):
    """How a digit is shown. Lengths are in pixels, equal in size on digit and canvas."""

    turn: float = 0.0  # degrees, counter-clockwise
    scale: float = 1.0  # above 1 is larger
    right: float = 0.0
    down: float = 0.0
    bend: float = 0.0  # how far the digit's top and bottom edges lie to the right of its middle


SLIDERS = {
    "turn": ("Turn left (degrees)", -90, 90, 1),
    "scale": ("Scale", 0.5, 1.5, 0.05),
    "right": ("Shift right (pixels)", -14, 14, 0.5),
    "down": ("Shift down (pixels)", -14, 14, 0.5),
    "bend": ("Bend (pixels)", -8, 8, 0.5),
}
"""(label, lowest, highest, step) of each field of `Pose`."""

CASES = {
    "Turned left: the CNN fails": (233, Pose(turn=45.0)),
    "Turned right: the CNN fails": (6, Pose(turn=-45.0)),
    "Small: the CNN fails": (372, Pose(scale=0.6)),
    "In a corner: the CNN fails": (327, Pose(scale=0.7, right=7.0, down=7.0)),
    "On its side: all fail": (179, Pose(turn=90.0)),
}
"""The number of a digit, for `pick`, and its pose, by what happens there."""


def read_drawing(data_url: object) -> np.ndarray:
    """Reads a drawing from a PNG's `data:` URL, which the browser sends: [H, W] float32, 0..1.

    Raises:
        UserError: `data_url` is not such a URL, or the drawing is too large or blank.
    """
    try:
        if not isinstance(data_url, str):  # browsers can send anything
            raise ValueError("no text")
        _, _, encoded = data_url.partition(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(encoded)), formats=("PNG",)) as drawing:
            if max(drawing.size) > _LARGEST_DRAWING:
                raise ValueError("too large")
            ink = np.asarray(drawing.convert("L"), np.float32) / 255
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError("The drawing cannot be read: clear it and draw again.") from error
    if not (ink > LEAST_INK).any():
        raise UserError(NOTHING_DRAWN)
    return ink


@functools.partial(jax.jit, static_argnames="canvas")
def distort(digit: Array, pose: Pose, *, canvas: int) -> Array:
    """Bends, turns, scales and shifts a digit about its centre, in one resampling.

    The map from the canvas to the digit is evaluated at 8x8 points and interpolated by a thin plate
    spline. Without a bend, that is the affine map itself, up to rounding.

    Args:
        digit: [28, 28, 1], 0..1.
        pose: how it is shown.
        canvas: height and width of the result in pixels.

    Returns:
        [canvas, canvas, 1]; with `Pose()`, the digit unchanged in the middle of black.
    """
    zoom = canvas / (DIGIT_SIZE * pose.scale)
    turn = similarity_matrix(
        jnp.stack([zoom, jnp.deg2rad(pose.turn), 0.0, 0.0]), (DIGIT_SIZE, DIGIT_SIZE)
    )[:, :2]
    shift = jnp.stack([pose.right, pose.down]) / (canvas / 2)
    points = jnp.matmul(control_points(8) - shift, turn.T, precision="highest")
    bow = pose.bend / (DIGIT_SIZE / 2) * points[:, 1] ** 2
    return sample(digit, tps_grid(points.at[:, 0].add(-bow), (canvas, canvas)))
