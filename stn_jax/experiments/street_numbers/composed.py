"""New numbers composed of real ones: the first digits of one and the last of another."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS, NO_DIGIT
from stn_jax.experiments.street_numbers.svhn.prepared import Number

LENGTH_SHARES = {2: 0.5, 3: 0.35, 4: 0.1, 5: 0.05}
"""How common each length is: a small set has few long numbers."""

_HEIGHT = 32  # of the digits in the parts, in pixels
_CANDIDATES = 32  # for the last digits; those that look most like the first ones are taken
_GAP = 4  # between a digit and the next one, in pixels, where there is none
_SEAM = 2  # columns of pixels beside the cut, which show the wall or a plate


class _Part(NamedTuple):
    pixels: np.ndarray  # [height, width, 3] uint8
    digits: np.ndarray  # [length] int32
    boxes: np.ndarray  # [length, 4] float32: left, top, right, bottom


class _Parts(NamedTuple):
    parts: list[_Part]
    looks: np.ndarray  # [N, 2, 3]: the colour at the cut, and what the rest adds to it on average


def compose(numbers: Sequence[Number], count: int, *, seed: int) -> list[Number]:
    """Returns new numbers of two to five digits.

    Of some numbers, the one is taken, or its inverse, whose last digits look most like the first
    digits of another. They are shifted to the same level and to the same colour at the cut. The
    i-th new number depends only on `numbers`, `seed` and i.

    Args:
        numbers: the real numbers.
        count: how many new ones to compose.
        seed: the random seed, at least 0.

    Raises:
        UserError: there are no numbers to compose others of.
    """
    if not numbers:
        raise UserError("config.data.composed needs real numbers to compose others of")
    scaled = [_at_one_scale(number) for number in numbers]
    firsts, lasts = (
        {
            length: _parts(
                [
                    cut(pixels, number, length)
                    for pixels, number in scaled
                    if length <= number.length
                ],
                seam,
            )
            for length in range(1, max(number.length for number in numbers) + 1)
        }
        for cut, seam in ((_first_digits, slice(-_SEAM, None)), (_last_digits, slice(_SEAM)))
    )
    return [
        _compose_one(np.random.default_rng((seed, index)), firsts, lasts) for index in range(count)
    ]


def _at_one_scale(number: Number) -> tuple[np.ndarray, Number]:
    """Returns the picture, scaled so that its digits are `_HEIGHT` pixels high, and their boxes."""
    scale = _HEIGHT / float((number.boxes[:, 3] - number.boxes[:, 1]).mean())
    with Image.open(io.BytesIO(number.png), formats=("PNG",)) as picture:
        width, height = (max(1, round(scale * side)) for side in picture.size)
        pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return pixels, number._replace(boxes=number.boxes * np.float32(scale))


def _first_digits(pixels: np.ndarray, number: Number, length: int) -> _Part:
    """Returns the first digits and all that is left of them."""
    ends = [*number.boxes[:, 0], number.boxes[-1, 2] + _GAP]
    cut = float(number.boxes[length - 1, 2] + ends[length]) / 2
    end = min(max(round(cut), 1), pixels.shape[1])
    return _Part(pixels[:, :end], number.digits[:length], number.boxes[:length])


def _last_digits(pixels: np.ndarray, number: Number, length: int) -> _Part:
    """Returns the last digits and all that is right of them."""
    first = number.length - length
    starts = [number.boxes[0, 0] - _GAP, *number.boxes[:, 2]]
    cut = float(starts[first] + number.boxes[first, 0]) / 2
    start = min(max(round(cut), 0), pixels.shape[1] - 1)
    boxes = number.boxes[first:] - np.array([start, 0, start, 0], np.float32)
    return _Part(pixels[:, start:], number.digits[first : number.length], boxes)


def _parts(parts: list[_Part], seam: slice) -> _Parts:
    colours = np.array([part.pixels[:, seam].mean(axis=(0, 1)) for part in parts])
    means = np.array([part.pixels.mean(axis=(0, 1)) for part in parts])
    return _Parts(parts, np.stack([colours, means - colours], axis=1))


def _compose_one(
    rng: np.random.Generator, firsts: dict[int, _Parts], lasts: dict[int, _Parts]
) -> Number:
    splits = [(ahead, after) for ahead in firsts for after in lasts if ahead + after <= MAX_DIGITS]
    shares = np.array(
        [LENGTH_SHARES[ahead + after] / (ahead + after - 1) for ahead, after in splits]
    )
    ahead, after = splits[rng.choice(len(splits), p=shares / shares.sum())]
    left, right = firsts[ahead], lasts[after]
    chosen = rng.integers(len(left.parts))
    some = rng.integers(len(right.parts), size=_CANDIDATES)
    # Of each candidate as it is, and inverted:
    looks = np.stack([right.looks[some], [[255], [0]] - right.looks[some]])
    distances = np.square((looks - left.looks[chosen]) * [[1], [2]]).sum(axis=(2, 3))
    is_inverted, best = np.unravel_index(distances.argmin(), distances.shape)
    first, last = left.parts[chosen], right.parts[some[best]]
    pixels = 255.0 - last.pixels if is_inverted else last.pixels
    colour_shift = left.looks[chosen, 0] - looks[is_inverted, best, 0]
    return _joined(first, last._replace(pixels=np.clip((pixels + colour_shift).round(), 0, 255)))


def _joined(first: _Part, last: _Part) -> Number:
    """Returns both side by side, with their digits at one level; nearest pixels fill the rest."""
    levels = [(box[1] + box[3]) / 2 for box in (first.boxes[-1], last.boxes[0])]
    tops = [round(float(max(levels) - level)) for level in levels]
    height = max(top + len(part.pixels) for top, part in zip(tops, (first, last), strict=True))
    pixels = [
        np.pad(part.pixels, ((top, height - top - len(part.pixels)), (0, 0), (0, 0)), mode="edge")
        for top, part in zip(tops, (first, last), strict=True)
    ]
    boxes = [
        part.boxes + np.array([left, top, left, top], np.float32)
        for part, left, top in zip((first, last), (0, first.pixels.shape[1]), tops, strict=True)
    ]
    png = io.BytesIO()
    picture = np.concatenate(pixels, axis=1).astype(np.uint8)
    Image.fromarray(picture).save(png, "PNG", compress_level=1)
    length = len(first.digits) + len(last.digits)
    digits = np.full(MAX_DIGITS, NO_DIGIT, np.int32)
    digits[:length] = np.concatenate([first.digits, last.digits])
    return Number(png.getvalue(), digits, length, np.concatenate(boxes))
