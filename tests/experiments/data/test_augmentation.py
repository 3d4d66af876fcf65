import functools

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest

from stn_jax.experiments.data.augmentation import (
    random_affine_map,
    random_brightness_contrast,
    random_crop,
    random_linear_map,
    random_warp,
)
from stn_jax.transforms import regular_grid

IMAGE = np.random.default_rng(0).uniform(0.1, 1, size=(4, 6, 2)).astype(np.float32)


def keys(count):
    return jax.random.split(jax.random.key(0), count)


def crops(image, count, shape):
    return np.asarray(jax.jit(jax.vmap(lambda key: random_crop(image, key, shape)))(keys(count)))


def offsets(image, windows, shape):
    """Returns the position of each window in the image; fails unless it is found once."""
    views = np.lib.stride_tricks.sliding_window_view(image, shape, axis=(0, 1))
    views = np.moveaxis(views, 2, -1)
    found = [np.argwhere(np.all(views == window, axis=(2, 3, 4))) for window in windows]
    assert all(len(places) == 1 for places in found)
    return np.concatenate(found)


@pytest.mark.parametrize("shape", [(2, 3), (3, 6), (1, 1)])
def test_a_crop_is_a_window_of_the_image_and_every_place_is_reached(shape):
    windows = crops(IMAGE, 500, shape)
    chex.assert_shape(windows, (500, *shape, 2))
    places, counts = np.unique(offsets(IMAGE, windows, shape), axis=0, return_counts=True)
    assert len(places) == (5 - shape[0]) * (7 - shape[1])
    # All places are equally frequent, within five standard deviations.
    mean = 500 / len(places)
    assert np.all(np.abs(counts - mean) <= 5 * np.sqrt(mean))


def test_a_crop_as_large_as_the_image_is_the_image():
    np.testing.assert_array_equal(random_crop(IMAGE, jax.random.key(0), (4, 6)), IMAGE)


@pytest.mark.parametrize("shape", [(5, 6), (4, 7)])
def test_a_crop_larger_than_the_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"does not fit the image, \(4, 6\)"):
        random_crop(IMAGE, jax.random.key(0), shape)


def warps(count, shape, deviation):
    warp = jax.jit(jax.vmap(lambda key: random_warp(key, shape, deviation=deviation)))
    return np.asarray(warp(keys(count)))


def test_a_warp_without_deviation_reads_every_pixel_where_it_is():
    np.testing.assert_array_equal(warps(2, (5, 7), 0.0)[1], regular_grid((5, 7)))


def test_a_warp_moves_control_points_by_its_deviation_and_what_is_between_smoothly():
    # The centres of 30x30 pixels and the 4x4 control points coincide at -1/3 and 1/3, up to half a
    # pixel.
    moves = warps(2000, (30, 30), 0.1) - regular_grid((30, 30))
    chex.assert_shape(moves, (2000, 30, 30, 2))
    inner = moves[:, [9, 9, 20, 20], [9, 20, 9, 20]]
    np.testing.assert_allclose(inner.mean(axis=0), 0, atol=5 * 0.1 / np.sqrt(2000))
    np.testing.assert_allclose(inner.std(axis=0), 0.1, rtol=0.15)
    # The points move independently of each other, in x and in y.
    correlation = np.corrcoef(inner.reshape(2000, 8), rowvar=False) - np.eye(8)
    assert np.abs(correlation).max() < 0.2
    # Neighbouring pixels are a tenth of the distance between control points apart, so they differ
    # by at most twice a tenth of the difference between two points.
    assert np.abs(np.diff(moves, axis=1)).std() < 0.1 * np.sqrt(2) / 5


def test_a_linear_map_moves_each_entry_of_the_identity_on_its_own():
    draw = jax.jit(jax.vmap(lambda key: random_linear_map(key, deviation=0.1)))
    entries = np.asarray(draw(keys(4000))).reshape(4000, 4)
    np.testing.assert_allclose(entries.mean(axis=0), [1, 0, 0, 1], atol=5 * 0.1 / np.sqrt(4000))
    np.testing.assert_allclose(entries.std(axis=0), 0.1, rtol=0.06)
    assert np.abs(np.corrcoef(entries, rowvar=False) - np.eye(4)).max() < 0.08
    np.testing.assert_array_equal(random_linear_map(keys(1)[0], deviation=0.0), np.eye(2))


