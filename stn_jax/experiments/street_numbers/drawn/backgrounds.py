"""The background and the surroundings of a street number: colours, walls, clutter."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from stn_jax.experiments.street_numbers.drawn.glyphs import text_mask

Colour = tuple[int, int, int]  # red, green, blue, 0..255
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue
MIN_CONTRAST = 0.35
"""The minimum difference in luminance (0..1) between ink and ground, before the camera effects."""

LETTERS = list("0123456789ABCDEFGHKLMNPRSTUVWXYZ")
CUT_DIGITS = list("023456789")  # without 1, half of which would still look like a 1


def random_colour(rng: np.random.Generator, luminance: float) -> Colour:
    """Returns a random colour of the given luminance (0..1), more often pale than vivid."""
    tint = rng.uniform(-1, 1, 3)
    tint -= tint @ LUMINANCE
    strength = rng.beta(1, 2) * min(luminance, 1 - luminance)
    red, green, blue = (255 * (luminance + strength * tint / np.abs(tint).max())).tolist()
    return round(red), round(green), round(blue)


def contrasting(rng: np.random.Generator, luminance: float) -> float:
    """Returns a random luminance in 0..1, at least MIN_CONTRAST away from the given one."""
    darker = max(luminance - MIN_CONTRAST, 0)
    lighter = max(1 - luminance - MIN_CONTRAST, 0)
    chosen = rng.uniform(0, darker + lighter)
    return chosen if chosen < darker else chosen - darker + luminance + MIN_CONTRAST


def mix(one: Colour, other: Colour, amount: float) -> Colour:
    """Interpolates linearly from `one` (amount 0) to `other` (amount 1)."""
    red, green, blue = (round(a + amount * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def paint_wall(
    rng: np.random.Generator, size: tuple[int, int], unit: float, dark: Colour, light: Colour
) -> Image.Image:
    """Paints a wall that is plain, mottled, of bricks or of planks, in shades between two colours.

    Args:
        rng: the source of all random choices.
        size: width and height in pixels.
        unit: the length of the wall's features in pixels, about a digit's height.
        dark: the colour at one end of the shades.
        light: the colour at the other end.
    """
    texture = (plain, mottled, bricks, planks)[rng.choice(4, p=[0.15, 0.45, 0.2, 0.2])]
    shades = texture(rng, size[1], size[0], unit)
    wall = Image.fromarray((127.5 * (1 + shades)).astype(np.uint8))
    wall.putpalette(np.linspace(dark, light, 256).round().astype(np.uint8).tobytes())
    return wall.convert("RGB")


def plain(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    """Returns a texture of zeros. Each texture is [height, width] float32 in -1..1."""
    del rng, unit
    return np.zeros((height, width), np.float32)


def mottled(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    """Returns smooth noise at three scales."""
    total = np.zeros((height, width), np.float32)
    for cell, weight in zip((2 * unit, unit / 2, unit / 8), rng.dirichlet([1, 1, 1]), strict=True):
        cells = (2 + int(height / cell), 2 + int(width / cell))
        noise = Image.fromarray(rng.uniform(-1, 1, cells).astype(np.float32))
        total += weight * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(1.5 * total, -1, 1)


def bricks(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    """Returns bricks of different shades with mortar; each course is shifted by half a brick."""
    course = unit * rng.uniform(0.4, 1)
    length = course * rng.uniform(2, 3)
    u, v = _turned(rng, height, width)
    row = np.floor(v / course).astype(int)
    along = u / length + 0.5 * (row % 2)
    column = np.floor(along).astype(int)
    shades = rng.uniform(-0.6, 0.6, (16, 16)).astype(np.float32)
    joint = course * rng.uniform(0.06, 0.14)
    is_mortar = (v - course * row < joint) | ((along - column) * length < joint)
    return np.where(is_mortar, np.float32(rng.choice([-1, 1])), shades[row % 16, column % 16])


def planks(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    """Returns boards or siding: bands of different shades, each darker towards one edge."""
    board = unit * rng.uniform(0.4, 1.5)
    across = _turned(rng, height, width)[rng.integers(2)] / board
    band = np.floor(across).astype(int)
    slope = np.float32(rng.uniform(0, 0.6))
    shades = rng.uniform(-0.4, 0.4, 16).astype(np.float32)
    shade = shades[band % 16] + slope * (across - band - 0.5)
    return np.where(across - band < 0.08, np.float32(-1), shade)


def _turned(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns coordinates [height, width] along and across courses that are nearly horizontal."""
    angle, start = rng.normal(0, 0.07), rng.uniform(0, 100, 2).astype(np.float32)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y + start[0], cos * y - sin * x + start[1]


def free_strips(size: tuple[int, int], taken: Rectangle) -> list[Rectangle]:
    """Returns the strips left of, right of, above and below a rectangle that are not too thin."""
    (width, height), (left, top, right, bottom) = size, taken
    strips = [
        (0, 0, left, height),
        (right, 0, width, height),
        (0, 0, width, top),
        (0, bottom, width, height),
    ]
    return [strip for strip in strips if min(strip[2] - strip[0], strip[3] - strip[1]) > 4]


def paint_shapes(
    rng: np.random.Generator, canvas: Image.Image, strips: Sequence[Rectangle]
) -> None:
    """Paints up to three posts or level blocks in the strips, none as short and thin as a 1."""
    for _ in range(rng.choice(4, p=[0.55, 0.2, 0.15, 0.1]) if strips else 0):
        left, top, right, bottom = strips[int(rng.integers(len(strips)))]
        left, right = sorted(rng.uniform(left, right, 2).tolist())
        if rng.random() < 0.5:
            top = rng.uniform(top, bottom)
            bottom = min(bottom, top + rng.uniform(0.1, 0.8) * (right - left))
        colour = random_colour(rng, rng.random())
        canvas.paste(colour, (int(left), int(top), int(right), int(bottom)))


def paint_writing(
    rng: np.random.Generator,
    canvas: Image.Image,
    strips: Sequence[Rectangle],
    font: str,
    cap: float,
    ink: Colour,
) -> None:
    """Paints up to three words of letters or digits, at most 0.4 `cap` high, within the strips."""
    for _ in range(rng.integers(4) if strips else 0):
        left, top, right, bottom = strips[int(rng.integers(len(strips)))]
        word = "".join(rng.choice(LETTERS, rng.integers(1, 5)))
        mask = text_mask(font, word, cap * rng.uniform(0.2, 0.4), rng.uniform(-20, 20))
        if mask.width < right - left and mask.height < bottom - top:
            x, y = rng.uniform((left, top), (right - mask.width, bottom - mask.height))
            canvas.paste(ink, (int(x), int(y)), mask)


def paint_neighbours(
    rng: np.random.Generator,
    canvas: Image.Image,
    number: Rectangle,
    font: str,
    cap: float,
    ink: Colour,
) -> None:
    """Sometimes paints the near half of another number's digit at the left or the right edge.

    It is `cap` high, like the number's digits, level with the number and at least 1 `cap` away.
    """
    left, top, right, bottom = number
    for edge, room in ((0, left), (canvas.width, canvas.width - right)):
        if room > 1.3 * cap and rng.random() < 0.5:
            mask = text_mask(font, rng.choice(CUT_DIGITS), cap, rng.uniform(-20, 20))
            if room - mask.width / 2 >= cap:
                corner = (int(edge - mask.width / 2), int((top + bottom - mask.height) / 2))
                canvas.paste(ink, corner, mask)
