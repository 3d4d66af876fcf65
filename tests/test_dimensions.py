"""Spatial transformers of signals [B, W, C] and volumes [B, D, H, W, C]."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax
from stn_jax import linen, sample, spatial_transform
from stn_jax import nnx as stn_nnx
from stn_jax.transforms import make_family

SIZES = {1: (12,), 3: (8, 9, 10)}


def images_of(ndim, channels=2):
    return np.random.default_rng(ndim).normal(size=(2, *SIZES[ndim], channels)).astype(np.float32)


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("name", ["affine", "translation"])
def test_warps_are_grids_that_are_sampled(name, ndim):
    family, images = make_family(name, ndim=ndim), images_of(ndim)
    params = np.random.default_rng(0).normal(size=(2, family.num_params)).astype(np.float32)
    params = np.array(family.identity, np.float32) + 0.3 * params
    options = dict(method="cubic", padding="zeros", fill=0.5, cubic_a=-0.5)
    shape = (5, 4, 3)[:ndim]
    warped, grids = jax.jit(
        lambda *args: spatial_transform(*args, family, output_shape=shape, **options)
    )(images, params)
    for image, theta, output, grid in zip(images, params, warped, grids, strict=True):
        expected = family.sampling_grid(theta, shape, source_shape=images.shape[1:-1])
        chex.assert_trees_all_close(grid, expected, atol=1e-6)
        chex.assert_trees_all_close(output, sample(image, expected, **options), atol=1e-5)


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("kind", ["FullyConnectedLocalisation", "ConvLocalisation"])
def test_modules_start_at_the_identity_and_have_gradients(kind, ndim):
    images, family = images_of(ndim), make_family("affine", ndim=ndim)
    module = stn_jax.SpatialTransformer(getattr(linen, kind)(), family)
    variables = module.init(jax.random.key(0), images)
    chex.assert_trees_all_close(module.apply(variables, images), images, atol=2e-6)

    def loss(variables):
        return jnp.mean(module.apply(variables, images) ** 2)

    gradient = jax.jit(jax.grad(loss))(variables)["params"]["localisation"]["theta"]
    assert all(np.any(x != 0) for x in jax.tree.leaves(gradient))

    localisation = getattr(stn_nnx, kind)(images.shape[1:], "affine", rngs=nnx.Rngs(0))
    transformer = stn_nnx.SpatialTransformer(localisation)
    assert transformer.family == family
    chex.assert_trees_all_close(transformer(images), images, atol=2e-6)


def test_a_volume_needs_a_family_of_three_dimensions():
    images = jnp.zeros((2, 8, 8, 8, 1))
    with pytest.raises(ValueError, match=r"\(B, H, W, C\), got \(2, 8, 8, 8, 1\).*ndim=3"):
        spatial_transform(images, jnp.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"\(B, D, H, W, C\), got \(2, 8, 8, 1\)"):
        spatial_transform(images[:, 0], jnp.zeros((2, 3, 4)), make_family("affine", ndim=3))