@pytest.mark.parametrize("aspect", [1, 2.5])
def test_an_affine_map_rotates_scales_and_shifts_within_its_ranges(aspect):
    ranges = {"rotation": 30.0, "scale": 0.2, "shift": 0.1}
    draw = jax.jit(jax.vmap(lambda key: random_affine_map(key, **ranges, aspect=aspect)))
    maps = np.asarray(draw(keys(2000)), np.float64)
    # The map from the old image to the new one, which says what happens to an object.
    squares = np.concatenate([maps, np.broadcast_to([0, 0, 1], (2000, 1, 3))], axis=1)
    (a, b, x), (c, d, y), _ = np.linalg.inv(squares).transpose(1, 2, 0)
    b, c = b * aspect, c / aspect  # in pixels
    np.testing.assert_allclose([a, b], [d, -c], atol=1e-6)  # neither sheared nor mirrored
    drawn = {"angle": np.rad2deg(np.arctan2(c, a)), "factor": np.hypot(a, c), "x": x, "y": y}
    ends = {"angle": (-30, 30), "factor": (0.8, 1.2), "x": (-0.2, 0.2), "y": (-0.2, 0.2)}
    for name, (low, high) in ends.items():
        edge = 0.01 * (high - low)
        assert low - 1e-4 <= drawn[name].min() < low + edge, name
        assert high - edge < drawn[name].max() <= high + 1e-4, name
    assert np.abs(np.corrcoef(list(drawn.values())) - np.eye(4)).max() < 0.1
    still = random_affine_map(keys(1)[0], rotation=0.0, scale=0.0, shift=0.0)
    np.testing.assert_array_equal(still, np.eye(2, 3))


@functools.partial(jax.jit, static_argnames="count")
def draw_light(image, count, brightness, contrast):
    def change(key):
        return random_brightness_contrast(image, key, brightness=brightness, contrast=contrast)

    return jax.vmap(change)(keys(count))


def light(*args):
    return np.asarray(draw_light(*args))


def fit_line(image, changed):
    """Returns (slope, change of the mean) of each changed image as a function of the first."""
    centred = (image - image.mean()).ravel()
    flat = changed.reshape(len(changed), -1)
    slopes = flat @ centred / np.sum(centred**2)
    added = flat.mean(axis=1) - image.mean()
    line = slopes[:, None] * centred + image.mean() + added[:, None]
    np.testing.assert_allclose(flat, line, atol=1e-5)
    return slopes, added


def test_contrast_stretches_about_the_mean_and_brightness_shifts():
    image = (0.3 * (IMAGE - 0.55) + 0.5).astype(np.float32)  # not clipped by either change
    slopes, added = fit_line(image, light(image, 300, 0.2, 0.6))
    for draws, low, high in ((slopes, 0.4, 1.6), (added, -0.2, 0.2)):
        assert low - 1e-4 <= draws.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < draws.max() <= high + 1e-4
        np.testing.assert_allclose(draws.mean(), (low + high) / 2, atol=0.06 * (high - low))
    assert abs(np.corrcoef(slopes, added)[0, 1]) < 0.2


@hypothesis.settings(max_examples=10)
@hypothesis.given(brightness=st.floats(0, 1, width=32), contrast=st.floats(0, 1, width=32))
def test_values_stay_in_0_to_1(brightness, contrast):
    changed = light(IMAGE, 20, brightness, contrast)
    assert np.all((changed >= 0) & (changed <= 1))


def test_no_brightness_and_no_contrast_change_nothing():
    same = light(IMAGE, 2, 0.0, 0.0)
    chex.assert_trees_all_close(same, np.stack([IMAGE, IMAGE]), atol=1e-6)


def test_bright_values_are_clipped():
    white = np.ones((3, 3, 1), np.float32)
    changed = light(white, 50, 0.5, 0.0)
    np.testing.assert_array_equal(changed.max(), 1)
    assert 0.5 <= changed.min() < 0.6
