import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.transforms import regular_grid


def test_minus_one_and_one_are_the_outer_edges_of_the_border_pixels():
    grid = regular_grid((2, 4))
    np.testing.assert_array_equal(grid[0, :, 0], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_array_equal(grid[:, 0, 1], [-0.5, 0.5])


def test_minus_one_and_one_are_their_centres_when_corners_are_aligned():
    grid = regular_grid((2, 5), align_corners=True)
    np.testing.assert_array_equal(grid[0, :, 0], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(grid[:, 0, 1], [-1, 1])


@pytest.mark.parametrize("align_corners", [False, True])
def test_an_axis_of_one_pixel_is_at_the_centre(align_corners):
    grid = regular_grid((1, 3), align_corners=align_corners)
    assert grid.shape == (1, 3, 2) and not np.any(grid[..., 1])


def test_float32_unless_asked():
    assert regular_grid((2, 3)).dtype == np.float32
    with jax.enable_x64(True):
        assert regular_grid((2, 3)).dtype == np.float32
        assert regular_grid((2, 3), dtype=jnp.float64).dtype == np.float64


@pytest.mark.parametrize("shape", [(), (3, 4, 1, 2), (0, 4), (3, -1), (3.0, 4), 5, None])
def test_what_is_not_one_to_three_positive_integers_is_refused(shape):
    with pytest.raises(ValueError, match="one to three positive integers"):
        regular_grid(shape)
