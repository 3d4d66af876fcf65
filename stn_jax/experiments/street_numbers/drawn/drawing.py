"""Draws one picture of a synthetic street number, with the boxes of its digits."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from stn_jax.errors import check_choice
from stn_jax.experiments.street_numbers.drawn import backgrounds, signs
from stn_jax.experiments.street_numbers.drawn.glyphs import FONTS
from stn_jax.experiments.street_numbers.drawn.tight import draw_tight
from stn_jax.experiments.street_numbers.svhn.format1 import Box

LAYOUTS = ("close", "wide", "tight")
WIDE_SIZE = 128
WIDE_MARGIN = 16  # any crop of 112 pixels contains the whole number

LENGTH_COUNTS = (5137, 18130, 8691, 1434, 9)
"""The counts of SVHN's training numbers with 1, 2, 3, 4 and 5 digits."""

TIGHT_LENGTH_COUNTS = (12, 46, 30, 9, 3)
"""The same for "tight", where long numbers, of which a small set has few, are more common."""


def draw_picture(
    rng: np.random.Generator, layout: str, digits: Sequence[int] | None = None
) -> tuple[np.ndarray, list[Box]]:
    """Draws a street number of 1 to 5 digits.

    Around the number there may be small faint writing, shapes, and digits of other numbers cut in
    half by the picture's edge. These keep a distance from the number and have no boxes.

    Args:
        rng: the source of all random choices.
        layout: "close", a picture cropped around the number like those of SVHN, 35..200 pixels
            wide, or "wide", 128x128 pixels with the number anywhere in it, at most 60% of its width
            and at least 16 pixels from its edges; or "tight", a picture of 32 or a little more
            pixels in height that shows hardly more than the digits.
        digits: the digits of the number; those of a `random_number` if None.

    Returns:
        The picture, [height, width, 3] uint8, and the boxes of the digits in reading order.

    Raises:
        UserError: the layout is unknown.
    """
    check_choice(layout, LAYOUTS, "layout")
    font = str(rng.choice(FONTS))
    if layout == "tight":
        return draw_tight(rng, font, random_tight_number(rng) if digits is None else digits)
    sign = signs.make_sign(rng, font, random_number(rng) if digits is None else digits)
    view = _close_view(rng, sign) if layout == "close" else _wide_view(rng, sign)
    canvas = _paint(rng, layout, font, sign, view)
    return _photograph(rng, canvas, view.cap), signs.digit_boxes(sign, view.homography)


def random_number(rng: np.random.Generator) -> list[int]:
    """Returns the digits of a number whose length is distributed as in SVHN's training set.

    That set has 5137, 18130, 8691, 1434 and 9 numbers of 1 to 5 digits. The first digit is uniform
    in 1..9; the others are uniform in 0..9.
    """
    counts = np.array(LENGTH_COUNTS)
    length = 1 + int(rng.choice(len(counts), p=counts / counts.sum()))
    return [int(rng.integers(1, 10)), *rng.integers(0, 10, length - 1).tolist()]


def random_tight_number(rng: np.random.Generator) -> list[int]:
    """Returns the digits of a number for the layout "tight".

    Its first digit is d with the probability log10(1 + 1/d) (Benford's law), as that of house
    numbers nearly is.
    """
    counts = np.array(TIGHT_LENGTH_COUNTS)
    length = 1 + int(rng.choice(len(counts), p=counts / counts.sum()))
    first = 1 + int(rng.choice(9, p=np.log10(1 + 1 / np.arange(1, 10))))
    return [first, *rng.integers(0, 10, length - 1).tolist()]


class _View(NamedTuple):
    homography: np.ndarray  # [3, 3], from the sign to the picture
    size: tuple[int, int]  # width and height of the picture
    cap: float  # approximate height of a digit in the picture


def _close_view(rng: np.random.Generator, sign: signs.Sign) -> _View:
    """Returns a view like SVHN's pictures.

    There is more room to the left and right of the number than above and below it.
    """
    pose = signs.random_pose(rng, sign, rng.triangular(-signs.MAX_ANGLE, 0, signs.MAX_ANGLE))
    low, high = signs.bounds(sign, pose)
    before, after = rng.uniform([0.15, 0.1], [1.8, 0.5], (2, 2))
    extent = high - low + before + after
    narrowest, widest = max(35, 15 * extent[0]), min(200, 90 * extent[0])  # digits 15..90 high
    width = np.clip(rng.lognormal(np.log(115), 0.45), narrowest, widest)
    scale = float(width / extent[0])
    columns, rows = np.round(scale * extent).astype(int).tolist()
    return _View(_placed(pose, scale, scale * (before - low)), (columns, rows), scale)


