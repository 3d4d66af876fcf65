import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from stn_jax.errors import UserError
from stn_jax.experiments.data.augmentation import random_warp
from stn_jax.experiments.distorted_mnist.distortions import (
    CANVAS,
    elastic,
    make_distortion,
    projected,
    rotated,
    rotated_translated_scaled,
    translated_cluttered,
)
from stn_jax.transforms import regular_grid, tps, tps_grid
from tests import reference

RNG = np.random.default_rng(0)
OTHERS = RNG.uniform(size=(5, 28, 28, 1)).astype(np.float32)
WARP = random_warp(jax.random.key(7), (28, 28), deviation=0.1)
WARPS = {"r": rotated, "rts": rotated_translated_scaled, "p": projected, "e": elastic}


def digit():
    """Returns strokes with soft edges in the middle 20x20 pixels."""
    image = np.zeros((28, 28))
    image[6:22, 9:12] = image[6:9, 9:19] = image[13:16, 9:17] = 1
    return scipy.ndimage.gaussian_filter(image, 0.6).astype(np.float32)[..., None]


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@functools.cache
def many(name, count, warped=False):
    """Draws a distortion `count` times, of the digit itself or of the digit warped by `WARP`.

    Returns the positions at which the digit was read, [count, canvas, canvas, 2] in pixels about
    the centre of its 28x28 pixels, and where they are known, [count, canvas, canvas].

    Distorting an image of the coordinates returns the positions, where no padding is mixed in.
    """
    x, y = np.meshgrid(np.arange(28) - 13.5, np.arange(28) - 13.5)
    ramps = np.float32([x, y, np.ones_like(x)])[..., None]

    def distort(ramp, key):
        return WARPS[name](ramp, key, WARP if warped else None)

    each = jax.jit(jax.vmap(jax.vmap(distort, (None, 0)), (0, None)))
    x, y, ones = np.asarray(each(ramps, keys(count)), np.float64)[..., 0]
    return np.stack([x, y], axis=-1), np.abs(ones - 1) < 1e-5


def target_pixels(canvas):
    """Returns the pixels' (x, y) about the centre, [canvas, canvas, 2]."""
    steps = np.arange(canvas) - (canvas - 1) / 2
    return np.stack(np.meshgrid(steps, steps), axis=-1)


def fit_affine(grid, known):
    """Returns the matrix [2, 3] from target to source pixels, and the fit's largest error."""
    target = target_pixels(len(grid))[known]
    design = np.column_stack([target, np.ones(len(target))])
    solution, *_ = np.linalg.lstsq(design, grid[known], rcond=None)
    return solution.T, np.abs(design @ solution - grid[known]).max()


def fit_homography(grid, known):
    """Returns the matrix [3, 3] from target to source pixels, and the fit's largest error."""
    target = target_pixels(len(grid))[known] / 20
    points = np.column_stack([target, np.ones(len(target))])
    zeros = np.zeros_like(points)
    x, y = grid[known].T / 20
    system = np.vstack(
        [
            np.hstack([points, zeros, -x[:, None] * points]),
            np.hstack([zeros, points, -y[:, None] * points]),
        ]
    )
    matrix = np.linalg.svd(system, full_matrices=False)[2][-1].reshape(3, 3)
    uvw = points @ matrix.T
    error = np.abs(20 * uvw[:, :2] / uvw[:, 2:] - grid[known]).max()
    scale = np.diag([20.0, 20.0, 1.0])
    return scale @ matrix @ np.linalg.inv(scale), error


def assert_uniform(draws, low, high):
    """Asserts that all draws are in the range, spread evenly (Kolmogorov-Smirnov, 1 in 1000)."""
    draws = np.sort((np.asarray(draws) - low) / (high - low))
    assert draws[0] >= -1e-4 and draws[-1] <= 1 + 1e-4
    ranks = (np.arange(len(draws)) + 0.5) / len(draws)
    assert np.abs(draws - ranks).max() < 1.95 / np.sqrt(len(draws))


def distortion(name):
    return make_distortion(name, jnp.asarray(OTHERS))


