import copy
import functools
import pickle
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.sampling import sample
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
    for method in ("nearest", "linear", "cubic"):
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
def test_programs_hold_no_grids(name):
    family, shape = make_family(name), (1024, 1024)
    program = jax.jit(lambda params: family.sampling_grid(params, shape, source_shape=shape)).lower(
        jnp.array(family.identity)
    )
    assert len(program.as_text()) < 100_000


@pytest.mark.parametrize("family", [*map(make_family, NAMES), make_family("tps", control_size=3)])
def test_copies_of_a_family_are_equal(family):
    @functools.partial(jax.jit, static_argnums=0)
    def grid(family, params):
        return make_grid(family, params)

    params = nearby_params(family)[0]
    expected = grid(family, params)
    trips = [lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in range(6)]
    for trip in (make_family, copy.copy, copy.deepcopy, *trips):
        again = trip(family)
        assert again == family and hash(again) == hash(family)
        np.testing.assert_array_equal(grid(again, params), expected)
    assert grid._cache_size() == 1
    assert len({family, *map(make_family, NAMES)}) == len(NAMES) + (family.num_params == 18)


def test_a_family_can_be_pickled_for_another_process():
    families = [*map(make_family, NAMES), make_family("tps", control_size=3)]
    program = (
        "import pickle, sys; families = pickle.load(sys.stdin.buffer); "
        "from stn_jax.transforms import FAMILIES, make_family; "
        "assert families == [*map(make_family, FAMILIES), make_family('tps', control_size=3)]"
    )
    subprocess.run([sys.executable, "-c", program], input=pickle.dumps(families), check=True)


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


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_theta_and_a_batch_are_told_what_to_do(name):
    family = make_family(name)
    params = nearby_params(family)
    theta = family.theta(params[0])
    batch = jnp.stack([theta, theta])
    with pytest.raises(UserError, match=r"use jax\.vmap"):
        family.grid(batch, SHAPE)
    if theta.ndim > 1:
        with pytest.raises(UserError) as told:
            family.grid(params[0], SHAPE)
        remedy = str(told.value).partition(": pass ")[2]
        np.testing.assert_array_equal(eval(remedy, {"jnp": jnp, "theta": params[0]}), theta)


@pytest.mark.parametrize("name", [3, None, ("affine",)])
def test_a_name_that_is_not_a_string_is_refused(name):
    with pytest.raises(UserError, match="unknown family"):
        make_family(name)


@pytest.mark.parametrize(("name", "nearest"), [("afine", "affine"), ("TPS", "tps")])
def test_an_unknown_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"unknown family '{name}': did you mean '{nearest}'"):
        make_family(name)


def test_a_name_like_no_other_is_answered_with_all_of_them():
    with pytest.raises(ValueError, match=r"unknown family 'warp'.*attention.*projective.*tps"):
        make_family("warp")


@pytest.mark.parametrize("size", [1, 0, -3, True, 3.0, 2.5, float("nan"), "3", None, [3]])
def test_control_sizes_other_than_integers_of_at_least_2_are_refused(size):
    with pytest.raises(UserError, match=r"control_size must be an integer of at least 2, got "):
        make_family("tps", control_size=size)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", ["affine", "translation"])
def test_families_in_any_number_of_dimensions(name, ndim):
    family = make_family(name, ndim=ndim)
    sizes = (3, 4, 5)[:ndim]
    assert len(family.identity) == len(set(family.param_names)) == family.num_params
    grid = family.sampling_grid(jnp.array(family.identity), sizes, source_shape=sizes)
    np.testing.assert_array_equal(grid, regular_grid(sizes))
    assert grid.shape == (*sizes, ndim)
    # A theta of its own along each axis moves x, y and z, in this order.
    shift = np.arange(1, ndim + 1, dtype=np.float32)
    theta = shift if name == "translation" else np.eye(ndim, ndim + 1, dtype=np.float32)
    if name == "affine":
        theta[:, -1] = shift
    moved = family.sampling_grid(theta, sizes, source_shape=sizes)
    chex.assert_trees_all_close(moved, grid + shift, atol=1e-6)
    with pytest.raises(ValueError, match="positive integer"):
        family.sampling_grid(theta, (*sizes, 2), source_shape=sizes)


@pytest.mark.parametrize(("name", "ndim"), [("tps", 3), ("attention", 1), ("affine", 4)])
def test_a_family_that_does_not_exist_in_these_dimensions_is_refused(name, ndim):
    with pytest.raises(ValueError, match="ndim"):
        make_family(name, ndim=ndim)
