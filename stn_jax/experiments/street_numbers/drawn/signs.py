"""A number laid out flat (a sign), and the homography that projects it into a picture.

Points are (x, y). The homography maps the sign's masks into the picture. It also maps the outlines
of the digits, exactly; their bounds in the picture are the digits' boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from stn_jax.experiments.street_numbers.drawn.glyphs import CAP, MARGIN, glyph
from stn_jax.experiments.street_numbers.svhn.format1 import Box

MAX_ANGLE = np.pi * 25 / 180
_PAD = CAP // 2  # from the ink to the sign's border


class Masks(NamedTuple):
    """The parts of a sign, each painted in its own colour; masks of one size, 0..255."""

    ink: Image.Image
    rim: Image.Image
    shadow: Image.Image
    plate: Image.Image


class Sign(NamedTuple):
    """A number laid out flat. Lengths are in pixels of the glyphs."""

    digits: Sequence[int]
    layers: Image.Image  # the masks, in order, as the bands of one image
    outlines: list[np.ndarray]  # [N, 2] for each digit


def make_sign(
    rng: np.random.Generator,
    font: str,
    digits: Sequence[int],
    *,
    gaps: tuple[float, float] = (0.12, 0.4),
    arrangements: Sequence[float] = (0.9, 0.06, 0.04),
) -> Sign:
    """Lays digits out in a level row, or sometimes a stepped row or (at most three) a column.

    Args:
        rng: the source of all random choices.
        font: one of `FONTS`.
        digits: the digits of the number.
        gaps: the least and the largest gap between two digits, in units of a digit's height.
        arrangements: the probabilities of a level row, a stepped row and a column.
    """
    glyphs = [glyph(font, str(digit)) for digit in digits]
    widths = np.array([g.width for g in glyphs])
    gap = CAP * rng.uniform(*gaps)
    order = np.arange(len(digits))
    row = np.cumsum(widths + gap) - widths - gap
    arrangement = rng.choice(["level", "stepped", "column"], p=arrangements)
    if arrangement == "column" and len(digits) <= 3:
        places = np.stack([-widths / 2, order * (CAP + gap)], axis=1)
    else:
        step = CAP * rng.uniform(-0.35, 0.35) if arrangement == "stepped" else 0.0
        places = np.stack([row, order * step], axis=1)
    places = np.round(places - places.min(axis=0)).astype(int) + _PAD
    right, bottom = (places + np.stack([widths, np.full_like(widths, CAP)], axis=1)).max(axis=0)
    size = (int(right) + _PAD, int(bottom) + _PAD)

    masks = ink, rim, shadow, plate = Masks(*(Image.new("L", size) for _ in Masks._fields))
    corners = places - MARGIN
    for g, (x, y) in zip(glyphs, corners.tolist(), strict=True):
        ink.paste(255, (x, y), g.ink)
        rim.paste(255, (x, y), g.rim)
    shadow.paste(ink, (int(rng.integers(-6, 7)), int(rng.integers(2, 7))))
    inset = int(rng.integers(2, _PAD // 2))
    bounds = (inset, inset, size[0] - inset, size[1] - inset)
    ImageDraw.Draw(plate).rounded_rectangle(bounds, rng.choice([0, 8, _PAD]), fill=255)
    outlines = [g.outline + corner for g, corner in zip(glyphs, corners, strict=True)]
    return Sign(digits, Image.merge("CMYK", masks), outlines)


def random_pose(rng: np.random.Generator, sign: Sign, angle: float) -> np.ndarray:
    """Returns a homography [3, 3] that rotates, slants, squeezes and tilts a sign in depth.

    The rotation is by `angle`, the rest is random. The homography maps the sign's centre to (0, 0)
    and its lengths to units of a digit's height.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    form = np.array([[rng.uniform(0.65, 1.1), rng.uniform(-0.15, 0.15)], [0, 1]]) / CAP
    linear = np.array([[cos, -sin], [sin, cos]]) @ form
    points = np.concatenate(sign.outlines)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    pose = np.eye(3)
    pose[:2] = np.column_stack([linear, -linear @ centre])
    # The depth grows along a random direction, by at most a fifth in total along each of x and y.
    pose[2] += rng.uniform(-0.1, 0.1, 2) / np.abs(project(pose, points)).max(axis=0) @ pose[:2]
    return pose


def project(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Applies a homography to points. [N, 2] -> [N, 2]."""
    moved = points @ homography[:, :2].T + homography[:, 2]
    return moved[:, :2] / moved[:, 2:]


def bounds(sign: Sign, homography: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the upper left and lower right corners, each [2], of all the projected ink."""
    points = project(homography, np.concatenate(sign.outlines))
    return points.min(axis=0), points.max(axis=0)


def digit_boxes(sign: Sign, homography: np.ndarray) -> list[Box]:
    """Returns the box around the projected ink of each digit."""
    boxes = []
    for outline, digit in zip(sign.outlines, sign.digits, strict=True):
        points = project(homography, outline)
        (left, top), (width, height) = points.min(axis=0).tolist(), np.ptp(points, axis=0).tolist()
        boxes.append(Box(left, top, width, height, digit))
    return boxes


def warp(
    sign: Sign, homography: np.ndarray, size: tuple[int, int]
) -> tuple[Masks, tuple[int, int]]:
    """Projects a sign into a picture of `size` (width, height), cropped to the area it covers.

    Returns:
        The projected masks, and the position (left, top) of the crop in the picture.
    """
    width, height = sign.layers.size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]])
    seen = project(homography, corners)
    left, top = np.clip(np.floor(seen.min(axis=0)), 0, size).astype(int).tolist()
    right, bottom = np.clip(np.ceil(seen.max(axis=0)), 0, size).astype(int).tolist()
    # Bilinear sampling of a sign much larger than its image would alias, so it is shrunk first.
    shrunk = max(1, round(np.sqrt(width * height / np.prod(np.ptp(seen, axis=0)))))
    to_sign = np.linalg.inv(homography) @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    to_sign[:2] /= shrunk
    seen_layers = sign.layers.reduce(shrunk).transform(
        (right - left, bottom - top),
        Image.Transform.PERSPECTIVE,
        (to_sign / to_sign[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )
    return Masks(*seen_layers.split()), (left, top)
