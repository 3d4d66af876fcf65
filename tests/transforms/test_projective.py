import chex
import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import PADDINGS, sample
from stn_jax.transforms import affine_grid, projective_grid, regular_grid
from stn_jax.transforms.projective import CORNERS, compose, from_corners, inverse

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
        np.float32([[1, 0, 0], [0, 1, 0], [1, 0, 0]]),  # w = 0 along the middle, and u = 0 there
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


def solve_corners(corners):
    """Returns the homography as the solution of eight linear equations, in float64."""
    rows = []
    for (x, y), (u, v) in zip(CORNERS, corners, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solution = np.linalg.solve(rows, np.ravel(corners).astype(np.float64))
    return np.append(solution, 1).reshape(3, 3)


def test_from_the_images_own_corners_it_is_the_identity():
    theta = np.asarray(from_corners(CORNERS))
    chex.assert_trees_all_close(theta / theta[2, 2], np.eye(3, dtype=np.float32), atol=1e-6)


def test_corners_run_clockwise_from_the_top_left():
    cropped = np.float32([[0, 0], [1, 0], [1, 0.5], [0, 0.5]])
    image = np.arange(64, dtype=np.float32).reshape(8, 8, 1)
    output = sample(image, projective_grid(from_corners(cropped), (2, 4)))
    chex.assert_trees_all_close(np.asarray(output), image[4:6, 4:8], atol=1e-4)


# No corner can cross the diagonal before it, so the quadrilateral stays convex.
MOVES = hypothesis.extra.numpy.arrays(
    np.float32, (4, 2), elements=st.integers(-28, 28).map(lambda n: n / 64)
)
PLACE = st.tuples(*[st.integers(-16, 16).map(lambda n: n / 8)] * 2)


@hypothesis.given(moves=MOVES, place=PLACE, mirrored=st.booleans(), scale=st.sampled_from([0.1, 1]))
def test_from_corners_takes_the_images_corners_to_those_given(moves, place, mirrored, scale):
    corners = scale * (CORNERS + moves) * ([-1, 1] if mirrored else [1, 1]) + np.array(place)
    with jax.enable_x64(True):
        theta = np.asarray(from_corners(corners))
    np.testing.assert_allclose(project(theta, CORNERS), corners, atol=1e-9)
    np.testing.assert_allclose(theta / theta[2, 2], solve_corners(corners), atol=1e-9)
    single = np.asarray(from_corners(corners.astype(np.float32)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(project(single, CORNERS), corners, atol=1e-4)


def test_from_corners_under_jit_and_vmap_is_a_loop():
    corners = (CORNERS + 0.3 * np.random.default_rng(0).normal(size=(3, 4, 2))).astype(np.float32)
    batched = jax.jit(jax.vmap(from_corners))(corners)
    loop = jnp.stack([from_corners(one) for one in corners])
    chex.assert_trees_all_close(batched, loop, rtol=1e-5, atol=1e-5)


def test_gradients_of_from_corners_are_finite_differences():
    with jax.enable_x64(True):
        corners, tangent = np.random.default_rng(1).normal(0, 0.2, size=(2, 4, 2))
        corners += CORNERS
        _, slope = jax.jvp(from_corners, (corners,), (tangent,))
        ahead, behind = (
            from_corners(corners + 1e-6 * tangent),
            from_corners(corners - 1e-6 * tangent),
        )
        chex.assert_trees_all_close(slope, (ahead - behind) / 2e-6, atol=1e-7)


def test_corners_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"corners must have shape \(4, 2\), got \(2, 4\)"):
        from_corners(np.zeros((2, 4)))
