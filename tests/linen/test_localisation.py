import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.linen.localisation import (
    BatchNorm,
    ConvLocalisation,
    FullyConnectedLocalisation,
    ThetaRegression,
)
from stn_jax.linen.spatial_transformer import SpatialTransformer
from stn_jax.transforms import FAMILIES, make_family

NETWORKS = (FullyConnectedLocalisation, ConvLocalisation)
IMAGES = np.random.default_rng(0).uniform(size=(3, 28, 28, 1)).astype(np.float32)


def identity_theta(family, batch):
    theta = family.theta(jnp.array(family.identity))
    return np.broadcast_to(theta, (batch, *theta.shape))


def kernels(params):
    return {
        path[0].key: leaf.shape
        for path, leaf in jax.tree.leaves_with_path(params)
        if path[-1].key == "kernel"
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_regression_starts_with_zero_weights_and_the_identity(name):
    family = make_family(name)
    features = 1e3 * np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    theta, variables = ThetaRegression(family).init_with_output(jax.random.key(0), features)
    np.testing.assert_array_equal(theta, identity_theta(family, 4))
    layer = variables["params"]["Dense_0"]
    chex.assert_shape(layer["kernel"], (5, family.num_params))
    assert not np.any(layer["kernel"])
    np.testing.assert_array_equal(layer["bias"], np.float32(family.identity))


def test_regression_is_linear_in_the_features():
    family = make_family("affine")
    rng = np.random.default_rng(2)
    features = rng.normal(size=(3, 4)).astype(np.float32)
    kernel = rng.normal(size=(4, 6)).astype(np.float32)
    layer = {"kernel": kernel, "bias": np.float32(family.identity)}
    theta = ThetaRegression(family).apply({"params": {"Dense_0": layer}}, features)
    expected = (features @ kernel + layer["bias"]).reshape(3, 2, 3)
    chex.assert_trees_all_close(np.asarray(theta), expected, atol=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", FAMILIES)
def test_networks_start_at_the_identity_whatever_the_image(name, network, batch_norm):
    family = make_family(name)
    module = network(family, batch_norm=batch_norm)
    variables = module.init(jax.random.key(0), IMAGES)
    for train in (False, True):
        theta, _ = module.apply(variables, 10 * IMAGES, train=train, mutable=["batch_stats"])
        np.testing.assert_array_equal(theta, identity_theta(family, 3))


def test_networks_have_the_papers_layers():
    family = make_family("affine")

    def init(network):
        return jax.eval_shape(network(family).init, jax.random.key(0), jnp.zeros((1, 42, 42, 1)))

    assert kernels(init(FullyConnectedLocalisation)["params"]) == {
        "Dense_0": (42 * 42, 32),
        "Dense_1": (32, 32),
        "Dense_2": (32, 32),
        "theta": (32, 6),
    }
    # 42 pixels are pooled to 21, convolved to 17, pooled to 9 (with the odd row), convolved to 5.
    assert kernels(init(ConvLocalisation)["params"]) == {
        "Conv_0": (5, 5, 1, 20),
        "Conv_1": (5, 5, 20, 20),
        "Dense_0": (5 * 5 * 20, 20),
        "theta": (20, 6),
    }


@pytest.mark.parametrize("network", NETWORKS)
def test_batch_norm_adds_its_own_parameters_and_no_others(network):
    family = make_family("affine")
    plain, normalised = (
        jax.eval_shape(network(family, batch_norm=on).init, jax.random.key(0), IMAGES)
        for on in (False, True)
    )
    assert "batch_stats" not in plain
    added = {k: v for k, v in normalised["params"].items() if k.startswith("BatchNorm")}
    assert len(added) == 3
    assert all(set(norm) == {"norm"} for norm in added.values())
    rest = {k: v for k, v in normalised["params"].items() if k not in added}
    chex.assert_trees_all_equal_shapes(rest, plain["params"])


def test_batch_statistics_are_those_of_all_devices():
    x = np.random.default_rng(3).normal(2, 3, size=(8, 5)).astype(np.float32)
    variables = BatchNorm().init(jax.random.key(0), x, False)

    def apply(module, x):
        return module.apply(variables, x, True, mutable=["batch_stats"])

    whole, statistics = apply(BatchNorm(), x)
    halves, shared = jax.vmap(lambda half: apply(BatchNorm("devices"), half), axis_name="devices")(
        x.reshape(2, 4, 5)
    )
    chex.assert_trees_all_close(halves.reshape(8, 5), whole, atol=1e-5)
    for device in range(2):
        own = jax.tree.map(lambda leaf, device=device: leaf[device], shared)
        chex.assert_trees_all_close(own, statistics, atol=1e-5)


def test_evaluation_uses_the_running_statistics():
    family = make_family("translation")
    module = FullyConnectedLocalisation(family, features=(8,), batch_norm=True)
    variables = module.init(jax.random.key(0), IMAGES)
    weights = variables["params"]["theta"]["Dense_0"]
    weights["kernel"] = jnp.ones_like(weights["kernel"])
    alone = module.apply(variables, IMAGES[:1])
    together = module.apply(variables, IMAGES)
    chex.assert_trees_all_close(alone, together[:1], atol=1e-5)
    training, updated = module.apply(variables, IMAGES, train=True, mutable=["batch_stats"])
    assert not np.allclose(training, together, atol=1e-2)
    before, after = variables["batch_stats"], updated["batch_stats"]
    assert all(map(np.any, jax.tree.leaves(jax.tree.map(lambda a, b: a != b, before, after))))


@pytest.mark.parametrize(
    ("network", "name"),
    [*((FullyConnectedLocalisation, name) for name in FAMILIES), (ConvLocalisation, "affine")],
)
def test_the_identity_start_is_left_with_the_first_step(network, name):
    family = make_family(name)
    module = SpatialTransformer(network(family), family)
    variables = module.init(jax.random.key(0), IMAGES)
    target = np.roll(IMAGES, 1, axis=2)

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.mean((module.apply({"params": params}, IMAGES) - target) ** 2)

    slope = gradient(variables["params"])
    kernel = slope["localisation"]["theta"]["Dense_0"]["kernel"]
    assert np.all(np.any(kernel, axis=0)), "a parameter of theta gets no gradient"
    # The layers before the last one do not move in the first step: the weights after them are zero.
    assert not np.any(slope["localisation"]["Dense_0"]["kernel"])

    stepped = jax.tree.map(lambda p, g: p - 0.1 * g, variables["params"], slope)
    theta = np.asarray(network(family).apply({"params": stepped["localisation"]}, IMAGES))
    moved = np.any(theta != identity_theta(family, 3), axis=0)
    assert np.sum(moved) == family.num_params
    assert np.all(np.std(theta, axis=0)[moved] > 0), "theta must depend on the image"


@pytest.mark.parametrize("height", [8, 9, 12, 20, 25, 26, 28, 101])
@pytest.mark.parametrize("width", [8, 28])
def test_the_default_network_takes_images_of_any_size_from_8x8(height, width):
    images = jnp.zeros((2, height, width, 3))
    module = ConvLocalisation("affine")
    theta, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), images)
    assert theta.shape == (2, 2, 3)
    fits = min(height, width) >= 26
    # "VALID", as in the paper, wherever it fits.
    twin = ConvLocalisation("affine", padding="VALID" if fits else "SAME")
    chex.assert_trees_all_equal(variables, jax.eval_shape(twin.init, jax.random.key(0), images))


@pytest.mark.parametrize(
    ("options", "size", "remedy"),
    [
        ({"padding": "VALID"}, 24, 'padding="SAME" or downsample=1 or'),
        ({"padding": "VALID"}, 12, 'padding="SAME" or a larger image'),
        ({}, 1, "downsample=1 or a larger image"),
    ],
)
def test_an_image_too_small_for_the_convolutions_is_refused(options, size, remedy):
    module = ConvLocalisation(make_family("affine"), **options)
    message = rf"^ConvLocalisation: 2 convolutions .* do not fit .*\({size}, {size}\).* {remedy}"
    with pytest.raises(UserError, match=message):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, size, size, 1)))


@pytest.mark.parametrize("network", NETWORKS)
def test_one_image_without_a_batch_and_no_family_are_refused(network):
    name = network.__name__
    with pytest.raises(UserError, match=rf"^{name}: .*\(28, 28, 1\): pass image\[None\]"):
        network("affine").init(jax.random.key(0), IMAGES[0])
    with pytest.raises(UserError, match=rf"{name}\(\.\.\., family=\"affine\"\)"):
        network().init(jax.random.key(0), IMAGES)