@pytest.mark.parametrize("name", CANVAS)
def test_shape_and_range_and_a_draw_for_each_key(name):
    distort = distortion(name)
    batched = jax.jit(jax.vmap(distort, (None, 0)))
    images = np.asarray(batched(digit(), keys(6)))
    chex.assert_shape(images, (6, CANVAS[name], CANVAS[name], 1))
    assert images.dtype == np.float32
    assert images.min() >= 0 and 0.5 < images.max() <= 1
    np.testing.assert_array_equal(images, batched(digit(), keys(6)))
    different = [np.any(a != b) for i, a in enumerate(images) for b in images[:i]]
    assert not any(different) if name in ("none", "centred") else all(different)
    without_jit = distort(digit(), keys(6)[4])
    chex.assert_trees_all_close(np.asarray(without_jit), images[4], atol=2e-5)


def test_undistorted():
    np.testing.assert_array_equal(distortion("none")(digit(), jax.random.key(0)), digit())


@pytest.mark.parametrize("warped", [False, True])
@pytest.mark.parametrize("name", WARPS)
def test_the_digit_is_resampled_once(name, warped):
    grids, known = many(name, 400, warped)
    for draw in range(2):
        output = WARPS[name](digit(), keys(400)[draw], WARP if warped else None)
        # All ink lies where the sampling grid is known.
        grid = np.where(known[draw][..., None], grids[draw] / 14, 5)
        expected = reference.grid_sample(digit(), grid, "bilinear", "zeros", False)
        chex.assert_trees_all_close(np.asarray(output), expected.astype(np.float32), atol=1e-4)


@pytest.mark.parametrize("name", CANVAS)
def test_a_warped_digit_is_what_is_distorted(name):
    """Except for the blur of resampling twice, which is small for a smooth digit."""
    smooth = scipy.ndimage.gaussian_filter(digit(), (2, 2, 0))
    warped = jnp.asarray(reference.grid_sample(smooth, WARP, "bilinear", "zeros", False))
    for key in keys(3):
        output = distortion(name)(smooth, key, WARP)
        expected = distortion(name)(warped.astype(jnp.float32), key)
        np.testing.assert_allclose(output, expected, atol=0.03)
        assert np.abs(output - distortion(name)(smooth, key)).max() > 0.06


@pytest.mark.parametrize("name", ["rts", "p"])
def test_ink_that_a_warp_moves_past_the_frame_stays_as_it_is(name):
    image = np.zeros((28, 28, 1), np.float32)
    image[22:25, 8:20] = 1
    down = regular_grid((28, 28)) - jnp.array([0, 4 / 14])
    for key in keys(6):
        plain, moved = distortion(name)(image, key), distortion(name)(image, key, down)
        np.testing.assert_allclose(moved.sum(), plain.sum(), rtol=0.25)


def test_a_centred_digit_is_upright_in_the_middle():
    expected = np.pad(digit(), ((7, 7), (7, 7), (0, 0)))
    np.testing.assert_allclose(distortion("centred")(digit(), keys(1)[0]), expected, atol=1e-5)


def test_r_is_a_rotation_about_the_centre_by_up_to_90_degrees():
    angles = []
    for grid, known in zip(*many("r", 400), strict=True):
        matrix, error = fit_affine(grid, known)
        assert error < 1e-4
        np.testing.assert_allclose(matrix[:, :2] @ matrix[:, :2].T, np.eye(2), atol=1e-5)
        np.testing.assert_allclose(matrix[:, 2], 0, atol=1e-4)
        assert np.linalg.det(matrix[:, :2]) > 0
        angles.append(np.arctan2(matrix[1, 0], matrix[0, 0]))
    assert_uniform(np.rad2deg(angles), -90, 90)


def test_r_agrees_with_scipy():
    for draw in range(4):
        matrix, _ = fit_affine(*(part[draw] for part in many("r", 400)))
        angle = np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0]))
        expected = scipy.ndimage.rotate(
            digit()[..., 0].astype(np.float64), angle, reshape=False, order=1, mode="grid-constant"
        )
        output = np.asarray(rotated(digit(), keys(400)[draw]))[..., 0]
        np.testing.assert_allclose(output, expected, atol=1e-4)
        np.testing.assert_allclose(output.sum(), digit().sum(), rtol=0.02)


