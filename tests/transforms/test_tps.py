import functools

import chex
import jax
import numpy as np
import pytest

from stn_jax.transforms import affine_grid, regular_grid, tps_grid
from stn_jax.transforms.regular_grid import pixel_centres
from stn_jax.transforms.tps import control_points


def moved_points(k, sigma=0.2):
    shift = np.random.default_rng(k).normal(size=(k * k, 2))
    return (control_points(k) + sigma * shift).astype(np.float32)


def test_control_points_go_row_by_row_from_corner_to_corner():
    expected = [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    np.testing.assert_array_equal(control_points(3), expected)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("k", "shape"), [(2, (5, 7)), (3, (1, 4)), (4, (9, 6)), (5, (8, 8)), (9, (30, 21))]
)
def test_agrees_with_scipy_to_float32_rounding(k, shape, align_corners):
    interpolate = pytest.importorskip("scipy.interpolate")
    theta = moved_points(k)
    spline = interpolate.RBFInterpolator(
        control_points(k), theta, kernel="thin_plate_spline", degree=1
    )
    y, x = (pixel_centres(size, align_corners) for size in shape)
    target = np.stack(np.meshgrid(x, y), axis=-1)
    expected = spline(target.reshape(-1, 2)).reshape(*shape, 2)
    make_grid = functools.partial(tps_grid, shape=shape, align_corners=align_corners)
    for grid in (make_grid(theta), jax.jit(make_grid)(theta)):
        chex.assert_trees_all_close(np.asarray(grid, np.float64), expected, atol=5e-7)


def test_platforms_that_may_lack_float64_use_float32():
    points = moved_points(4)
    traced = jax.jit(lambda theta: tps_grid(theta, (6, 5))).trace(points)
    assert "tensor<3x3x4x4xf64>" in traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "tensor<3x3x4x4xf64>" not in traced.lower(lowering_platforms=("tpu",)).as_text()


def test_control_points_are_read_where_theta_says():
    theta = moved_points(4)
    grid = tps_grid(theta, (4, 4), align_corners=True)
    chex.assert_trees_all_close(np.asarray(grid).reshape(-1, 2), theta, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_an_affine_move_of_the_control_points_is_an_affine_grid(align_corners):
    matrix = np.float32([[0.8, 0.3, 0.1], [-0.2, 1.1, -0.3]])
    theta = (control_points(4) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    expected = affine_grid(matrix, (6, 5), align_corners=align_corners)
    grid = tps_grid(theta, (6, 5), align_corners=align_corners)
    chex.assert_trees_all_close(grid, expected, atol=1e-5)


@pytest.mark.parametrize("k", [2, 4, 7])
def test_the_identity_is_exact(k):
    theta = control_points(k).astype(np.float32)
    np.testing.assert_array_equal(tps_grid(theta, (6, 5)), regular_grid((6, 5)))


@pytest.mark.parametrize("shape", [(), (16,), (1, 2), (5, 2), (9, 3), (2, 2, 2)])
def test_a_theta_that_is_no_square_of_points_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(k \* k, 2\) with k >= 2, got \("):
        tps_grid(np.zeros(shape), (3, 3))
