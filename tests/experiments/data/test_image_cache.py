import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.data.image_cache import crop_box, cut_out, fitted, resize


@pytest.mark.parametrize(
    ("size", "box"), [((60, 20), (10, 0, 50, 20)), ((20, 60), (0, 25, 20, 35))]
)
def test_a_crop_is_the_middle_with_the_proportions_of_the_shape(size, box):
    picture = Image.effect_noise(size, 90)
    expected = resize(picture.crop(box), (5, 10))
    np.testing.assert_array_equal(fitted(picture, (5, 10), "crop"), expected)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@hypothesis.given(
    left=st.floats(0, 90),
    top=st.floats(0, 40),
    width=st.floats(0.5, 10),
    height=st.floats(0.5, 10),
    context=st.floats(1, 5),
)
def test_the_crop_is_the_enlarged_box_within_the_picture(left, top, width, height, context):
    boxes = np.array(
        [
            [left, top, left + width / 2, top + height],
            [left + width / 2, top + 1e-3, left + width, top + height / 2],
        ]
    )
    found = crop_box(boxes, context, 100, 50)
    grown = (context - 1) / 2
    expected = [
        max(left - grown * width, 0),
        max(top - grown * height, 0),
        min(left + (1 + grown) * width, 100),
        min(top + (1 + grown) * height, 50),
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_no_context_is_the_whole_picture():
    assert crop_box(np.array([[3, 4, 5, 6]]), 0, 100, 50) == (0, 0, 100, 50)


@pytest.mark.parametrize("context", [0, 4])
def test_a_crop_that_has_the_size_is_not_changed(context):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = cut_out(png(pixels), np.array([[8, 8, 24, 24]]), shape=(32, 32), context=context)
    np.testing.assert_array_equal(found, pixels)


def test_a_fine_pattern_is_averaged_and_not_aliased():
    """Stripes of one pixel become grey where too few pixels are left to show them."""
    pixels = np.zeros((120, 120, 3), np.uint8)
    pixels[:, ::2] = 255
    found = cut_out(png(pixels), np.array([[0, 0, 120, 120]]), shape=(18, 18), context=0)
    np.testing.assert_allclose(found[1:-1, 1:-1], 127.5, atol=13)


@pytest.mark.parametrize("size", [16, 96])
def test_nothing_is_brighter_or_darker_than_the_picture(size):
    pixels = np.full((40, 40, 3), 50, np.uint8)
    pixels[10:30, 10:30] = 200
    found = cut_out(png(pixels), np.array([[0, 0, 40, 40]]), shape=(size, size), context=0)
    assert found.min() == 50 and found.max() == 200


@pytest.mark.parametrize(("width", "height"), [(60, 30), (30, 60), (97, 60), (32, 32), (1, 90)])
@pytest.mark.parametrize("shape", [(32, 64), (24, 24), (40, 17)])
def test_a_letterboxed_picture_keeps_its_proportions_and_its_edges_are_repeated(
    width, height, shape
):
    """Red grows to the right and green downwards, so the pixels show where they are from."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack([x, y, 0 * x], axis=-1).round().astype(np.uint8)
    found = resize(Image.fromarray(pixels), shape, letterbox=True)
    assert found.shape == (*shape, 3)
    scale = min(shape[0] / height, shape[1] / width)
    inner = [max(1, round(scale * side)) for side in (height, width)]
    top, left = ((of - to) // 2 for of, to in zip(shape, inner, strict=True))
    middle = found[top : top + inner[0], left : left + inner[1]]
    stretched = resize(Image.fromarray(pixels), tuple(inner))
    np.testing.assert_array_equal(middle, stretched)
    np.testing.assert_array_equal(found[:top], np.broadcast_to(found[top], found[:top].shape))
    last = left + inner[1] - 1
    beside = found[:, last + 1 :]
    np.testing.assert_array_equal(beside, np.broadcast_to(found[:, last:][:, :1], beside.shape))


def test_a_box_is_letterboxed_by_its_own_proportions():
    pixels = np.zeros((50, 100, 3), np.uint8)
    pixels[10:30, 40:50] = 255
    boxes = np.array([[40, 10, 50, 30]])
    found = cut_out(png(pixels), boxes, shape=(20, 40), context=1, letterbox=True)
    assert found.min() == 255
