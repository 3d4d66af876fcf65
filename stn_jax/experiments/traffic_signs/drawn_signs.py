"""Draws German traffic signs, and photographs them, so that pictures of them need no data set.

Coordinates on a sign are (x, y), y downwards; the sign fills -1..1.
"""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Point = tuple[float, float]
Colour = tuple[int, int, int]

WHITE, BLACK, GREY = (236, 238, 236), (24, 24, 26), (105, 108, 110)
RED, YELLOW, GREEN, BLUE = (187, 30, 36), (244, 190, 20), (0, 132, 76), (0, 88, 158)

_SIDE = 512  # of a drawing in pixels
_SUPERSAMPLING = 4
_USUAL_SHARE = 0.8  # of a photograph's side that a sign of scale 1 fills, as in GTSRB


class View(NamedTuple):
    """How a sign is photographed."""

    turn: float = 0.0  # degrees, counter-clockwise
    scale: float = 1.0  # above 1 is larger
    right: float = 0.0  # shift in per cent of the picture's side
    down: float = 0.0
    shade: float = 0.0  # 0, in full light, to 1, hardly any
    blur: float = 0.0  # radius in per cent of the picture's side


def photograph(sign: int, view: View, scene: int, size: int = 128) -> Image.Image:
    """Draws a sign as in a photograph, [size, size] RGB.

    Args:
        sign: the number of its class, one of `SIGNS`.
        view: how it is seen.
        scene: the seed of the background, the direction of the light and the noise.
        size: height and width in pixels.
    """
    rng = np.random.default_rng(scene)
    side = _SUPERSAMPLING * size
    picture = _background(rng).resize((side, side), Image.Resampling.BICUBIC)
    diameter = max(1, round(_USUAL_SHARE * view.scale * side))
    seen = draw_sign(sign).resize((diameter, diameter), Image.Resampling.BICUBIC)
    seen = seen.rotate(view.turn, Image.Resampling.BICUBIC, expand=True)
    left, top = (
        round((side - length) / 2 + shift / 100 * side)
        for length, shift in zip(seen.size, (view.right, view.down), strict=True)
    )
    picture.paste(seen, (left, top), seen)
    picture = picture.reduce(_SUPERSAMPLING).filter(
        ImageFilter.GaussianBlur(float(view.blur) * size / 100)
    )

    direction = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, size)
    depth = 0.75 + 0.2 * (np.cos(direction) * across + np.sin(direction) * across[:, None])
    light = 1 - np.clip(view.shade * depth, 0, 1)
    noise = rng.normal(0, 2, (size, size, 3))
    pixels = np.asarray(picture) * light[..., None] + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _background(rng: np.random.Generator) -> Image.Image:
    """Returns a few blobs of the colours of sky, leaves and walls, to be enlarged."""
    brightness = rng.uniform(50, 190)
    tint = rng.choice([(0.9, 1.0, 1.15), (0.85, 1.05, 0.75), (1.05, 1.0, 0.92)])
    blobs = brightness * tint * rng.uniform(0.6, 1.3, (5, 5, 1))
    return Image.fromarray(np.clip(blobs, 0, 255).astype(np.uint8))


@functools.cache
def draw_sign(sign: int) -> Image.Image:
    """Draws a sign from the front, given the number of its class: RGBA, transparent outside."""
    canvas = _Canvas()
    SIGNS[sign](canvas)
    return canvas.image.reduce(2)


