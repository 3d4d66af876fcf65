"""Whatever JAX is switched to, all that is public works, forward and backward."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax
from stn_jax import functional, linen
from stn_jax import nnx as stn_nnx
from stn_jax.experiments.pretrained import pretrained_names
from stn_jax.experiments.tasks import find_task
from stn_jax.sampling import sample
from stn_jax.transforms import (
    FAMILIES,
    affine,
    attention,
    make_family,
    projective,
    regular_grid,
    similarity,
    translation,
)

SHAPE = (6, 7, 2)
NETWORKS = {
    "FullyConnectedLocalisation": {"features": (3,)},
    "ConvLocalisation": {"filters": (2,), "features": (), "downsample": 2, "padding": "SAME"},
}
OPTIONS = [
    ("nearest", "border"),
    ("bilinear", "zeros"),
    ("bilinear", "reflection"),
    ("bicubic", "zeros"),
]


def keys():
    return {"params": jax.random.key(0), "dropout": jax.random.key(1)}


def samples(images, grid):
    for method, padding in OPTIONS:
        read = functools.partial(sample, method=method, padding=padding)
        yield jax.vmap(read, (0, None))(images, grid)


def transforms(images, params):
    for name in FAMILIES:
        yield functional.spatial_transform(images, params[name], name, output_shape=(3, 4))


def group_operations(params):
    offsets = params["projective"][0].reshape(4, 2) / 9
    corners = projective.CORNERS.astype(offsets.dtype) + offsets
    yield from (regular_grid((2, 3)), projective.from_corners(corners))
    for module in (attention, translation, affine, projective):
        theta = module.FAMILY.theta(params[module.FAMILY.name][0])
        yield module.compose(theta, module.inverse(theta))
    theta, shape = params["similarity"][0], {"source_shape": SHAPE[:2]}
    yield similarity.compose(theta, similarity.inverse(theta, **shape), **shape)


def own_layers(images, kernel):
    return [
        functional.max_pool_2x2(images),
        functional.convolution(images, kernel),
        *(linen.Dropout(rate).apply({}, images, True, rngs=keys()) for rate in (0.5, 1.0)),
    ]


def flax_layers(images):
    for layer, options in ((linen.Conv(3, (3, 3)), {}), (linen.BatchNorm(), {"train": True})):
        yield layer.init_with_output(jax.random.key(0), images, **options)[0]


def networks(images, dtype=None):
    for name, options in NETWORKS.items():
        options = {**options, "batch_norm": True, "dtype": dtype}
        network = getattr(linen, name)("affine", **options)
        module = linen.SpatialTransformer(network)
        yield module.init_with_output(keys(), images, train=True)[0]
        network = getattr(stn_nnx, name)(SHAPE, "affine", **options, rngs=nnx.Rngs(0))
        yield stn_nnx.SpatialTransformer(network)(images)


def everything(images, grid, kernel, params):
    """Returns what each public function and module makes of small inputs."""
    return [
        *samples(images, grid),
        *transforms(images, params),
        *group_operations(params),
        *own_layers(images, kernel),
        *flax_layers(images),
        *networks(images),
    ]


def inputs():
    """Returns the images, grid, kernel and thetas that `everything` takes, in float32."""
    rng = np.random.default_rng(0)
    images, grid = rng.uniform(0.1, 1, (2, *SHAPE)), rng.uniform(-1.2, 1.2, (3, 4, 2))
    params = {
        name: make_family(name).identity + rng.normal(0, 0.1, (2, make_family(name).num_params))
        for name in FAMILIES
    }
    arrays = images, grid, rng.normal(size=(3, 3, 2, 3)), params
    return jax.tree.map(lambda array: array.astype(np.float32), arrays)


def gradient(function):
    """Returns the jitted value and gradients of a sum over all results of a function."""

    def loss(*arrays):
        results = jax.tree.leaves(function(*arrays))
        return sum(jnp.sum(jnp.sin(result.astype(jnp.float32))) for result in results)

    return jax.jit(lambda *arrays: jax.value_and_grad(loss, tuple(range(len(arrays))))(*arrays))


def lower(function, *arrays):
    """Traces the forward and the backward pass, and lowers them for the CPU and accelerators."""
    gradient(function).trace(*arrays).lower(lowering_platforms=("cpu", "cuda", "tpu"))


@pytest.fixture
def switch():
    """Returns a function that changes switches of JAX until the end of the test."""
    before = {}

    def change(values):
        for name, value in values.items():
            before.setdefault(name, getattr(jax.config, name))
            jax.config.update(name, value)

    yield change
    for name, value in before.items():
        jax.config.update(name, value)


STRICT = {
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_explicit_x64_dtypes": "error",
    "jax_legacy_prng_key": "error",
    "jax_check_static_indices": True,
    "jax_debug_key_reuse": True,
}
SWITCHES = {
    "strict": STRICT,
    "tracer leaks": {"jax_check_tracer_leaks": True},
    "other forms inside": {
        "jax_enable_custom_prng": True,
        "jax_threefry_partitionable": False,
        "jax_use_direct_linearize": False,
        "jax_use_simplified_jaxpr_constants": True,
    },
}


@pytest.mark.parametrize("name", SWITCHES)
def test_everything_can_be_lowered(switch, name):
    switch(SWITCHES[name])
    lower(everything, *inputs())


def test_half_precision_under_strict_promotion(switch):
    """Flax's layers with parameters promote half precision themselves, so they are not here."""
    switch(STRICT)

    def functions(images, grid, kernel, params):
        warped = [*samples(images, grid), *transforms(images, params)]
        return [*warped, *own_layers(images, kernel), *group_operations(params)]

    lower(functions, *jax.tree.map(lambda array: array.astype(jnp.bfloat16), inputs()))


@pytest.mark.parametrize(
    ("dtype", "of_theta"),
    [(jnp.float32, np.float64), (jnp.float64, np.float32), (jnp.bfloat16, np.float64)],
)
def test_images_keep_their_dtype_under_x64(switch, dtype, of_theta):
    switch({**STRICT, "jax_explicit_x64_dtypes": "allow", "jax_enable_x64": True})

    def warped(images, grid, params):
        results = [*samples(images, grid), *(images for images, _ in transforms(images, params))]
        assert {result.dtype for result in results} == {jnp.dtype(dtype)}
        return results

    images, grid, _, params = inputs()
    thetas = {name: theta.astype(of_theta) for name, theta in params.items()}
    lower(warped, images.astype(dtype), grid.astype(of_theta), thetas)


def test_values_and_gradients_are_finite_at_each_operation(switch):
    switch({"jax_debug_nans": True, "jax_debug_infs": True})
    expected = gradient(everything)(*inputs())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(expected))


@pytest.mark.parametrize("values", [{"jax_disable_jit": True}, {"jax_enable_checks": True}])
def test_results_are_the_same(switch, values):
    def functions(images, grid, kernel, params):
        options = {"output_shape": (2, 3), "method": "bicubic"}
        return [
            sample(images[0], grid),
            functional.spatial_transform(images, params["tps"], "tps", **options),
            *own_layers(images, kernel),
        ]

    expected = gradient(functions)(*inputs())
    switch(values)
    chex.assert_trees_all_close(gradient(functions)(*inputs()), expected, rtol=1e-4)


@pytest.mark.parametrize("name", pretrained_names())
def test_shipped_networks(switch, name):
    switch(STRICT)
    model, variables, config = stn_jax.load_pretrained(name)
    shape = find_task(config).input_shape(config)
    images = jnp.zeros((1, *shape))
    jax.eval_shape(gradient(model.apply), variables, images)
