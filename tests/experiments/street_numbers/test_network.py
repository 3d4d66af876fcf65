import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from stn_jax.experiments.street_numbers.config import make_config
from stn_jax.experiments.street_numbers.network import make_model

FULL = (48, 64, 128, 160, 192, 192, 192, 192)
IMAGES = jax.random.uniform(jax.random.key(0), (2, 22, 22, 3), minval=-0.5, maxval=0.5)


def full_width(network, /, **overrides):
    config = make_config(network, "paper").model
    config.update(overrides)
    return make_model(config)


def narrow(network, /, **overrides):
    widths = {"filters": (4,) * 8, "features": (8, 8), "localisation_filters": (4, 4)}
    return full_width(network, **widths, **overrides)


def count(shapes):
    return sum(np.prod(leaf.shape, dtype=int) for leaf in jax.tree.leaves(shapes))


def convolution(inputs, outputs):
    return 25 * inputs * outputs + outputs


def dense(inputs, outputs):
    return inputs * outputs + outputs


def pooled(size, times):
    for _ in range(times):
        size = -(-size // 2)
    return size


def expected_count(network, size):
    """Returns the number of parameters by the paper's table, layer by layer."""
    total = sum(convolution(*pair) for pair in zip((3, *FULL[:-1]), FULL, strict=True))
    total += dense(pooled(size, 4) ** 2 * 192, 3072) + 2 * dense(3072, 3072) + 5 * dense(3072, 11)
    if network == "single":
        total += convolution(3, 32) + convolution(32, 32) + dense(pooled(size, 1) ** 2 * 32, 32)
        total += dense(32, 32) + dense(32, 6)
    if network == "multi":
        for channels, pools in zip((3, *FULL[:3]), (0, 1, 1, 2), strict=True):
            total += dense(pooled(size, pools) ** 2 * channels, 32) + dense(32, 32) + dense(32, 6)
    return total


@pytest.mark.parametrize("size", [54, 112])
@pytest.mark.parametrize("network", ["cnn", "single", "multi"])
def test_the_papers_networks_layer_by_layer(network, size):
    model = full_width(network)
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    assert count(variables["params"]) == expected_count(network, size)
    assert jax.eval_shape(model.apply, variables, images).shape == (2, 5, 11)


@pytest.mark.parametrize("poolings", [0, 2, 4])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_smaller_kernels_and_fewer_poolings(kernel_size, poolings):
    model = narrow("cnn", kernel_size=kernel_size, poolings=poolings)
    params = jax.eval_shape(model.init, jax.random.key(0), IMAGES)["params"]
    assert params["Conv_7"]["kernel"].shape == (kernel_size, kernel_size, 4, 4)
    assert params["Dense_0"]["kernel"].shape == (4 * pooled(22, poolings) ** 2, 8)


def test_with_attention_all_places_share_all_but_where_they_look():
    model = narrow("cnn", poolings=2, attention=True)
    variables = model.init(jax.random.key(1), IMAGES)
    params = variables["params"]
    positions = pooled(22, 2) ** 2
    assert params["attention_bias"].shape == (positions, 5)
    assert params["Dense_0"]["kernel"].shape == (4, 8)
    assert params["Dense_2"]["kernel"].shape == (8, 11)
    looks = jax.random.normal(jax.random.key(2), (positions, 5))
    before = model.apply({"params": params | {"attention_bias": looks}}, IMAGES)
    order = np.array([3, 0, 4, 1, 2])
    scores = {"kernel": params["attention_scores"]["kernel"][:, order]}
    moved = params | {"attention_bias": looks[:, order], "attention_scores": scores}
    after = model.apply({"params": moved}, IMAGES)
    assert after.shape == (2, 5, 11) and np.ptp(before, axis=1).max() > 1e-4
    np.testing.assert_allclose(after, before[:, order], atol=1e-5)


@pytest.mark.parametrize("network", ["single", "multi"])
def test_with_identity_transformers_it_is_the_cnn(network):
    """Before training, with the CNN's weights, images and feature maps pass unchanged."""
    transformed = narrow(network)
    variables = jax.jit(transformed.init)(jax.random.key(1), IMAGES)
    weights = {k: v for k, v in variables["params"].items() if "transformer" not in k}
    plain = narrow("cnn")
    chex.assert_trees_all_close(
        jax.jit(transformed.apply)(variables, IMAGES),
        jax.jit(plain.apply)({"params": weights}, IMAGES),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("network", "channels"), [("cnn", []), ("single", [3]), ("multi", [3, 4, 4, 4])]
)
def test_transformers_stand_before_the_first_convolutions(network, channels):
    model = narrow(network)
    variables = jax.jit(model.init)(jax.random.key(1), IMAGES)
    _, captured = jax.jit(lambda v, x: model.apply(v, x, mutable=["intermediates"]))(
        variables, IMAGES
    )
    found = flatten_dict(captured.get("intermediates", {}), sep="/")
    inputs = [found[f"transformers_{i}/inputs"][0].shape for i in range(len(channels))]
    sizes = [22, 11, 11, 6][: len(channels)]
    assert inputs == [(2, s, s, c) for s, c in zip(sizes, channels, strict=True)]
    for i in range(len(channels)):
        identity = np.broadcast_to([[1, 0, 0], [0, 1, 0]], (2, 2, 3))
        np.testing.assert_array_equal(found[f"transformers_{i}/theta"][0], identity)
    assert len([name for name in found if name.endswith("/theta")]) == len(channels)


@pytest.mark.parametrize("network", ["single", "multi"])
def test_every_localisation_learns(network):
    model = narrow(network, batch_norm=False, dropout=0.0)
    variables = jax.jit(model.init)(jax.random.key(1), IMAGES)
    labels = jnp.array([[1, 2, 10, 10, 10], [3, 10, 10, 10, 10]])

    def loss(params):
        scores = jax.nn.log_softmax(model.apply({"params": params}, IMAGES))
        return -jnp.take_along_axis(scores, labels[..., None], axis=-1).sum()

    slopes = flatten_dict(jax.jit(jax.grad(loss))(variables["params"]), sep="/")
    last = [slope for name, slope in slopes.items() if "localisation/theta" in name]
    assert len(last) == 2 * {"single": 1, "multi": 4}[network]
    assert all(np.abs(slope).max() > 0 for slope in last)


def test_dropout_spares_the_first_convolution_and_the_localisation():
    model = narrow("multi", dropout=0.9)
    variables = jax.jit(model.init)(jax.random.key(1), IMAGES)

    @functools.partial(jax.jit, static_argnums=0)
    def inside(train, seed):
        _, captured = model.apply(
            variables,
            IMAGES,
            train=train,
            rngs={"dropout": jax.random.key(seed)},
            mutable=["intermediates"],
        )
        return captured["intermediates"]

    plain, dropped, again = inside(False, 0), inside(True, 0), inside(True, 1)
    for before_second in ("transformers_0", "transformers_1"):
        chex.assert_trees_all_close(plain[before_second], dropped[before_second], atol=1e-5)
    third = [run["transformers_2"]["inputs"][0] for run in (plain, dropped, again)]
    assert np.mean(third[1] == 0) > 0.85 > np.mean(third[0] == 0)
    assert np.any(third[1] != third[2])


def test_half_precision_keeps_parameters_grids_and_scores_in_float32():
    model = narrow("multi", dtype="bfloat16", batch_norm=True)
    variables = jax.jit(model.init)(jax.random.key(1), IMAGES)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    train = functools.partial(
        model.apply,
        train=True,
        mutable=["intermediates", "batch_stats"],
        rngs={"dropout": jax.random.key(0)},
    )
    scores, captured = jax.jit(train)(variables, IMAGES)
    assert scores.dtype == jnp.float32
    assert captured["batch_stats"]["BatchNorm_0"]["norm"]["mean"].dtype == jnp.float32
    for name, inner in captured["intermediates"].items():
        assert inner["theta"][0].dtype == inner["grid"][0].dtype == jnp.float32, name
        assert inner["inputs"][0].dtype == jnp.bfloat16, name
    full = jax.jit(narrow("multi", batch_norm=True).apply)(variables, IMAGES)
    half = jax.jit(model.apply)(variables, IMAGES)
    np.testing.assert_allclose(half, full, atol=0.1)
    assert np.any(half != full)