class _Canvas:
    """A drawing in progress."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (2 * _SIDE, 2 * _SIDE))
        self._draw = ImageDraw.Draw(self.image)

    def disc(self, radius: float, colour: Colour, centre: Point = (0, 0)) -> None:
        self._draw.circle(_pixels(centre), radius * _SIDE, colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        places = [_pixels(point) for point in points]
        self._draw.line(places, colour, round(width * _SIDE), joint="curve")

    def polygon(self, corners: Sequence[Point], colour: Colour, radius: float = 0) -> None:
        """Draws a polygon, expanded by `radius`, which rounds its corners."""
        self._draw.polygon([_pixels(corner) for corner in corners], colour)
        if radius:
            self.line([*corners, corners[0]], 2 * radius, colour)
            for corner in corners:
                self.disc(radius, colour, corner)

    def arrow(self, points: Sequence[Point], colour: Colour, width: float, head: float) -> None:
        """Draws an arrow whose head is `head` wide and ends at the last point."""
        (x, y), (tip_x, tip_y) = points[-2:]
        length = math.hypot(tip_x - x, tip_y - y)
        u, v = (tip_x - x) / length, (tip_y - y) / length
        half, neck = head / 2, (tip_x - 0.75 * head * u, tip_y - 0.75 * head * v)
        self.line([*points[:-1], (neck[0] + 0.02 * u, neck[1] + 0.02 * v)], width, colour)
        sides = [(neck[0] - half * v, neck[1] + half * u), (neck[0] + half * v, neck[1] - half * u)]
        self.polygon([(tip_x, tip_y), *sides], colour)

    def text(self, text: str, height: float, width: float, colour: Colour) -> None:
        """Draws bold text in the middle; it is squeezed to be at most `width` wide."""
        font = _font()
        ink = Image.new("L", (_SIDE * len(text), _SIDE))
        ImageDraw.Draw(ink).text((_SIDE // 8, _SIDE * 7 // 8), text, 255, font, anchor="ls")
        ink = ink.crop(ink.getbbox())
        high = height * _SIDE
        wide = min(0.85 * ink.width * high / ink.height, width * _SIDE)
        ink = ink.resize((round(wide), round(high)), Image.Resampling.BICUBIC)
        corner = (_SIDE - ink.width // 2, _SIDE - ink.height // 2)
        self.image.paste(colour, corner, ink)


def _pixels(point: Point) -> Point:
    return _SIDE * (1 + point[0]), _SIDE * (1 + point[1])


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")
    return ImageFont.truetype(str(path), _SIDE // 2)


def _around(number: int, radius: float, first: float) -> list[Point]:
    """Returns the corners of a regular polygon; `first` is the angle of one, 0 to the right."""
    angles = [math.radians(first + 360 * place / number) for place in range(number)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _arc(radius: float, start: float, end: float) -> list[Point]:
    angles = np.radians(np.linspace(start, end, 10)).tolist()
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _ring(canvas: _Canvas) -> None:
    canvas.disc(1.0, WHITE)
    canvas.disc(0.97, RED)
    canvas.disc(0.75, WHITE)


def _speed_limit(canvas: _Canvas, number: str) -> None:
    _ring(canvas)
    canvas.text(number, 0.72, 1.16, BLACK)


def _end(canvas: _Canvas, number: str = "") -> None:
    canvas.disc(1.0, GREY)
    canvas.disc(0.96, WHITE)
    if number:
        canvas.text(number, 0.8, 1.2, GREY)
    reach = 0.96
    for offset in (-0.2, -0.1, 0, 0.1, 0.2):
        along, across = math.sqrt(reach**2 - offset**2) * math.sqrt(0.5), offset * math.sqrt(0.5)
        ends = [(across - along, across + along), (across + along, across - along)]
        canvas.line(ends, 0.055, BLACK)


def _no_entry(canvas: _Canvas) -> None:
    canvas.disc(1.0, WHITE)
    canvas.disc(0.96, RED)
    canvas.polygon([(-0.7, -0.17), (0.7, -0.17), (0.7, 0.17), (-0.7, 0.17)], WHITE)


def _stop(canvas: _Canvas) -> None:
    canvas.polygon(_around(8, 1.06, 22.5), WHITE)
    canvas.polygon(_around(8, 1.0, 22.5), RED)
    canvas.text("STOP", 0.62, 1.56, WHITE)


def _triangle(canvas: _Canvas, first: float) -> None:
    """Draws a red triangle with a white field; its corners are moved so that it fills -1..1."""
    down = 0.14 * (1 if first < 0 else -1)
    for radius, rounding, colour in ((1.0, 0.13, WHITE), (1.0, 0.1, RED), (0.66, 0.05, WHITE)):
        corners = [(x, y + down) for x, y in _around(3, radius, first)]
        canvas.polygon(corners, colour, rounding)


def _danger(canvas: _Canvas) -> None:
    _triangle(canvas, -90)


def _general_danger(canvas: _Canvas) -> None:
    _danger(canvas)
    canvas.polygon([(-0.07, -0.3), (0.07, -0.3), (0.05, 0.18), (-0.05, 0.18)], BLACK, 0.03)
    canvas.disc(0.1, BLACK, (0, 0.36))


def _priority_at_next_crossing(canvas: _Canvas) -> None:
    _danger(canvas)
    canvas.arrow([(0, 0.5), (0, -0.42)], BLACK, 0.19, 0.34)
    canvas.line([(-0.32, 0.2), (0.32, 0.2)], 0.12, BLACK)


def _traffic_lights(canvas: _Canvas) -> None:
    _danger(canvas)
    for place, colour in zip((-0.2, 0.1, 0.4), (RED, YELLOW, GREEN), strict=True):
        canvas.disc(0.135, colour, (0, place))


def _priority_road(canvas: _Canvas) -> None:
    for radius, rounding, colour in (
        (0.93, 0.07, BLACK),
        (0.93, 0.05, WHITE),
        (0.62, 0.04, YELLOW),
    ):
        canvas.polygon(_around(4, radius, 0), colour, rounding)


def _mandatory(canvas: _Canvas, *arrows: Sequence[Point], mirrored: bool = False) -> None:
    canvas.disc(1.0, WHITE)
    canvas.disc(0.96, BLUE)
    for points in arrows:
        side = -1 if mirrored else 1
        canvas.arrow([(side * x, y) for x, y in points], WHITE, 0.24, 0.56)


_AHEAD = [(0, 0.72), (0, -0.72)]
_RIGHT = [(-0.3, 0.6), (-0.3, 0.1), (-0.27, 0.0), (-0.2, -0.07), (-0.1, -0.1), (0.66, -0.1)]
_AHEAD_OR_RIGHT = (
    [(-0.2, 0.7), (-0.2, -0.74)],
    [(-0.2, 0.3), (-0.17, 0.2), (-0.1, 0.13), (0.0, 0.1), (0.66, 0.1)],
)
_KEEP_RIGHT = [(-0.48, -0.48), (0.5, 0.5)]


def _roundabout(canvas: _Canvas) -> None:
    _mandatory(canvas)
    for start in (80, 200, 320):
        canvas.arrow(
            [*_arc(0.5, start, start - 68), _arc(0.5, start, start - 105)[-1]], WHITE, 0.16, 0.42
        )


_SPEEDS = {0: "20", 1: "30", 2: "50", 3: "60", 4: "70", 5: "80", 7: "100", 8: "120"}

SIGNS: dict[int, Callable[[_Canvas], None]] = {
    **{sign: functools.partial(_speed_limit, number=text) for sign, text in _SPEEDS.items()},
    6: functools.partial(_end, number="80"),
    11: _priority_at_next_crossing,
    12: _priority_road,
    13: functools.partial(_triangle, first=90),
    14: _stop,
    15: _ring,
    17: _no_entry,
    18: _general_danger,
    26: _traffic_lights,
    32: _end,
    33: lambda canvas: _mandatory(canvas, _RIGHT),
    34: lambda canvas: _mandatory(canvas, _RIGHT, mirrored=True),
    35: lambda canvas: _mandatory(canvas, _AHEAD),
    36: lambda canvas: _mandatory(canvas, *_AHEAD_OR_RIGHT),
    37: lambda canvas: _mandatory(canvas, *_AHEAD_OR_RIGHT, mirrored=True),
    38: lambda canvas: _mandatory(canvas, _KEEP_RIGHT),
    39: lambda canvas: _mandatory(canvas, _KEEP_RIGHT, mirrored=True),
    40: _roundabout,
}
"""How to draw the classes that consist of simple shapes, by their numbers."""
