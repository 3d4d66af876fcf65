"""Whatever JAX is switched to, all that is public works: forward, backward and on every platform."""

import contextlib
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
from stn_jax.sampling import METHODS, PADDINGS, sample
from stn_jax.transforms import (
    FAMILIES,
    affine,
    attention,
    make_family,
    projective,
    regular_grid,
    similarity,
    tps_grid,
    translation,
)

SHAPE = (6, 7, 2)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0.1, 1, (2, *SHAPE)).astype(np.float32)
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


def nearby(family):
    shape = (len(IMAGES), family.num_params)
    return (np.array(family.identity) + 0.1 * RNG.normal(size=shape)).astype(np.float32)


def samples(images, grid):
    for method, padding in OPTIONS:
        read = functools.partial(sample, method=method, padding=padding)
        yield jax.vmap(read, (0, None))(images, grid)


def transforms(images, params):
    for name in FAMILIES:
        yield functional.spatial_transform(images, params[name], name, output_shape=(3, 4))


def group_operations(params):
    results = [
        regular_grid((2, 3)),
        projective.from_corners(projective.CORNERS + params["tps"][0, :8].reshape(4, 2) / 9),
    ]
    for module in (attention, translation, affine, projective):
        theta = make_family(module.FAMILY.name).theta(params[module.FAMILY.name][0])
        results.append(module.compose(theta, module.inverse(theta)))
    theta, shape = params["similarity"][0], {"source_shape": (6, 7)}
    return [*results, similarity.compose(theta, similarity.inverse(theta, **shape), **shape)]


def layers(images, kernel):
    conv = linen.Conv(3, (3, 3))
    return [
        functional.max_pool_2x2(images),
        functional.convolution(images, kernel),
        conv.init_with_output(jax.random.key(0), images)[0],
        linen.Dropout(0.5).apply({}, images, True, rngs=keys()),
        linen.Dropout(1.0).apply({}, images, True, rngs=keys()),
        linen.BatchNorm().init_with_output(jax.random.key(0), images, True)[0],
    ]


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
        *layers(images, kernel),
        *networks(images),
    ]


def inputs(dtype=np.float32):
    grid, kernel = RNG.uniform(-1.2, 1.2, (3, 4, 2)), RNG.normal(size=(3, 3, 2, 3))
    params = {name: nearby(make_family(name)) for name in FAMILIES}
    return IMAGES.astype(dtype), grid.astype(np.float32), kernel.astype(dtype), params


def program(*arrays):
    """Lowers forward and backward pass of everything, for the CPU and for accelerators."""

    def loss(*arrays):
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(everything(*arrays)))

    gradient = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(len(arrays)))))
    return gradient.trace(*arrays).lower(lowering_platforms=("cpu", "cuda", "tpu"))


@contextlib.contextmanager
def switched(**values):
    before = {name: getattr(jax.config, name) for name in values}
    try:
        for name, value in values.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


STRICT = {
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_explicit_x64_dtypes": "error",
    "jax_legacy_prng_key": "error",
    "jax_debug_key_reuse": True,
    "jax_enable_checks": True,
    "jax_check_static_indices": True,
}
REWRITTEN = {
    "jax_enable_custom_prng": True,
    "jax_threefry_partitionable": False,
    "jax_use_direct_linearize": False,
    "jax_use_simplified_jaxpr_constants": True,
}
