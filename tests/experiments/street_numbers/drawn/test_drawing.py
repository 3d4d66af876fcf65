import collections
import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.drawn import backgrounds, drawing, signs
from stn_jax.experiments.street_numbers.drawn.drawing import (
    LAYOUTS,
    LENGTH_COUNTS,
    TIGHT_LENGTH_COUNTS,
    draw_picture,
    random_number,
    random_tight_number,
)
from stn_jax.experiments.street_numbers.drawn.glyphs import CAP, FONTS, MARGIN, glyph

COUNT = 400


def rng(*seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module", params=LAYOUTS)
def pictures(request):
    return [draw_picture(rng(7, i), request.param) for i in range(COUNT)]


@pytest.fixture(scope="module")
def wide():
    return [draw_picture(rng(8, i), "wide") for i in range(COUNT)]


def edges(box):
    return box.left, box.top, box.left + box.width, box.top + box.height


def number_edges(boxes):
    lows_and_highs = np.array([edges(box) for box in boxes])
    return (*lows_and_highs[:, :2].min(axis=0), *lows_and_highs[:, 2:].max(axis=0))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_generator_gives_the_same_picture_and_another_one_another(layout):
    first, again, other = (draw_picture(rng(seed), layout) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert first[0].tobytes() != other[0].tobytes()


def test_unknown_layout():
    with pytest.raises(UserError, match="did you mean 'wide'"):
        draw_picture(rng(0), "wild")


def test_images_are_rgb_bytes(pictures):
    for image, boxes in pictures:
        assert image.dtype == np.uint8 and image.shape[2] == 3
        assert 1 <= len(boxes) <= 5


def test_boxes_lie_inside_the_picture_in_reading_order(pictures):
    for image, boxes in pictures:
        height, width, _ = image.shape
        left, top, right, bottom = number_edges(boxes)
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
        assert all(box.width > 2 and box.height > 8 for box in boxes)
        for one, next_one in itertools.pairwise(boxes):
            # Next to each other, or one below the other.
            assert one.left < next_one.left or one.top + one.height / 2 < next_one.top


def test_sizes_are_those_of_the_layouts(wide):
    assert {image.shape for image, _ in wide} == {(128, 128, 3)}
    close = [draw_picture(rng(9, i), "close")[0].shape for i in range(COUNT)]
    widths = [width for _, width, _ in close]
    assert min(widths) >= 35 and max(widths) <= 200
    assert np.std(widths) > 25 and len(set(close)) > COUNT / 2


def test_wide_numbers_reach_every_part_of_the_frame(wide):
    numbers = np.array([number_edges(boxes) for _, boxes in wide])
    centres = (numbers[:, :2] + numbers[:, 2:]) / 2
    quarters = collections.Counter(map(tuple, (centres >= 64).tolist()))
    assert min(quarters.values()) > 0.15 * COUNT and len(quarters) == 4
    nearest, farthest = numbers[:, :2].min(axis=0), numbers[:, 2:].max(axis=0)
    assert (nearest < 24).all() and (farthest > 104).all()
    # Any crop of 112 pixels contains the whole number.
    assert (nearest >= 16).all() and (farthest <= 112).all()
    longest = (numbers[:, 2:] - numbers[:, :2]).max(axis=1)
    assert longest.max() <= 0.6 * 128 + 1e-3 and longest.min() >= 17
    assert np.quantile(longest, 0.9) > 1.5 * np.quantile(longest, 0.1)


def test_close_numbers_fill_much_of_the_picture():
    shares = []
    for i in range(COUNT):
        image, boxes = draw_picture(rng(10, i), "close")
        _, top, _, bottom = number_edges(boxes)
        shares.append((bottom - top) / image.shape[0])
    assert min(shares) > 0.4


def test_tight_pictures_have_the_sizes_and_the_contrast_of_real_ones():
    """Of the 3,862 real numbers to train on, by quantiles or by length."""
    drawn = [draw_picture(rng(12, i), "tight") for i in range(COUNT)]
    heights = [image.shape[0] for image, _ in drawn]
    assert min(heights) == 32 and np.median(heights) <= 34
    for length, width in ((1, 32), (2, 49), (3, 63)):
        widths = [image.shape[1] for image, boxes in drawn if len(boxes) == length]
        assert abs(np.median(widths) - width) <= 3
    contrasts = [(image @ backgrounds.LUMINANCE / 255).std() for image, _ in drawn]
    np.testing.assert_allclose(
        np.quantile(contrasts, [0.1, 0.5, 0.9]), [0.068, 0.111, 0.186], atol=0.02
    )


def test_tight_numbers_are_long_more_often_and_start_with_low_digits():
    numbers = [random_tight_number(rng(3, i)) for i in range(3000)]
    lengths = np.bincount([len(number) for number in numbers], minlength=6)[1:] / 3000
    np.testing.assert_allclose(lengths, np.array(TIGHT_LENGTH_COUNTS) / 100, atol=0.03)
    firsts = np.bincount([number[0] for number in numbers]) / 3000
    assert firsts[0] == 0 and 0.27 < firsts[1] < 0.33 and 0.03 < firsts[9] < 0.06


def test_digits_of_a_number():
    numbers = [random_number(rng(3, i)) for i in range(3000)]
    firsts = collections.Counter(number[0] for number in numbers)
    others = collections.Counter(digit for number in numbers for digit in number[1:])
    assert set(firsts) == set(range(1, 10)) and set(others) == set(range(10))
    for counts in (firsts, others):
        expected = counts.total() / len(counts)
        assert all(abs(n - expected) < 5 * expected**0.5 for n in counts.values())


def test_lengths_are_distributed_as_in_svhn():
    lengths = collections.Counter(len(random_number(rng(4, i))) for i in range(3000))
    for length, count in enumerate(LENGTH_COUNTS, start=1):
        expected = 3000 * count / sum(LENGTH_COUNTS)
        assert abs(lengths[length] - expected) <= 4 * expected**0.5 + 1
    # Together with the only number of six digits, these are SVHN's 73,257 training digits.
    assert sum(n * k for n, k in enumerate(LENGTH_COUNTS, start=1)) + 6 == 73257


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_every_length_can_be_drawn(layout, length):
    digits = [9, 8, 7, 6, 5][:length]
    for i in range(20):
        image, boxes = draw_picture(rng(5, i), layout, digits)
        # Only the number's digits have boxes, whatever else is in the picture.
        assert [box.digit for box in boxes] == digits
        left, top, right, bottom = number_edges(boxes)
        assert left >= 0 and top >= 0 and right <= image.shape[1] and bottom <= image.shape[0]


@settings(max_examples=60)
@given(
    st.sampled_from(FONTS),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.integers(0, 1 << 32),
    st.floats(-signs.MAX_ANGLE, signs.MAX_ANGLE),
    st.floats(20, 60),
)
@example("STIXGeneral", [6, 0, 0, 0, 0], 4, 0.0, 20.0)  # the thin tip of a small digit
def test_boxes_are_the_bounds_of_the_ink_to_a_pixel(font, digits, seed, angle, scale):
    sign = signs.make_sign(rng(seed), font, digits)
    pose = signs.random_pose(rng(seed), sign, angle)
    low, high = signs.bounds(sign, np.diag([scale, scale, 1]) @ pose)
    size = tuple(int(n) for n in np.ceil(high - low) + 20)
    homography = np.array([[scale, 0, 10 - low[0]], [0, scale, 10 - low[1]], [0, 0, 1]]) @ pose
    boxes = signs.digit_boxes(sign, homography)
    assert [box.digit for box in boxes] == digits
    for outline, box in zip(sign.outlines, boxes, strict=True):
        flat = (
            *outline.min(axis=0).astype(int).tolist(),
            *outline.max(axis=0).astype(int).tolist(),
        )
        alone = Image.new("CMYK", sign.layers.size)
        alone.paste(sign.layers.crop(flat), flat)
        masks, (left, top) = signs.warp(sign._replace(layers=alone), homography, size)
        x0, y0, x1, y1 = masks.ink.point(lambda value: 255 * (value > 48)).getbbox()
        seen = (left + x0, top + y0, left + x1, top + y1)
        np.testing.assert_allclose(edges(box), seen, atol=1.5)


@pytest.mark.parametrize("font", FONTS)
def test_glyphs(font):
    inks = [np.asarray(glyph(font, str(digit)).ink.resize((32, 48))) for digit in range(10)]
    for one, other in itertools.combinations(inks, 2):
        # Digits that a font lacks would all be drawn as its empty box.
        assert np.abs(one.astype(int) - other).mean() > 10
    for character in "0123456789" + "".join(backgrounds.LETTERS):
        g = glyph(font, character)
        left, top, right, bottom = g.ink.point(lambda v: 255 * (v >= 128)).getbbox()
        assert (left, right) == (MARGIN, MARGIN + g.width)
        assert abs(top - MARGIN) <= 6 and abs(bottom - MARGIN - CAP) <= 18
        assert g.outline.min(axis=0).tolist() == [left, top]
        assert g.outline.max(axis=0).tolist() == [right, bottom]
        assert (np.asarray(g.rim) >= np.asarray(g.ink)).all()


@given(st.floats(0, 1), st.integers(0, 1 << 32))
def test_colours_have_the_luminance_asked_for_and_enough_contrast(ground, seed):
    ink = backgrounds.contrasting(rng(seed), ground)
    assert 0 <= ink <= 1 and abs(ink - ground) >= backgrounds.MIN_CONTRAST - 1e-9
    colour = backgrounds.random_colour(rng(seed), ink)
    assert min(colour) >= 0 and max(colour) <= 255
    assert abs(colour @ backgrounds.LUMINANCE / 255 - ink) < 0.005


@pytest.mark.parametrize(("layout", "least"), [("close", 20), ("wide", 20), ("tight", 8)])
def test_ink_stands_out_from_its_surroundings(layout, least):
    for i in range(COUNT):
        image, boxes = draw_picture(rng(7, i), layout)
        luminance = image @ backgrounds.LUMINANCE
        for box in boxes:
            left, top, right, bottom = (round(edge) for edge in edges(box))
            patch = luminance[top:bottom, left:right]
            low, high = np.quantile(patch, [0.1, 0.9])
            assert high - low > least, i


@pytest.mark.parametrize("layout", ["close", "wide"])
def test_what_is_beside_a_number_keeps_clear_of_it(layout, monkeypatch):
    """Pictures with and without clutter differ, but not within 0.35 digit heights of the number."""
    monkeypatch.setattr(drawing, "_photograph", lambda rng, scene, cap: (np.array(scene), cap))
    differ = 0
    for i in range(60):
        (full, cap), boxes = draw_picture(rng(11, i), layout)
        with monkeypatch.context() as patch:
            for name in ("paint_shapes", "paint_writing", "paint_neighbours"):
                real = getattr(backgrounds, name)
                patch.setattr(backgrounds, name, on_a_copy(real))
            (bare, _), _ = draw_picture(rng(11, i), layout)
        changed = (full != bare).any(axis=-1)
        differ += changed.any()
        left, top, right, bottom = number_edges(boxes)
        near = 0.35 * cap
        x0, y0 = (max(0, int(v - near)) for v in (left, top))
        assert not changed[y0 : int(bottom + near), x0 : int(right + near)].any()
    assert differ > 20


def on_a_copy(paint):
    return lambda rng, canvas, *rest: paint(rng, canvas.copy(), *rest)


def test_walls_fill_the_range_of_shades():
    for texture in (backgrounds.plain, backgrounds.mottled, backgrounds.bricks, backgrounds.planks):
        for i in range(20):
            shades = texture(rng(12, i), 40, 90, 25.0)
            assert shades.shape == (40, 90) and np.abs(shades).max() <= 1