def _wide_view(rng: np.random.Generator, sign: signs.Sign) -> _View:
    """Returns a view with the number at a uniformly random position in the frame.

    The number's longer side is at most 60% of the frame's.
    """
    pose = signs.random_pose(rng, sign, rng.uniform(-signs.MAX_ANGLE, signs.MAX_ANGLE))
    low, high = signs.bounds(sign, pose)
    largest = 0.6 * WIDE_SIZE / float((high - low).max())
    scale = rng.uniform(max(0.4 * largest, min(18, largest)), largest)
    corner = rng.uniform(WIDE_MARGIN, WIDE_SIZE - WIDE_MARGIN - scale * (high - low))
    return _View(_placed(pose, scale, corner - scale * low), (WIDE_SIZE, WIDE_SIZE), scale)


def _placed(pose: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]]) @ pose


def _paint(
    rng: np.random.Generator, layout: str, font: str, sign: signs.Sign, view: _View
) -> Image.Image:
    """Paints the scene in full light: the wall, the surroundings of the number, and the number."""
    wall_luminance = rng.uniform(0.05, 0.95)
    roughness = min(rng.uniform(0.02, 0.15), wall_luminance, 1 - wall_luminance)
    dark = backgrounds.random_colour(rng, wall_luminance - roughness)
    light = backgrounds.random_colour(rng, wall_luminance + roughness)
    has_plate = rng.random() < 0.3
    ground = rng.uniform(0.05, 0.95) if has_plate else wall_luminance
    ink_luminance = backgrounds.contrasting(rng, ground)
    ink = backgrounds.random_colour(rng, ink_luminance)

    canvas = backgrounds.paint_wall(rng, view.size, view.cap, dark, light)
    (left, top), (right, bottom) = (c.tolist() for c in signs.bounds(sign, view.homography))
    near = 0.4 * view.cap
    around = (left - near, top - near, right + near, bottom + near)
    strips = backgrounds.free_strips(view.size, around)
    backgrounds.paint_shapes(rng, canvas, strips)
    faint = backgrounds.mix(backgrounds.mix(dark, light, 0.5), ink, rng.uniform(0.3, 0.7))
    if layout == "wide":
        backgrounds.paint_writing(rng, canvas, strips, font, view.cap, faint)
    backgrounds.paint_neighbours(
        rng,
        canvas,
        (left, top, right, bottom),
        font,
        view.cap,
        ink if layout == "close" else faint,
    )

    masks, place = signs.warp(sign, view.homography, view.size)
    if has_plate:
        canvas.paste(backgrounds.random_colour(rng, ground), place, masks.plate)
    if ink_luminance > ground and rng.random() < 0.4:
        canvas.paste(backgrounds.random_colour(rng, ground / 2), place, masks.shadow)
    if rng.random() < 0.15:
        rim_luminance = backgrounds.contrasting(rng, ink_luminance)
        canvas.paste(backgrounds.random_colour(rng, rim_luminance), place, masks.rim)
    canvas.paste(ink, place, masks.ink)
    return canvas


def _photograph(rng: np.random.Generator, scene: Image.Image, cap: float) -> np.ndarray:
    """Applies the effects of a camera to a scene: blur, uneven light, haze, noise, compression."""
    blur = rng.choice(["none", "focus", "motion"], p=[0.35, 0.5, 0.15])
    if blur == "focus":
        scene = scene.filter(ImageFilter.BoxBlur(float(cap * rng.uniform(0.01, 0.06))))
    elif blur == "motion":
        scene = scene.filter(_motion(rng.uniform(0.04, 0.1) * cap, rng.uniform(0, np.pi)))
    # Light falls off along a direction. It never increases, because pale ink would turn white.
    direction = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-np.cos(direction), np.cos(direction), scene.width, dtype=np.float32)
    y = np.linspace(-np.sin(direction), np.sin(direction), scene.height, dtype=np.float32)
    light = 1 - np.float32(rng.uniform(0, 0.15)) * (np.float32(np.sqrt(2)) + x + y[:, None])
    haze = np.float32(rng.uniform(0, 0.35))
    noise = np.float32(9 * rng.random() ** 2) * rng.standard_normal(light.shape, np.float32)
    gain, offset = (1 - haze) * light, haze * np.float32(rng.uniform(50, 200)) + noise
    # Band by band, because NumPy is slow if the last axis is short.
    bands = [np.clip(np.asarray(band) * gain + offset, 0, 255) for band in scene.split()]
    pixels = np.stack([band.astype(np.uint8) for band in bands], axis=-1)
    if rng.random() < 0.3:
        compressed = io.BytesIO()
        Image.fromarray(pixels).save(compressed, "JPEG", quality=int(rng.integers(30, 90)))
        pixels = np.array(Image.open(compressed))
    return pixels


def _motion(length: float, direction: float) -> ImageFilter.Kernel:
    """Returns a blur along a line, of at most 5 pixels."""
    steps = min(length, 4) * np.linspace(-0.5, 0.5, 9)
    kernel = np.zeros((5, 5))
    rows = 2 + np.round(steps * np.sin(direction)).astype(int)
    np.add.at(kernel, (rows, 2 + np.round(steps * np.cos(direction)).astype(int)), 1)
    return ImageFilter.Kernel((5, 5), kernel.ravel().tolist())
