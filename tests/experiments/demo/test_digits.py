import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_jax.errors import UserError
from stn_jax.experiments.demo.cards import data_url
from stn_jax.experiments.demo.digits import NOTHING_DRAWN, Pose, distort, read_drawing
from stn_jax.experiments.distorted_mnist.digit_pictures import centred
from tests.pictures import blank_png

CANVAS = 42


def posed(digit, **pose):
    return np.asarray(distort(digit, Pose(**pose), canvas=CANVAS))


def test_with_all_sliders_at_rest_the_digit_itself_is_in_the_middle(digit):
    image = posed(digit)
    np.testing.assert_allclose(image[7:35, 7:35], digit, atol=1e-4)
    assert image.sum() == pytest.approx(digit.sum(), rel=1e-4)


def test_a_quarter_turn_to_the_left_is_that_of_numpy(digit):
    np.testing.assert_allclose(posed(digit, turn=90.0), np.rot90(posed(digit)), atol=1e-3)


@pytest.mark.parametrize(("right", "down"), [(5.0, 0.0), (0.0, -4.0), (-3.0, 6.0)])
def test_shifts_are_in_pixels_to_the_right_and_down(digit, right, down):
    moved = np.roll(posed(digit), (int(down), int(right)), axis=(0, 1))
    np.testing.assert_allclose(posed(digit, right=right, down=down), moved, atol=1e-3)


def test_twice_the_scale_is_four_times_the_ink(digit):
    assert posed(digit, scale=1.5).sum() == pytest.approx(1.5**2 * digit.sum(), rel=0.02)


def test_a_bend_moves_top_and_bottom_to_the_right_and_leaves_the_middle():
    bar = np.zeros((28, 28, 1), np.float32)
    bar[:, 12:16] = 1
    image = posed(bar, bend=6.0)[7:35, :, 0]  # the rows of the digit
    centre = image @ np.arange(CANVAS) / image.sum(axis=1) - (CANVAS - 1) / 2
    assert centre[13:15] == pytest.approx(0, abs=0.1)
    assert centre[[0, -1]] == pytest.approx(6.0, abs=0.6)
    assert (np.diff(centre[14:]) > 0).all()


@settings(max_examples=30)
@given(
    st.builds(
        Pose,
        turn=st.floats(-90, 90),
        scale=st.floats(0.5, 1.5),
        right=st.floats(-14, 14),
        down=st.floats(-14, 14),
        bend=st.floats(-8, 8),
    )
)
def test_any_pose_gives_an_image_in_0_to_1(pose):
    image = np.asarray(distort(np.ones((28, 28, 1), np.float32), pose, canvas=CANVAS))
    assert image.shape == (CANVAS, CANVAS, 1)
    assert image.min() >= 0
    assert image.max() <= 1 + 1e-5


def test_a_drawing_gives_the_same_digit_wherever_and_however_large_it_is_drawn(digit):
    ink = digit[..., 0].repeat(5, axis=0).repeat(5, axis=1)
    small = np.zeros((300, 300), np.float32)
    small[150:290, 10:150] = ink
    large = ink.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(centred(small), centred(large), atol=1e-5)


def test_a_digit_that_is_as_mnist_has_them_is_only_centred_by_its_weight(digit):
    column = digit[..., 0].sum(axis=0) @ (np.arange(28) + 0.5) / digit.sum()
    row = digit[..., 0].sum(axis=1) @ (np.arange(28) + 0.5) / digit.sum()
    moved = np.roll(digit, (round(14 - row), round(14 - column)), axis=(0, 1))
    np.testing.assert_allclose(centred(digit[..., 0]), moved, atol=1e-6)


def test_a_dot_is_a_drawing_too():
    ink = np.zeros((280, 280), np.float32)
    ink[100:102, 3] = 1
    assert centred(ink).max() == 1


def test_an_empty_canvas_gets_one_clear_sentence():
    with pytest.raises(UserError) as error:
        read_drawing(png_url(280, 280))
    assert str(error.value) == NOTHING_DRAWN


def test_a_drawing_is_read_as_it_was_sent(digit):
    np.testing.assert_allclose(read_drawing(data_url(digit)), digit[..., 0], atol=1 / 255)


def png_url(width, height):
    return "data:image/png;base64," + base64.b64encode(blank_png(width, height)).decode()


@pytest.mark.parametrize(
    "sent",
    [
        *("", "/etc/passwd", "data:image/png;base64,AAAA", "data:;base64,%%%", None, 7, ["a"]),
        *(png_url(2000, 10), png_url(20_000, 20_000)),
    ],
)
def test_what_is_no_drawing_gets_one_clear_sentence(sent):
    with pytest.raises(UserError, match="cannot be read"):
        read_drawing(sent)
