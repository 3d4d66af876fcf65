import chex
import numpy as np
import pytest

from stn_jax.transforms import affine_grid, attention_grid
from stn_jax.transforms.attention import compose, inverse

A, B = np.float32([0.5, 0.2, -0.3]), np.float32([-1.5, 0.1, 0.7])


@pytest.mark.parametrize("align_corners", [False, True])
def test_is_an_affine_grid_of_one_scale(align_corners):
    s, tx, ty = A
    matrix = np.float32([[s, 0, tx], [0, s, ty]])
    grid = attention_grid(A, (5, 4), align_corners=align_corners)
    expected = affine_grid(matrix, (5, 4), align_corners=align_corners)
    chex.assert_trees_all_close(grid, expected, atol=1e-6)


def test_compose_applies_the_inner_one_first():
    expected = A[0] * attention_grid(B, (3, 4)) + A[1:]
    chex.assert_trees_all_close(attention_grid(compose(A, B), (3, 4)), expected, atol=1e-6)


def test_inverse_undoes():
    identity = np.float32([1, 0, 0])
    chex.assert_trees_all_close(np.asarray(compose(A, inverse(A))), identity, atol=1e-6)
    chex.assert_trees_all_close(np.asarray(compose(inverse(B), B)), identity, atol=1e-6)


def test_a_theta_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"attention theta must have shape \(3,\), got \(2,\)"):
        attention_grid(np.zeros(2), (3, 3))