def test_rts_is_a_rotation_a_scaling_and_a_place_in_the_canvas():
    angles, scales, places = [], [], []
    for grid, known in zip(*many("rts", 400), strict=True):
        matrix, error = fit_affine(grid, known)
        assert error < 1e-3
        linear = matrix[:, :2]
        scale = np.linalg.det(linear) ** -0.5
        np.testing.assert_allclose(scale**2 * linear @ linear.T, np.eye(2), atol=1e-4)
        centre = np.linalg.solve(linear, -matrix[:, 2])
        angles.append(np.arctan2(linear[1, 0], linear[0, 0]))
        scales.append(scale)
        # Relative to the room on either side of the frame, all of which is used.
        places.append(centre / (21 - 14 * scale))
    assert_uniform(np.rad2deg(angles), -45, 45)
    assert_uniform(scales, 0.7, 1.2)
    for axis in range(2):
        assert_uniform(np.array(places)[:, axis], -1, 1)
    draws = np.column_stack([angles, scales, places])
    correlation = np.corrcoef(draws, rowvar=False) - np.eye(4)
    assert np.abs(correlation).max() < 0.2


def test_rts_cuts_nothing_off_that_lies_in_the_frames_inner_circle():
    x, y = np.moveaxis(target_pixels(28), -1, 0)
    disc = (np.hypot(x, y) < 12.5).astype(np.float32)[..., None]
    output = jax.jit(jax.vmap(rotated_translated_scaled, (None, 0)))(disc, keys(400))
    ink = np.asarray(output).sum(axis=(1, 2, 3))
    for draw, (grid, known) in enumerate(zip(*many("rts", 400), strict=True)):
        matrix, _ = fit_affine(grid, known)
        expected = disc.sum() / np.linalg.det(matrix[:, :2])
        np.testing.assert_allclose(ink[draw], expected, rtol=0.02)


