import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import PADDINGS, sample
from stn_jax.transforms import affine_grid, projective_grid, regular_grid
from stn_jax.transforms.projective import compose, inverse

A = np.float32([[0.9, 0.1, 0.2], [-0.2, 1.1, 0.1], [0.2, -0.1, 1.0]])
B = np.float32([[1.1, -0.3, 0.0], [0.1, 0.8, -0.2], [-0.1, 0.2, 1.0]])


def project(theta, points):
    u, v, w = np.moveaxis(points @ theta[:, :2].T + theta[:, 2], -1, 0)
    return np.stack([u / w, v / w], axis=-1)


@pytest.mark.parametrize("align_corners", [False, True])
def test_divides_by_w(align_corners):
    target = regular_grid((5, 4), align_corners=align_corners)
    grid = projective_grid(A, (5, 4), align_corners=align_corners)
    chex.assert_trees_all_close(np.asarray(grid), project(A, target), atol=1e-6)


def test_points_behind_the_viewer_are_read_too():
    theta = np.float32([[1, 0, 0], [0, 1, 0], [2, 0, 0.1]])
    expected = project(theta, regular_grid((4, 4)))
    chex.assert_trees_all_close(np.asarray(projective_grid(theta, (4, 4))), expected, rtol=1e-5)


def test_affine_where_the_last_row_is_trivial_and_the_scale_does_not_matter():
    theta = A * np.float32([[1], [1], [0]]) + np.float32([[0, 0, 0], [0, 0, 0], [0, 0, 1]])
    expected = affine_grid(theta[:2], (5, 4))
    chex.assert_trees_all_close(projective_grid(theta, (5, 4)), expected, atol=1e-6)
    chex.assert_trees_all_close(projective_grid(-3 * theta, (5, 4)), expected, atol=1e-6)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    "theta",
    [
        np.float32([[1, 0, 0], [0, 1, 0], [1, 0, 0]]),  # w = 0 along the middle, u too
        np.float32([[1, 0, 0.5], [0, 1, 0.5], [1, 0, 1e-30]]),
        np.float32([[1, 0, 0.5], [0, 1, 0.5], [0, 1, -1e-9]]),
        np.zeros((3, 3), np.float32),
    ],
)
def test_the_horizon_is_padding_and_its_gradient_finite(theta, padding):
    image = np.ones((5, 5, 1), np.float32)

    def read(theta):
        return sample(image, projective_grid(theta, (5, 5)), padding=padding)

    grid = np.asarray(projective_grid(theta, (5, 5)))
    points = regular_grid((5, 5)) @ theta[2, :2] + theta[2, 2]
    horizon = np.abs(points) < 1e-7
    assert np.any(horizon)
    assert np.all(np.isfinite(grid)) and np.all(np.abs(grid[horizon]) > 1e6)
    if padding == "zeros":
        assert not np.any(np.asarray(read(theta))[horizon])
    chex.assert_tree_all_finite(jax.jit(jax.grad(lambda t: jnp.sum(read(t) ** 2)))(theta))


def test_compose_applies_the_inner_one_first():
    expected = project(A, np.asarray(projective_grid(B, (3, 4))))
    grid = projective_grid(compose(A, B), (3, 4))
    chex.assert_trees_all_close(np.asarray(grid), expected, atol=1e-5)


def test_inverse_undoes():
    identity = np.eye(3, dtype=np.float32)
    chex.assert_trees_all_close(np.asarray(compose(A, inverse(A))), identity, atol=1e-5)
    chex.assert_trees_all_close(np.asarray(compose(inverse(B), B)), identity, atol=1e-5)


def test_a_theta_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"projective theta must have shape \(3, 3\), got \(8,\)"):
        projective_grid(np.zeros(8), (3, 3))
