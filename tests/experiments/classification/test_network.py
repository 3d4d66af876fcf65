import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from stn_jax.errors import UserError
from stn_jax.experiments.classification.network import make_model
from stn_jax.experiments.classification.settings import shared_defaults

NUM_TRANSFORMERS = {"cnn": 0, "single": 1, "multi": 3}
IMAGES = jax.random.normal(jax.random.key(0), (4, 22, 22, 3))


def network_of(config, network):
    return make_model(config, num_classes=43, num_transformers=NUM_TRANSFORMERS[network])


def narrow(network, /, **overrides):
    config = shared_defaults("traffic_signs", "modern").model
    widths = {"filters": (4, 5, 6), "pooled": (1, 2, 3), "features": (8,), "dropout": 0.0}
    config.update(widths | {"localisation_filters": (4,), "localisation_features": (8,)})
    config.update(overrides)
    return network_of(config, network)


@functools.cache
def variables_of(network):
    return jax.jit(narrow(network).init)(jax.random.key(1), IMAGES)


def of_cnn(variables):
    return {
        kind: {name: value for name, value in tree.items() if "transformer" not in name}
        for kind, tree in variables.items()
    }


@pytest.mark.parametrize("size", [32, 48, 17])
@pytest.mark.parametrize("network", ["cnn", "single", "multi"])
def test_any_size_of_picture_gives_scores_of_43_classes(network, size):
    model = network_of(shared_defaults("traffic_signs", "modern").model, network)
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    scores, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), images)
    assert (scores.shape, scores.dtype) == ((2, 43), jnp.float32)


@pytest.mark.parametrize("network", ["single", "multi"])
def test_with_identity_transformers_it_is_the_cnn(network):
    variables = variables_of(network)
    chex.assert_trees_all_close(
        jax.jit(narrow(network).apply)(variables, IMAGES),
        jax.jit(narrow("cnn").apply)(of_cnn(variables), IMAGES),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("network", "inputs"),
    [("cnn", []), ("single", [(22, 3)]), ("multi", [(22, 3), (11, 4), (6, 5)])],
)
def test_transformers_stand_at_the_input_and_after_the_first_poolings(network, inputs):
    _, captured = jax.jit(lambda v, x: narrow(network).apply(v, x, mutable=["intermediates"]))(
        variables_of(network), IMAGES
    )
    found = flatten_dict(captured.get("intermediates", {}), sep="/")
    shapes = [found[f"transformers_{i}/inputs"][0].shape for i in range(len(inputs))]
    assert shapes == [(4, size, size, channels) for size, channels in inputs]
    assert len([name for name in found if name.endswith("/theta")]) == len(inputs)


def test_every_transformer_learns():
    variables = variables_of("multi")

    def loss(params):
        scores, _ = narrow("multi").apply(
            variables | {"params": params}, IMAGES, train=True, mutable=["batch_stats"]
        )
        return -jax.nn.log_softmax(scores)[:, 7].sum()

    slopes = flatten_dict(jax.jit(jax.grad(loss))(variables["params"]), sep="/")
    last = [slope for name, slope in slopes.items() if "localisation/theta" in name]
    assert len(last) == 2 * 3
    assert all(np.abs(slope).max() > 0 for slope in last)


def test_half_precision_keeps_parameters_grids_and_scores_in_float32():
    model, variables = narrow("multi", dtype="bfloat16"), variables_of("multi")
    assert {
        leaf.dtype
        for leaf in jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0), IMAGES))
    } == {jnp.dtype("float32")}
    half, captured = jax.jit(lambda v, x: model.apply(v, x, mutable=["intermediates"]))(
        variables, IMAGES
    )
    assert half.dtype == jnp.float32
    for name, inner in captured["intermediates"].items():
        assert inner["theta"][0].dtype == inner["grid"][0].dtype == jnp.float32, name
        assert inner["inputs"][0].dtype == jnp.bfloat16, name
    full = jax.jit(narrow("multi").apply)(variables, IMAGES)
    np.testing.assert_allclose(half, full, atol=0.1)
    assert np.any(half != full)


@pytest.mark.parametrize(
    ("network", "pooled", "message"),
    [
        ("cnn", (1, 4), r"pooled must be at most 3, the number of config.model.filters, got 4"),
        ("multi", (2,), r"pooled must have at least 2 entries with 3 transformers, got \(2,\)"),
    ],
)
def test_poolings_that_do_not_fit_are_refused(network, pooled, message):
    with pytest.raises(UserError, match=message):
        narrow(network, pooled=pooled)
