"""The same weights give the same outputs in Flax Linen, Flax NNX and Equinox."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax
from stn_jax import linen
from stn_jax import nnx as stn_nnx
from stn_jax.functional import average_pool, max_pool_2x2
from stn_jax.transforms import make_family

SHAPE = (28, 27, 2)
IMAGES = jax.image.resize(  # smooth, so that rounding of theta changes outputs little
    jax.random.uniform(jax.random.key(0), (2, 5, 5, 2)), (2, *SHAPE), "cubic"
)
OPTIONS = {"output_shape": (9, 14), "padding": "border"}


def equinox_transformer(params, family):
    """Returns images -> outputs, with `ConvLocalisation` rebuilt from the layers of Equinox.

    Its layers act on one example, with channels first and weights [outputs, inputs, ...].
    """
    eqx = pytest.importorskip("equinox", reason="the extra docs is not installed")
    key = jax.random.key(0)

    def with_weights(layer, weights):
        kernel, bias = weights["kernel"], weights["bias"]
        weight = kernel.transpose(-1, -2, *range(kernel.ndim - 2))
        bias = bias.reshape(layer.bias.shape)
        return eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (weight, bias))

    def convolution(weights):
        height, width, before, after = weights["kernel"].shape
        layer = eqx.nn.Conv2d(before, after, (height, width), key=key)
        return with_weights(layer, weights)

    def linear(weights):
        return with_weights(eqx.nn.Linear(*weights["kernel"].shape, key=key), weights)

    class Localisation(eqx.Module):
        convolutions: list
        dense: list

        def __call__(self, image):  # [H, W, C]
            x = average_pool(image[None], 2)
            for number, layer in enumerate(self.convolutions):
                x = max_pool_2x2(x) if number else x
                x = jax.nn.relu(jax.vmap(layer)(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1))
            x = x.reshape(-1)
            *hidden, last = self.dense
            for layer in hidden:
                x = jax.nn.relu(layer(x))
            return last(x)

    network = Localisation(
        [convolution(params["Conv_0"]), convolution(params["Conv_1"])],
        [linear(params["Dense_0"]), linear(params["theta"]["Dense_0"])],
    )
    return lambda images: stn_jax.spatial_transform(
        images, jax.vmap(network)(images), family, **OPTIONS
    )[0]


@pytest.mark.parametrize("family", ["affine", "tps"])
def test_outputs_and_gradients_agree(family):
    module = linen.SpatialTransformer(linen.ConvLocalisation(), family, **OPTIONS)
    variables = module.init(jax.random.key(1), IMAGES)
    rng = np.random.default_rng(1)
    variables = jax.tree.map(  # moved, so that theta depends on the image
        lambda leaf: leaf + 0.05 * rng.normal(size=leaf.shape).astype(np.float32), variables
    )
    network = stn_nnx.ConvLocalisation(SHAPE, family, rngs=nnx.Rngs(0))
    twin = stn_nnx.SpatialTransformer(network, **OPTIONS)
    stn_nnx.load_linen_variables(twin, variables)
    third = equinox_transformer(variables["params"]["localisation"], family)

    weights = jnp.asarray(rng.normal(size=(2, 9, 14, 2)), jnp.float32)

    def outputs_and_gradient(transform):
        outputs, transposed = jax.vjp(transform, IMAGES)
        return outputs, transposed(weights)[0]

    start = jnp.tile(jnp.array(make_family(family).identity), (2, 1))
    untransformed, _ = stn_jax.spatial_transform(IMAGES, start, family, **OPTIONS)
    transforms = (lambda images: module.apply(variables, images)), twin, third
    (expected, gradient), *others = jax.jit(
        lambda: [outputs_and_gradient(transform) for transform in transforms]
    )()
    assert jnp.abs(expected - untransformed).max() > 0.05
    for ours, slope in others:
        chex.assert_trees_all_close(ours, expected, atol=1e-6)
        chex.assert_trees_all_close(slope, gradient, atol=1e-5)  # sums over all outputs
