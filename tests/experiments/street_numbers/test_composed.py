import io

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.composed import compose
from stn_jax.experiments.street_numbers.svhn.prepared import Number

INK = 20  # a digit d is a rectangle of this shade plus 10 times d


def number(digits, *, wall, height=32, top=0):
    """Returns a number whose digits are rectangles, 10 pixels wide and 4 apart."""
    pixels = np.full((height + 6, 14 * len(digits) + 4, 3), wall, np.uint8)
    boxes = []
    for i, digit in enumerate(digits):
        left = 4 + 14 * i
        boxes.append([left, top, left + 10, top + height])
        pixels[top : top + height, left : left + 10] = INK + 10 * digit
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    padded = np.array([*digits, *[10] * (5 - len(digits))], np.int32)
    return Number(png.getvalue(), padded, len(digits), np.array(boxes, np.float32))


def picture(composed):
    return np.asarray(Image.open(io.BytesIO(composed.png)))


def sources():
    return [
        number(digits, wall=200, top=top)
        for digits, top in (((1,), 0), ((2, 3), 3), ((4, 5, 6), 6), ((7, 8), 1))
    ]


def test_each_digit_is_where_its_box_is_and_all_are_at_one_level():
    for new in compose(sources(), 60, seed=0):
        pixels = picture(new)
        assert 2 <= new.length <= 5 and new.boxes.shape == (new.length, 4)
        np.testing.assert_array_equal(new.digits[new.length :], 10)
        assert (np.diff(new.boxes[:, 0]) > 0).all()
        assert len(set(new.boxes[:, 1])) == 1
        digits = new.digits[: new.length]
        for digit, (left, top, right, bottom) in zip(digits, new.boxes.astype(int), strict=True):
            seen = pixels[top:bottom, left:right]
            assert seen.shape[:2] == (32, 10)
            np.testing.assert_array_equal(seen, INK + 10 * digit)


def test_numbers_begin_as_one_does_and_end_as_another():
    all_digits = [list(source.digits[: source.length]) for source in sources()]
    found = {tuple(new.digits[: new.length]) for new in compose(sources(), 300, seed=1)}
    possible = {
        (*first[:ahead], *last[len(last) - after :])
        for first in all_digits
        for last in all_digits
        for ahead in range(1, len(first) + 1)
        for after in range(1, len(last) + 1)
    }
    assert found <= possible
    assert len(found) > 20


def test_the_look_of_the_last_digits_is_brought_close_to_that_of_the_first():
    """The wall has one shade, and digits are all darker or all brighter than it."""
    numbers = [number((1, 2), wall=180), number((9, 9), wall=60)]
    for new in compose(numbers, 40, seed=2):
        row = picture(new)[int(new.boxes[0, 1]), :, 0].astype(int)
        lefts, rights = new.boxes[:, 0].astype(int), new.boxes[:, 2].astype(int)
        walls, inks = [row[:1], *(row[rights[:-1]],)], row[lefts + 5]
        assert len({*np.concatenate(walls)}) == 1
        assert len({*np.sign(inks - row[0])}) == 1


def test_pictures_of_other_scales_are_brought_to_one():
    for new in compose([number((3, 4), wall=220, height=64)], 10, seed=0):
        heights = new.boxes[:, 3] - new.boxes[:, 1]
        np.testing.assert_allclose(heights, 32)
        np.testing.assert_allclose(new.boxes[:, 2] - new.boxes[:, 0], 5)


def test_a_number_depends_on_its_index_and_the_seed_alone():
    some, more = (compose(sources(), count, seed=5) for count in (4, 9))
    assert [new.png for new in more[:4]] == [new.png for new in some]
    assert [new.png for new in compose(sources(), 4, seed=6)] != [new.png for new in some]


def test_nothing_cannot_be_composed_of():
    with pytest.raises(UserError, match=r"config\.data\.composed needs real numbers"):
        compose([], 3, seed=0)
