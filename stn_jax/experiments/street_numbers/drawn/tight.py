"""The layout "tight": small, often blurred pictures that show little beside the digits.

They look like numbers put together from SVHN's single digits (its format 2): each digit is seen in
a square that is as high as its box, and the tallest square is shown 32 pixels high.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from stn_jax.experiments.street_numbers.drawn import backgrounds, signs
from stn_jax.experiments.street_numbers.drawn.backgrounds import Colour, Rectangle
from stn_jax.experiments.street_numbers.drawn.glyphs import text_mask
from stn_jax.experiments.street_numbers.svhn.format1 import Box

SHOWN_HEIGHT = 32
"""Height of the tallest digit's square in the picture, in pixels."""

_MAGENTA = np.array([1, -2, 1]) / np.sqrt(6)  # red, green and blue; its opposite is green
_FINER = 2  # the scene is painted with this many pixels per pixel of the camera


class _View(NamedTuple):
    homography: np.ndarray  # [3, 3], from the sign to the scene
    size: tuple[int, int]  # width and height of the scene
    cap: float  # approximate height of a digit in the scene
    square: float  # height of the tallest digit's square in the scene


def draw_tight(
    rng: np.random.Generator, font: str, digits: Sequence[int]
) -> tuple[np.ndarray, list[Box]]:
    """Draws a number as `draw_picture` does for the layout "tight"."""
    sign = signs.make_sign(rng, font, digits, gaps=(0.02, 0.36), arrangements=(0.92, 0.08, 0))
    sign = sign._replace(layers=_restroked(rng, sign.layers))
    view = _view(rng, sign)
    taken = _photograph(rng, _paint(rng, font, sign, view), view.square / _FINER)
    scale = SHOWN_HEIGHT / view.square
    size = (round(scale * view.size[0]), round(scale * view.size[1]))
    picture = taken.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture), signs.digit_boxes(
        sign, np.diag([scale, scale, 1]) @ view.homography
    )


def _restroked(rng: np.random.Generator, layers: Image.Image) -> Image.Image:
    """Makes the strokes of the ink and of its rim thicker or thinner, or leaves them."""
    width = int(rng.choice([-3, 0, 3, 5, 7], p=[0.1, 0.4, 0.2, 0.2, 0.1]))
    if width == 0:
        return layers
    change = ImageFilter.MaxFilter(width) if width > 0 else ImageFilter.MinFilter(-width)
    ink, rim, shadow, plate = layers.split()
    return Image.merge("CMYK", [*(mask.filter(change) for mask in (ink, rim, shadow)), plate])


def _view(rng: np.random.Generator, sign: signs.Sign) -> _View:
    """Returns a view of the area that the squares around the digits cover."""
    steep = rng.random() < 0.15
    pose = signs.random_pose(rng, sign, np.deg2rad(rng.normal(0, 14 if steep else 4)))
    boxes = signs.digit_boxes(sign, pose)
    around = rng.uniform(1.15, 1.6)
    aside = rng.uniform(-0.4, 0.4, 2) * (around - 1) * min(box.height for box in boxes)
    sides = np.array([around * box.height for box in boxes])
    middles = np.array([(box.left + box.width / 2, box.top + box.height / 2) for box in boxes])
    middles += aside
    low = (middles - sides[:, None] / 2).min(axis=0)
    high = (middles + sides[:, None] / 2).max(axis=0)
    square = _FINER * np.clip(rng.lognormal(np.log(22), 0.4), 10, 48)  # in pixels
    scale = float(square / sides.max())
    columns, rows = np.ceil(scale * (high - low)).astype(int).tolist()
    placed = np.array([[scale, 0, -scale * low[0]], [0, scale, -scale * low[1]], [0, 0, 1]]) @ pose
    return _View(placed, (columns, rows), scale, float(square))


def _paint(rng: np.random.Generator, font: str, sign: signs.Sign, view: _View) -> Image.Image:
    """Paints the scene in full light: the wall, a plate, what stands beside, and the number."""
    wall = rng.uniform(0.05, 0.95)
    roughness = min(0.12 * rng.random() ** 2, wall, 1 - wall)
    darker = backgrounds.random_colour(rng, wall - roughness)
    lighter = backgrounds.random_colour(rng, wall + roughness)
    dark = backgrounds.mix(darker, lighter, rng.uniform(0, 0.4))
    light = backgrounds.mix(darker, lighter, rng.uniform(0.6, 1))
    canvas = backgrounds.paint_wall(rng, view.size, view.cap, dark, light)
    has_plate = rng.random() < 0.35
    ground = rng.uniform(0.05, 0.95) if has_plate else wall
    ink_luminance = backgrounds.contrasting(rng, ground)
    ink = backgrounds.random_colour(rng, ink_luminance)

    (left, top), (right, bottom) = (c.tolist() for c in signs.bounds(sign, view.homography))
    number = (left, top, right, bottom)
    masks, place = signs.warp(sign, view.homography, view.size)
    if has_plate:
        plate = backgrounds.random_colour(rng, ground)
        if rng.random() < 0.5:
            _paint_oval_or_band(rng, canvas, number, view.cap, plate)
        else:
            canvas.paste(plate, place, masks.plate)
    if rng.random() < 0.3:
        _paint_edge(rng, canvas, number)
    if rng.random() < 0.12:
        _paint_cut_digit(rng, canvas, number, font, view.cap, ink)
    if rng.random() < 0.3:
        shade = ground / 2 if ink_luminance > ground else (1 + ground) / 2
        canvas.paste(backgrounds.random_colour(rng, shade), place, masks.shadow)
    if rng.random() < 0.12:
        rim = backgrounds.random_colour(rng, backgrounds.contrasting(rng, ink_luminance))
        canvas.paste(rim, place, masks.rim)
    canvas.paste(ink, place, masks.ink)
    return canvas


