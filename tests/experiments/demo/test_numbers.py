import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.demo.numbers import NumberPicture, any_number, draw, network_input
from tests.experiments.tiny_numbers import make_config


@pytest.mark.parametrize("number", ["7", "90210", "  42 "])
def test_the_number_that_was_typed_is_drawn(number):
    picture = draw(number, scene=3)
    assert picture.pixels.size == (128, 128)
    assert len(picture.boxes) == len(number.strip())


def test_a_scene_is_the_same_each_time_and_another_one_differs():
    once, again, other = (np.asarray(draw("407", scene).pixels) for scene in (5, 5, 6))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


@given(st.text().filter(lambda text: not (text.strip().isdigit() and len(text.strip()) <= 5)))
def test_what_is_no_number_gets_one_clear_sentence(text):
    with pytest.raises(UserError, match="1 to 5 digits"):
        draw(text, scene=0)


@pytest.mark.parametrize("text", ["", "123456", "-4", "١٢", "²"])
def test_other_digits_than_ours_are_no_number(text):
    with pytest.raises(UserError, match="1 to 5 digits"):
        draw(text, scene=0)


def test_any_number_can_be_drawn():
    for seed in range(20):
        assert len(draw(any_number(seed), seed).boxes) in range(1, 6)


def test_a_network_sees_the_picture_less_its_mean():
    config = make_config("single", "synthetic_small")
    image = network_input(draw("12", scene=0), config)
    assert image.shape == (112, 112, 3)
    assert abs(image.mean()) < 1e-5
    assert image.std() > 0.02


def test_a_network_that_was_trained_on_cut_numbers_sees_one_cut_out():
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[90:110, 70:90] = 255
    picture = NumberPicture(Image.fromarray(pixels), np.array([[70.0, 90.0, 90.0, 110.0]]))
    config = make_config("single", "64")
    bright = {
        boxes is not None: (network_input(NumberPicture(picture.pixels, boxes), config) > 0).mean()
        for boxes in (picture.boxes, None)
    }
    assert bright[True] > 0.5 > 0.1 > bright[False]
