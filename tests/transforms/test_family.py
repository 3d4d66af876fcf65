import functools
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import METHODS, sample
from stn_jax.transforms import FAMILIES as NAMES
from stn_jax.transforms import make_family, regular_grid

SHAPE = (6, 9)


def nearby_params(family, count=3):
    noise = np.random.default_rng(0).normal(size=(count, family.num_params))
    return (np.array(family.identity) + 0.1 * noise).astype(np.float32)


def make_grid(family, params, align_corners=False):
    return family.sampling_grid(params, SHAPE, source_shape=SHAPE, align_corners=align_corners)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_identity_leaves_the_image_as_it_is(name, align_corners):
    family = make_family(name)
    assert len(family.identity) == len(set(family.param_names)) == family.num_params
    grid = make_grid(family, jnp.array(family.identity), align_corners)
    np.testing.assert_array_equal(grid, regular_grid(SHAPE, align_corners=align_corners))
    image = np.random.default_rng(1).uniform(size=(*SHAPE, 2)).astype(np.float32)
    for method in METHODS:
        output = sample(image, grid, method=method, align_corners=align_corners)
        chex.assert_trees_all_close(np.asarray(output), image, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_vmap_under_jit_is_a_loop(name):
    family = make_family(name)
    params = nearby_params(family)
    batched = jax.jit(jax.vmap(functools.partial(make_grid, family)))(params)
    loop = jnp.stack([make_grid(family, p) for p in params])
    chex.assert_shape(batched, (3, *SHAPE, 2))
    chex.assert_trees_all_close(batched, loop, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_grids_are_float32_or_float64(name):
    family = make_family(name)
    params = nearby_params(family)[0]
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        half = jnp.asarray(params, dtype)
        grid = make_grid(family, half)
        assert grid.dtype == jnp.float32
        expected = make_grid(family, half.astype(jnp.float32))
        chex.assert_trees_all_close(grid, expected, atol=1e-6)
    single = np.asarray(make_grid(family, params))
    with jax.enable_x64(True):
        assert make_grid(family, params).dtype == jnp.float32
        double = make_grid(family, params.astype(np.float64))
        assert double.dtype == jnp.float64
        chex.assert_trees_all_close(np.asarray(double), single.astype(np.float64), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_can_be_learnt_from(name):
    family = make_family(name)
    image, weights = np.random.default_rng(2).uniform(size=(2, *SHAPE, 1)).astype(np.float32)

    def loss(params):
        return jnp.sum(weights * sample(image, make_grid(family, params)))

    gradient = jax.jit(jax.grad(loss))(jnp.array(family.identity))
    assert np.all(np.abs(gradient) > 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_the_grid_are_finite_differences(name):
    family = make_family(name)
    with jax.enable_x64(True):
        params, tangent = nearby_params(family, 2).astype(np.float64)
        grid = functools.partial(make_grid, family)
        _, slope = jax.jvp(grid, (params,), (tangent,))
        ahead, behind = grid(params + 1e-6 * tangent), grid(params - 1e-6 * tangent)
        chex.assert_trees_all_close(slope, (ahead - behind) / 2e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_families_are_equal_hashable_and_survive_pickling(name):
    family = make_family(name)
    assert family.name == name
    assert family == make_family(name) == make_family(family)
    again = pickle.loads(pickle.dumps(family))
    assert again == family
    assert hash(again) == hash(family)


def test_the_number_of_control_points_can_be_chosen():
    assert make_family("tps", control_size=3).num_params == 18
    assert make_family("tps", control_size=3) != make_family("tps")


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_rotation_keeps_angles_whatever_the_shapes_are(align_corners):
    """Distances in the source, in pixels, are those in the target times one scale."""
    params, source_shape = jnp.array([0.8, 0.5, 0.1, -0.2]), (30, 10)
    grid = make_family("similarity").sampling_grid(
        params, (6, 9), source_shape=source_shape, align_corners=align_corners
    )
    half_sizes = (np.array(source_shape[::-1]) - align_corners) / 2
    pixels = np.asarray(grid) * half_sizes
    along_x, along_y = pixels[0, 1] - pixels[0, 0], pixels[1, 0] - pixels[0, 0]
    assert abs(along_x @ along_y) < 1e-4
    steps = 2 * half_sizes / (np.array([9, 6]) - align_corners)
    np.testing.assert_allclose(np.hypot(*along_x), 0.8 * steps[0], rtol=1e-5)
    np.testing.assert_allclose(np.hypot(*along_y), 0.8 * steps[1], rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_theta_is_taken_flat_or_in_its_shape(name):
    family = make_family(name)
    params = nearby_params(family)[0]
    theta = family.theta(params)
    assert theta.shape == family.theta_shape
    np.testing.assert_array_equal(family.theta(theta), theta)
    np.testing.assert_array_equal(np.ravel(theta)[: family.num_params], params)
    np.testing.assert_array_equal(np.ravel(theta)[family.num_params :], 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_theta_of_another_shape_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} theta must have shape .*, got \(5,\)"):
        make_family(name).theta(np.zeros(5))


@pytest.mark.parametrize("name", [3, None, ("affine",)])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(ValueError, match="unknown family"):
        make_family(name)


@pytest.mark.parametrize(("name", "nearest"), [("afine", "affine"), ("TPS", "tps")])
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"unknown family '{name}': did you mean '{nearest}'"):
        make_family(name)


def test_a_name_like_no_other_is_answered_with_all_of_them():
    with pytest.raises(ValueError, match=r"unknown family 'warp'.*attention.*projective.*tps"):
        make_family("warp")


def test_too_few_control_points_are_refused():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        make_family("tps", control_size=1)
