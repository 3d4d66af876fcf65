import chex
import numpy as np
import pytest

from stn_jax.sampling import sample
from stn_jax.transforms import attention_grid, translation_grid
from stn_jax.transforms.translation import compose, inverse

A, B = np.float32([0.2, -0.3]), np.float32([0.1, 0.7])


@pytest.mark.parametrize("align_corners", [False, True])
def test_is_attention_at_scale_one(align_corners):
    grid = translation_grid(A, (5, 4), align_corners=align_corners)
    expected = attention_grid(np.append(np.float32(1), A), (5, 4), align_corners=align_corners)
    chex.assert_trees_all_close(grid, expected, atol=1e-6)


def test_a_positive_tx_moves_the_picture_left():
    image = np.arange(8, dtype=np.float32).reshape(2, 4, 1)
    moved = sample(image, translation_grid(np.float32([0.5, 0]), (2, 4)))
    np.testing.assert_array_equal(moved[0, :, 0], [1, 2, 3, 0])


def test_compose_and_inverse():
    expected = translation_grid(B, (3, 4)) + A
    chex.assert_trees_all_close(translation_grid(compose(A, B), (3, 4)), expected, atol=1e-6)
    chex.assert_trees_all_close(np.asarray(compose(A, inverse(A))), np.zeros(2, np.float32))


def test_a_theta_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"translation theta must have shape \(2,\), got \(2, 3\)"):
        translation_grid(np.zeros((2, 3)), (3, 3))
