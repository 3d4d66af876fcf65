import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling import METHODS, sample
from stn_jax.transforms import make_family, regular_grid

NAMES = ("attention", "translation", "similarity", "affine", "projective", "tps")
SHAPE = (6, 9)


def nearby_params(family, count=3):
    noise = np.random.default_rng(0).normal(size=(count, family.num_params))
    return (np.array(family.identity) + 0.1 * noise).astype(np.float32)


def make_grid(family, params, align_corners=False):
    return family.grid(family.theta(params), SHAPE, align_corners=align_corners)


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


def test_families_are_hashable_and_made_once():
    for name in NAMES:
        assert make_family(name) is make_family(name)
        assert make_family(name).name == name
        hash(make_family(name))
    assert make_family("tps", control_size=3).num_params == 18
    assert make_family("tps", control_size=3) != make_family("tps")


def test_the_source_shape_reaches_the_similarity():
    params = jnp.array([1, 0.5, 0, 0])
    square = make_family("similarity", source_shape=(5, 5))
    assert not np.allclose(make_grid(square, params), make_grid(make_family("similarity"), params))


@pytest.mark.parametrize("name", NAMES)
def test_params_of_another_number_are_refused(name):
    family = make_family(name)
    with pytest.raises(ValueError, match=r"must have shape \(\d+,\), got \(5,\)"):
        family.theta(np.zeros(5))


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
