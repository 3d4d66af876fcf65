"""The NNX modules give what the Linen ones do, from the same weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stn_jax import linen
from stn_jax import nnx as stn_nnx
from stn_jax.transforms import FAMILIES

SHAPE = (28, 27, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
OPTIONS = {
    "FullyConnectedLocalisation": [{}, {"features": (8,)}, {"features": ()}],
    "ConvLocalisation": [
        {},
        {"downsample": 3},  # too small for "VALID"
        {"filters": (4, 6, 8), "features": (5, 4), "downsample": 1, "padding": "SAME"},
        {"filters": (3,), "features": ()},
    ],
}
CASES = [(name, options) for name, each in OPTIONS.items() for options in each]


def linen_variables(module, seed=1):
    """Variables whose every entry is moved, so that none can be mistaken for another."""
    variables = module.init(jax.random.key(seed), IMAGES)
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: leaf + 0.1 * rng.uniform(size=leaf.shape).astype(np.float32), variables
    )


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_localisation_networks_agree(name, options, batch_norm):
    options = options | {"batch_norm": batch_norm}
    twin = getattr(linen, name)("affine", **options)
    variables = linen_variables(twin)
    network = getattr(stn_nnx, name)(SHAPE, "affine", **options, rngs=nnx.Rngs(0))
    stn_nnx.load_linen_variables(network, variables)
    network.eval()
    chex.assert_trees_all_close(network(IMAGES), twin.apply(variables, IMAGES), atol=1e-6)
    if not batch_norm:
        return
    network.train()
    expected, updated = twin.apply(variables, IMAGES, train=True, mutable=["batch_stats"])
    chex.assert_trees_all_close(network(IMAGES), expected, atol=1e-5)
    network.eval()  # running statistics have moved alike
    after = twin.apply(variables | updated, IMAGES)
    chex.assert_trees_all_close(network(IMAGES), after, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_agree_and_show_what_is_inside(family):
    options = {"output_shape": (9, 14), "padding": "border", "align_corners": True}
    twin = linen.SpatialTransformer(linen.ConvLocalisation(), family, **options)
    variables = linen_variables(twin)
    network = stn_nnx.ConvLocalisation(SHAPE, family, rngs=nnx.Rngs(0))
    module = stn_nnx.SpatialTransformer(network, **options)
    stn_nnx.load_linen_variables(module, variables)
    expected, sown = twin.apply(variables, IMAGES, mutable=["intermediates"])
    outputs, seen = nnx.capture(module, nnx.Intermediate)(IMAGES)
    chex.assert_trees_all_close(outputs, expected, atol=1e-5)
    for name in ("inputs", "theta", "grid"):
        ((ours,), (theirs,)) = seen[name].get_value(), sown["intermediates"][name]
        chex.assert_trees_all_close(ours, theirs, atol=1e-5)
    chex.assert_trees_all_close(module(IMAGES), outputs, atol=1e-6)
    assert not nnx.state(module, nnx.Intermediate)


def test_a_transformer_starts_at_the_identity_and_can_be_trained():
    network = stn_nnx.FullyConnectedLocalisation(SHAPE, "attention", rngs=nnx.Rngs(0))
    module = stn_nnx.SpatialTransformer(network)
    chex.assert_trees_all_close(np.asarray(module(IMAGES)), IMAGES, atol=2e-5)
    target = linen.SpatialTransformer(
        lambda x: jnp.tile(jnp.array([0.8, 0.1, 0.0]), (len(x), 1)), "attention"
    ).apply({}, IMAGES)
    optimizer = nnx.Optimizer(module, optax.adam(3e-3), wrt=nnx.Param)

    @nnx.jit
    def step(module, optimizer):
        def loss_fn(module):
            return jnp.mean((module(IMAGES) - target) ** 2)

        loss, gradients = nnx.value_and_grad(loss_fn)(module)
        optimizer.update(module, gradients)
        return loss

    losses = [step(module, optimizer) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_plain_function_can_be_the_localisation_network():
    module = stn_nnx.SpatialTransformer(lambda x: jnp.zeros((len(x), 2)), "translation")
    chex.assert_trees_all_close(np.asarray(module(IMAGES)), IMAGES, atol=2e-5)


def test_no_family_or_two_are_refused():
    with pytest.raises(ValueError, match="needs a family"):
        stn_nnx.SpatialTransformer(lambda x: jnp.zeros((len(x), 2)))
    network = stn_nnx.FullyConnectedLocalisation(SHAPE, "affine", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="'tps' and its localisation network's is 'affine'"):
        stn_nnx.SpatialTransformer(network, "tps")


def test_weights_of_another_module_are_refused():
    network = stn_nnx.FullyConnectedLocalisation(SHAPE, "affine", rngs=nnx.Rngs(0))
    variables = linen.FullyConnectedLocalisation("affine", features=(8, 8)).init(
        jax.random.key(0), IMAGES
    )
    before = jax.tree.map(np.array, nnx.state(network))
    with pytest.raises(ValueError, match=r"do not fit the module at dense/0/bias, .*dense/2/bias"):
        stn_nnx.load_linen_variables(network, variables)
    chex.assert_trees_all_equal(nnx.state(network), before)


def test_an_input_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match=r"2 convolutions of 5x5 .* do not fit .*\(12, 12\)"):
        stn_nnx.ConvLocalisation((12, 12, 1), "affine", padding="VALID", rngs=nnx.Rngs(0))


@pytest.mark.parametrize("options", [{}, {"padding": "VALID"}, {"strides": 2}])
def test_conv_has_the_parameters_and_results_of_flax(options):
    ours, theirs = (
        conv(2, 5, (3, 3), **options, rngs=nnx.Rngs(0)) for conv in (stn_nnx.Conv, nnx.Conv)
    )
    chex.assert_trees_all_equal(nnx.state(ours), nnx.state(theirs))
    chex.assert_trees_all_close(ours(IMAGES), theirs(IMAGES), atol=1e-5)
    program = str(jax.make_jaxpr(ours)(IMAGES))
    assert ("conv_general_dilated" in program) == ("strides" in options)


@pytest.mark.parametrize("name", OPTIONS)
def test_one_image_without_a_batch_is_refused(name):
    network = getattr(stn_nnx, name)((28, 28, 1), "affine", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=rf"^{name}: .* pass image\[None\] for one image"):
        network(jnp.zeros((28, 28, 1)))
