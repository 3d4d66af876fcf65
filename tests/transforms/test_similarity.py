import math

import chex
import numpy as np
import pytest

from stn_jax.sampling import sample
from stn_jax.transforms import affine_grid, attention_grid, regular_grid, similarity_grid
from stn_jax.transforms.similarity import compose, inverse, similarity_matrix

A, B = np.float32([0.7, 0.6, 0.1, -0.2]), np.float32([1.4, -2.0, 0.3, 0.5])
SOURCE = (4, 9)


def in_pixels(grid, shape, align_corners):
    height, width = (size - 1 if align_corners else size for size in shape)
    return np.asarray(grid) * [width / 2, height / 2]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(6, 10), (7, 3)])
def test_distances_in_pixels_are_scaled_alike(shape, align_corners):
    target = in_pixels(regular_grid(shape, align_corners=align_corners), shape, align_corners)
    grid = similarity_grid(A, shape, align_corners=align_corners)
    source = in_pixels(grid, shape, align_corners)

    def distances(points):
        points = points.reshape(-1, 2)
        return np.linalg.norm(points[:, None] - points, axis=-1)

    chex.assert_trees_all_close(distances(source), A[0] * distances(target), atol=1e-4)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_a_positive_angle_turns_the_picture_like_rot90(quarters, align_corners):
    image = np.random.default_rng(0).uniform(size=(4, 6, 2)).astype(np.float32)
    theta = np.float32([1, quarters * math.pi / 2, 0, 0])
    grid = similarity_grid(theta, (4, 6), source_shape=(4, 6), align_corners=align_corners)
    turned = sample(image, grid, align_corners=align_corners)
    expected = np.rot90(image, quarters)
    if quarters % 2:  # the part of 6 x 4 that fits into 4 x 6
        expected = np.pad(expected[1:-1], ((0, 0), (1, 1), (0, 0)))
    chex.assert_trees_all_close(np.asarray(turned), expected, atol=1e-5)


def test_the_source_shape_and_not_the_output_shape_decides():
    small = np.asarray(similarity_grid(A, (2, 2), source_shape=SOURCE))
    matrix = similarity_matrix(A, SOURCE)
    chex.assert_trees_all_close(small, np.asarray(affine_grid(matrix, (2, 2))), atol=1e-6)
    assert not np.allclose(small, similarity_grid(A, (2, 2)), atol=0.1)


def test_without_an_angle_it_is_attention():
    theta = np.float32([0.7, 0, 0.1, -0.2])
    expected = attention_grid(theta[[0, 2, 3]], (3, 5))
    chex.assert_trees_all_close(similarity_grid(theta, (3, 5)), expected, atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
def test_compose_applies_the_inner_one_first(align_corners):
    options = dict(source_shape=SOURCE, align_corners=align_corners)
    matrix = np.asarray(similarity_matrix(A, SOURCE, align_corners=align_corners))
    expected = np.asarray(similarity_grid(B, (3, 4), **options)) @ matrix[:, :2].T + matrix[:, 2]
    grid = similarity_grid(compose(A, B, **options), (3, 4), **options)
    chex.assert_trees_all_close(np.asarray(grid), expected, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_inverse_undoes(align_corners):
    options = dict(source_shape=SOURCE, align_corners=align_corners)
    identity = np.float32([1, 0, 0, 0])
    undone = compose(A, inverse(A, **options), **options)
    chex.assert_trees_all_close(np.asarray(undone), identity, atol=1e-5)
    undone = compose(inverse(B, **options), B, **options)
    chex.assert_trees_all_close(np.asarray(undone), identity, atol=1e-5)


def test_a_source_of_one_row_is_no_division_by_zero():
    grid = similarity_grid(A, (3, 3), source_shape=(1, 5), align_corners=True)
    chex.assert_tree_all_finite(grid)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"similarity theta must have shape \(4,\), got \(3,\)"):
        similarity_grid(np.zeros(3), (3, 3))
    with pytest.raises(ValueError, match="two positive integers"):
        similarity_grid(A, (3, 3), source_shape=(3, 3, 1))
