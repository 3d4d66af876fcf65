"""Tests of drawn traffic signs and of their photographs."""

import itertools

import numpy as np
import pytest

from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES
from stn_jax.experiments.traffic_signs.drawn_signs import SIGNS, View, draw_sign, photograph

SCENE = 3


def pixels(sign, *, size=32, scene=SCENE, **view):
    return np.asarray(photograph(sign, View(**view), scene, size), float)


def test_every_sign_is_a_class_and_fills_its_drawing():
    assert SIGNS.keys() <= set(range(len(CLASS_NAMES)))
    for sign in SIGNS:
        alpha = np.asarray(draw_sign(sign))[..., 3]
        assert np.ptp(np.flatnonzero(alpha.any(axis=0))) > 0.95 * alpha.shape[1], sign
        assert np.ptp(np.flatnonzero(alpha.any(axis=1))) > 0.8 * alpha.shape[0], sign
        assert not alpha[0, 0]


def test_no_two_signs_look_alike():
    small = {sign: pixels(sign) for sign in SIGNS}
    for one, other in itertools.combinations(SIGNS, 2):
        assert np.abs(small[one] - small[other]).mean() > 1.5, (one, other)


def test_signs_to_the_left_are_mirror_images_of_those_to_the_right():
    for right, left in ((33, 34), (36, 37), (38, 39)):
        mirrored = np.asarray(draw_sign(right), int)[:, ::-1]
        assert np.abs(mirrored - np.asarray(draw_sign(left), int)).mean() < 1


@pytest.mark.parametrize(("right", "down"), [(20, 0), (0, -15), (-10, 10)])
def test_a_shift_moves_the_sign_by_its_share_of_the_picture(right, down):
    """Compares where a red sign is; the background is much less red."""

    def centre(**view):
        red, green, _ = np.moveaxis(pixels(17, size=100, scale=0.5, **view), -1, 0)
        places = np.argwhere(red - green > 80)
        return places.mean(axis=0)[::-1]

    np.testing.assert_allclose(centre(right=right, down=down) - centre(), (right, down), atol=1)


def test_a_turn_is_counter_clockwise():
    turned, upright = pixels(38, size=64, turn=90), pixels(38, size=64)
    difference, other_way = (
        np.abs(turned - np.rot90(upright, quarters))[16:48, 16:48].mean() for quarters in (1, -1)
    )
    assert 3 * difference < other_way


def test_shade_takes_light_and_blur_takes_detail():
    bright, dim, dark = (pixels(14, shade=shade).mean() for shade in (0, 0.5, 1))
    assert bright > 1.3 * dim > 1.3 * dark
    sharp, blurred = (np.abs(np.diff(pixels(14, size=128, blur=b), axis=1)).mean() for b in (0, 4))
    assert sharp > 1.5 * blurred


def test_a_scene_is_the_same_each_time_and_another_one_differs():
    once, again, other = (pixels(1, scene=scene) for scene in (5, 5, 6))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
