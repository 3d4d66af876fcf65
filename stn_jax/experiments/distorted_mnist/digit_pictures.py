"""Finds the digit in a picture and brings it into MNIST's format."""

import numpy as np
from PIL import Image
from scipy import ndimage

from stn_jax.errors import UserError
from stn_jax.experiments.distorted_mnist.distortions import DIGIT_SIZE

INK_SIZE = 20
"""The length in pixels of the longer side of a digit's ink, as in MNIST."""

LEAST_INK = 0.1
"""Only brighter pixels count as ink."""

_FAINT = 0.2  # fainter ink counts as paper; 1 is the darkest ink
_SMALLEST_DIGIT = 8  # pixels
# Relative to the size of the largest connected mark: marks smaller than _DUST are ignored, and so
# are marks smaller than _SPECK that are farther than _GAP from the others.
_DUST, _SPECK, _GAP = 0.1, 0.3, 0.25


def network_input(picture: Image.Image, canvas: int, *, cluttered: bool) -> np.ndarray:
    """Returns a picture as a network's input: bright ink on black, [canvas, canvas, 1] in 0..1.

    Ink is what differs from the paper, so it may be darker, brighter or of another colour. The
    paper is the colour of the picture's border, or a smooth surface if light falls on it unevenly.
    The strongest ink becomes 1. A picture that fits the canvas is then put in its middle, neither
    moved nor enlarged. In a larger one, the digit is found and brought into MNIST's format: 20
    pixels large, its centre of mass in the middle.

    Args:
        picture: in mode RGB.
        canvas: height and width of the input in pixels.
        cluttered: the network is used to other marks beside the digit. If there are any, the whole
            picture is shrunk to the canvas.

    Raises:
        UserError: no digit is found, or several things are.
    """
    if max(picture.size) <= canvas:
        paper = _paper(picture)
        if np.ptp(paper, axis=(0, 1)).max() < LEAST_INK:
            paper = _border_colour(picture)  # so that even paper becomes exactly 0
        seen = _stretched(_ink(picture, paper))
    else:
        ink = _ink(picture, _paper(picture))
        marks = _marks(ink)
        if len(marks) > 1 and cluttered:
            shrunk = Image.fromarray(ink)
            shrunk.thumbnail((canvas, canvas), Image.Resampling.LANCZOS)
            seen = _stretched(np.asarray(shrunk).clip(0, 1))
        elif len(marks) > 1:
            raise UserError("several things are in the picture: crop it to one digit")
        else:
            found = ink[marks[0]]
            if min(found.shape) > 0.4 * max(found.shape) and (found > found.max() / 2).mean() > 0.8:
                raise UserError("no digit found but a filled area: crop the picture to the digit")
            seen = centred(np.where(found < _FAINT * found.max(), 0, found / found.max()))[..., 0]
    height, width = seen.shape
    top, left = (canvas - height) // 2, (canvas - width) // 2
    image = np.zeros((canvas, canvas, 1), np.float32)
    image[top : top + height, left : left + width, 0] = seen
    return image


def centred(ink: np.ndarray) -> np.ndarray:
    """Converts a drawing to MNIST's format: 20 pixels large, with its centre of mass centred.

    Args:
        ink: [H, W], 0..1, bright where there is ink; its largest value exceeds `LEAST_INK`.

    Returns:
        [28, 28, 1] float32, 0..1.
    """
    rows, columns = (np.flatnonzero((ink > LEAST_INK).any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    height, width = (max(1, round(INK_SIZE * side / max(ink.shape))) for side in ink.shape)
    shrunk = Image.fromarray(ink).resize((width, height), Image.Resampling.BOX)
    pixels = np.clip(np.asarray(shrunk), 0, 1)
    weight = pixels.sum()
    digit = np.zeros((DIGIT_SIZE, DIGIT_SIZE, 1), np.float32)
    centre_of_mass = [
        (pixels.sum(axis=1 - axis) @ (np.arange(side) + 0.5)) / weight
        for axis, side in enumerate(pixels.shape)
    ]
    top, left = (
        int(np.clip(round(DIGIT_SIZE / 2 - centre), 0, DIGIT_SIZE - side))
        for centre, side in zip(centre_of_mass, pixels.shape, strict=True)
    )
    digit[top : top + height, left : left + width, 0] = pixels
    return digit


def _ink(picture: Image.Image, paper: np.ndarray) -> np.ndarray:
    """Returns how much each pixel differs from the paper, [H, W] in 0..1.

    Args:
        picture: in mode RGB.
        paper: [3] or [H, W, 3] in 0..1.
    """
    difference = np.abs(np.asarray(picture, np.float32) / 255 - paper)
    # White on grey can differ less than white on black, but is as bright.
    return (difference / np.maximum(paper, 1 - paper)).max(axis=-1).astype(np.float32)


def _stretched(ink: np.ndarray) -> np.ndarray:
    """Returns ink whose strongest value is 1, as the networks know it."""
    return ink / _peak(ink)


def _peak(ink: np.ndarray) -> float:
    """Returns the strongest ink; raises UserError if there is none."""
    peak = ink.max()
    if peak < LEAST_INK:
        raise UserError("no digit found: the picture is blank")
    return peak


def _border_colour(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture, np.float32) / 255
    return np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)


def _paper(picture: Image.Image) -> np.ndarray:
    """Returns the colour of the paper, [H, W, 3] in 0..1; light falls on photographs unevenly.

    It is a quadratic surface through what is not ink, fitted to a small copy of the picture.
    """
    side = 64
    colours = np.asarray(picture.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    paper = np.broadcast_to(_border_colour(picture), colours.shape)
    for _ in range(4):
        bare = np.abs(colours - paper).max(axis=-1) < LEAST_INK
        if bare.mean() < 0.1:
            break
        paper = terms @ np.linalg.lstsq(terms[bare], colours[bare], rcond=None)[0]
    planes = np.moveaxis(paper, -1, 0).astype(np.float32)
    bilinear = Image.Resampling.BILINEAR
    large = [np.asarray(Image.fromarray(plane).resize(picture.size, bilinear)) for plane in planes]
    return np.stack(large, axis=-1).clip(0, 1)


def _marks(ink: np.ndarray) -> list[tuple[slice, slice]]:
    """Returns the boxes of the separate things in a picture, without specks of dust.

    Raises:
        UserError: there is no ink, or just specks.
    """
    inked = ink > _peak(ink) / 2
    parts, _ = ndimage.label(inked, np.ones((3, 3)))
    sizes = np.array([0, *map(_longer_side, ndimage.find_objects(parts))])
    size = sizes.max()
    if size < _SMALLEST_DIGIT:
        raise UserError(
            f"no digit found: the largest mark is {size} pixels long, so crop the picture to it"
        )
    inked &= (sizes >= _DUST * size)[parts]
    near = ndimage.distance_transform_edt(~inked) <= _GAP / 2 * size
    things, _ = ndimage.label(near)
    boxes = ndimage.find_objects(np.where(inked, things, 0))
    return [box for box in boxes if _longer_side(box) >= _SPECK * size]


def _longer_side(box: tuple[slice, slice]) -> int:
    return max(side.stop - side.start for side in box)