def _paint_oval_or_band(
    rng: np.random.Generator, canvas: Image.Image, number: Rectangle, cap: float, colour: Colour
) -> None:
    """Paints an oval plate around the number, or a level board behind it."""
    left, top, right, bottom = number
    brush = ImageDraw.Draw(canvas)
    if rng.random() < 0.5:
        grow = rng.uniform(0.25, 0.5)
        wide, high = grow * (right - left) + 0.1 * cap, grow * (bottom - top)
        brush.ellipse((left - wide, top - high, right + wide, bottom + high), fill=colour)
    else:
        above, below = rng.uniform(0.05, 0.35, 2) * cap
        brush.rectangle((-1, top - above, canvas.width, bottom + below), fill=colour)


def _paint_edge(rng: np.random.Generator, canvas: Image.Image, number: Rectangle) -> None:
    """Paints what stands beside the number: a strip along one or two edges of the picture."""
    left, top, right, bottom = number
    width, height = canvas.size
    rooms = [left, width - right, top, height - bottom]
    for edge in rng.choice(4, int(rng.integers(1, 3)), replace=False):
        thickness = rng.uniform(0.2, 0.9) * max(rooms[edge], 0)
        lean = rng.normal(0, 0.04) * (height if edge < 2 else width)
        near, far = thickness + lean, thickness - lean
        corners = [
            [(0, 0), (near, 0), (far, height), (0, height)],
            [(width, 0), (width - near, 0), (width - far, height), (width, height)],
            [(0, 0), (0, near), (width, far), (width, 0)],
            [(0, height), (0, height - near), (width, height - far), (width, height)],
        ][edge]
        colour = backgrounds.random_colour(rng, rng.random())
        ImageDraw.Draw(canvas).polygon(corners, fill=colour)


def _paint_cut_digit(
    rng: np.random.Generator,
    canvas: Image.Image,
    number: Rectangle,
    font: str,
    cap: float,
    ink: Colour,
) -> None:
    """Paints the near edge of a digit that the picture cuts, where there is room for it."""
    left, top, right, bottom = number
    mask = text_mask(font, rng.choice(backgrounds.CUT_DIGITS), cap, rng.uniform(-5, 5))
    level = int((top + bottom - mask.height) / 2)
    seen = int(rng.uniform(0.1, 0.35) * cap)
    if rng.random() < 0.5 and left > seen + 0.1 * cap:
        canvas.paste(ink, (seen - mask.width, level), mask)
    elif canvas.width - right > seen + 0.1 * cap:
        canvas.paste(ink, (canvas.width - seen, level), mask)


def _photograph(rng: np.random.Generator, scene: Image.Image, square: float) -> Image.Image:
    """Takes the scene with a camera: blur, uneven light, little contrast, noise, compression."""
    scene = scene.filter(ImageFilter.GaussianBlur(_FINER * square * rng.uniform(0.015, 0.06)))
    width, height = (max(1, round(side / _FINER)) for side in scene.size)
    scene = scene.resize((width, height), Image.Resampling.BOX)
    direction = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-np.cos(direction), np.cos(direction), scene.width)
    y = np.linspace(-np.sin(direction), np.sin(direction), scene.height)
    light = 1 + rng.uniform(0, 0.2) * (x + y[:, None])
    pixels = np.asarray(scene, np.float64) * light[..., None]
    grey = (pixels @ backgrounds.LUMINANCE)[..., None]
    tint = pixels - grey
    tint -= 0.6 * (tint @ _MAGENTA)[..., None] * _MAGENTA  # walls and plates are blue or brown
    pixels = grey + rng.uniform(0.1, 1.4) * tint
    contrast = rng.uniform(0.45, 1.2)
    pixels = 128 + contrast * (pixels - 128) + rng.uniform(-25, 25)
    pixels *= rng.uniform(0.7, 1.1) * rng.normal((0.99, 1, 1.03), 0.04)
    noise = 5 * rng.random() ** 2
    pixels += noise * rng.standard_normal((*light.shape, 1)) + noise / 2 * rng.standard_normal(
        pixels.shape
    )
    taken = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.8:
        compressed = io.BytesIO()
        taken.save(compressed, "JPEG", quality=int(rng.integers(50, 95)))
        taken = Image.open(compressed)
    return taken