def solve_homography(source, target):
    """Returns the matrix [3, 3] that maps four points to four others: eight equations."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return np.append(np.linalg.solve(rows, np.ravel(target)), 1).reshape(3, 3)


def apply_homography(matrix, points):
    uvw = points @ matrix[:, :2].T + matrix[:, 2]
    return uvw[:, :2] / uvw[:, 2:]


def test_p_moves_the_canvas_corners_by_normals_of_5_pixels():
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    frames = []
    for grid, known in zip(*many("p", 800), strict=True):
        matrix, error = fit_homography(grid, known)
        assert error < 1e-2
        frames.append(apply_homography(np.linalg.inv(matrix), 14.0 * corners))

    rng = np.random.default_rng(1)
    expected = []
    for _ in range(4000):
        moved = 21 * corners + 5 * rng.normal(size=(4, 2))
        placed = solve_homography(21 * corners, moved)
        expected.append(apply_homography(placed, 14 * rng.uniform(0.75, 1) * corners))

    frames, expected = (np.reshape(f, (-1, 8)) for f in (frames, expected))
    # Where the digit's corners end up: about 10 pixels out, with a spread of about 3.
    np.testing.assert_allclose(frames.mean(axis=0), expected.mean(axis=0), atol=0.4)
    np.testing.assert_allclose(frames.std(axis=0), expected.std(axis=0), rtol=0.12)
    correlations = np.corrcoef(frames, rowvar=False) - np.corrcoef(expected, rowvar=False)
    assert np.abs(correlations).max() < 0.15


def test_e_moves_16_control_points_by_normals_of_1_5_pixels():
    points = 14 * tps.control_points(4)
    # Grids are linear in theta: column i is the grid of theta's i-th point alone.
    units = np.zeros((17, 16, 2), np.float32)
    units[np.arange(16), np.arange(16)] = 1
    basis = np.asarray(jax.vmap(lambda theta: tps_grid(theta, (28, 28)))(units), np.float64)
    basis = np.moveaxis((basis - basis[16])[:16, ..., 0], 0, -1)
    moved = []
    for grid, known in zip(*many("e", 400), strict=True):
        theta, *_ = np.linalg.lstsq(basis[known], grid[known], rcond=None)
        assert np.abs(basis[known] @ theta - grid[known]).max() < 1e-3
        moved.append(theta)

    # theta = (point + move) / scale; 1 / scale has these moments for a scale in 0.75..1.
    mean, mean_square = np.log(4 / 3) / 0.25, 4 / 3
    moved = np.array(moved)
    np.testing.assert_allclose(moved.mean(axis=0), points * mean, atol=0.4)
    variance = points**2 * (mean_square - mean**2) + 1.5**2 * mean_square
    np.testing.assert_allclose(
        (moved - points * mean).var(axis=0).mean(), variance.mean(), rtol=0.05
    )
    slopes = np.einsum("nkc,kc->n", moved, points) / np.sum(points**2)
    # The moves of 32 coordinates blur 1 / scale.
    blur = 1.5**2 * mean_square / np.sum(points**2)
    expected = np.sqrt(mean_square - mean**2 + blur)
    np.testing.assert_allclose(slopes.std(), expected, rtol=0.1)
    assert 1 - 4 * np.sqrt(blur) < slopes.min() and slopes.max() < 4 / 3 + 4 * np.sqrt(blur)


# Digits whose pixel values encode where each pixel comes from.
NUMBERED = np.arange(1, 7 * 784 + 1, dtype=np.float32).reshape(7, 28, 28, 1)


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0, None))
def translate_and_clutter(image, key, others):
    return translated_cluttered(image, key, others=others)[..., 0]


def cluttered(brightness, with_clutter, count=500):
    """Returns the same `count` draws of TC, optionally without the digit or the clutter."""
    others = NUMBERED * np.float32(with_clutter)
    return np.asarray(translate_and_clutter(brightness * digit(), keys(count), others))


def test_tc_places_the_digit_whole_and_unchanged():
    ink = np.argwhere(digit()[..., 0])
    corners = []
    for image in cluttered(1, False):
        y, x = np.argwhere(image).min(axis=0) - ink.min(axis=0)
        np.testing.assert_array_equal(image[y : y + 28, x : x + 28], digit()[..., 0])
        assert np.count_nonzero(image) == len(ink)
        corners.append((y, x))
    for place in np.transpose(corners):
        np.testing.assert_array_equal(np.unique(place), np.arange(33))
        assert_uniform(place + np.random.default_rng(2).uniform(size=len(place)), 0, 33)


def test_tc_clutters_with_six_patches_from_the_middle_of_other_digits():
    seen, crops, corners = [], [], []
    for image in cluttered(0, True):
        row, column = np.nonzero(image)
        assert len(row) <= 6 * 36
        number, place = np.divmod(image[row, column].astype(int) - 1, 784)
        y, x = np.divmod(place, 28)
        # All pixels of a patch are shifted by the same amount from the same digit.
        way = np.column_stack([number, row - y, column - x])
        ways, sizes = np.unique(way, axis=0, return_counts=True)
        assert len(ways) <= 6 and sizes.max() <= 36
        for whole in ways[sizes == 36]:
            own = np.all(way == whole, axis=1)
            assert np.ptp(row[own]) == np.ptp(column[own]) == 5
            seen.append(whole[0])
            crops.append((y[own].min(), x[own].min()))
            corners.append((row[own].min(), column[own].min()))
    assert len(seen) > 0.8 * 6 * 500
    np.testing.assert_array_equal(np.unique(seen), np.arange(7))
    for axis in np.transpose(crops):
        np.testing.assert_array_equal(np.unique(axis), np.arange(4, 19))
    for axis in np.transpose(corners):
        np.testing.assert_array_equal(np.unique(axis), np.arange(0, 55))


def test_tc_shows_the_brighter_where_things_overlap():
    clutter, placed = cluttered(0, True), cluttered(1e4, False)
    assert np.any((clutter > placed) & (placed > 0)) and np.any((clutter < placed) & (clutter > 0))
    np.testing.assert_array_equal(cluttered(1e4, True), np.maximum(clutter, placed))


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        UserError, match=r"unknown config\.data\.distortion 'rst': did you mean 'rts'"
    ):
        distortion("rst")
