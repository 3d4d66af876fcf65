"""Digits and letters as masks, from the fonts that come with matplotlib."""

import functools
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CAP = 64
"""Height of a digit's ink, in pixels of its mask."""

RIM = 4
MARGIN = 12
"""RIM is the width of a rim, MARGIN that of a mask's border around the ink; in the same pixels."""

FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "cmb10",
    "cmr10",
    "cmss10",
    "cmtt10",
)


class Glyph(NamedTuple):
    """A character. Its masks are [CAP + 2 MARGIN, width + 2 MARGIN], in 0..255."""

    ink: Image.Image
    rim: Image.Image  # the ink, expanded by RIM on every side
    width: int  # of the ink
    outline: np.ndarray  # [N, 2], (x, y): ends of the ink's rows, and so its convex hull's corners


@functools.cache
def glyph(font: str, character: str) -> Glyph:
    """Returns the glyph of 0..9 or a letter in one of FONTS."""
    typeface = _typeface(font)

    def mask(stroke: int) -> Image.Image:
        image = Image.new("L", (4 * CAP, CAP + 2 * MARGIN))
        corner = (CAP, MARGIN + CAP)  # of the baseline
        ImageDraw.Draw(image).text(
            corner, character, fill=255, font=typeface, anchor="ls", stroke_width=stroke
        )
        return image

    ink = mask(0)
    columns = np.flatnonzero((np.asarray(ink) >= 128).any(axis=0)).tolist()
    left, right = columns[0], columns[-1] + 1
    frame = (left - MARGIN, 0, right + MARGIN, ink.height)
    ink, rim = ink.crop(frame), mask(RIM).crop(frame)
    return Glyph(ink, rim, right - left, _row_ends(np.asarray(ink) >= 128))


def text_mask(font: str, text: str, height: float, degrees: float) -> Image.Image:
    """Returns the mask of a short text with letters `height` pixels high, rotated."""
    glyphs = [glyph(font, character) for character in text]
    row = Image.new("L", (sum(g.width + 2 * MARGIN for g in glyphs), CAP + 2 * MARGIN))
    left = 0
    for g in glyphs:
        row.paste(g.ink, (left, 0))
        left += g.ink.width
    width, height = (max(1, round(side * height / CAP)) for side in row.size)
    return row.resize((width, height), Image.Resampling.BOX).rotate(
        degrees, Image.Resampling.BILINEAR, expand=True
    )


@functools.cache
def _typeface(font: str) -> ImageFont.FreeTypeFont:
    path = str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf"))
    _, top, _, bottom = ImageFont.truetype(path, 1000).getbbox("8", anchor="ls")
    return ImageFont.truetype(path, 1000 * CAP / (bottom - top))


def _row_ends(ink: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(ink.any(axis=1))
    first = ink[rows].argmax(axis=1)
    last = ink.shape[1] - ink[rows, ::-1].argmax(axis=1)
    return np.concatenate(
        [np.stack([x, y], axis=1) for x in (first, last) for y in (rows, rows + 1)]
    ).astype(float)
