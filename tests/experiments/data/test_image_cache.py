import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.data.image_cache import crop_box, cut_out


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
    found = cut_out(png(pixels), np.array([[8, 8, 24, 24]]), size=32, context=context)
    np.testing.assert_array_equal(found, pixels)


def test_a_fine_pattern_is_averaged_and_not_aliased():
    """Stripes of one pixel become grey where too few pixels are left to show them."""
    pixels = np.zeros((120, 120, 3), np.uint8)
    pixels[:, ::2] = 255
    found = cut_out(png(pixels), np.array([[0, 0, 120, 120]]), size=18, context=0)
    np.testing.assert_allclose(found[1:-1, 1:-1], 127.5, atol=13)


@pytest.mark.parametrize("size", [16, 96])
def test_nothing_is_brighter_or_darker_than_the_picture(size):
    pixels = np.full((40, 40, 3), 50, np.uint8)
    pixels[10:30, 10:30] = 200
    found = cut_out(png(pixels), np.array([[0, 0, 40, 40]]), size=size, context=0)
    assert found.min() == 50 and found.max() == 200
