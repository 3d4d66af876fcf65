import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.distorted_mnist.config import MODELS, make_config
from stn_jax.experiments.distorted_mnist.distortions import CANVAS
from stn_jax.experiments.distorted_mnist.network import make_model

DISTORTIONS = ("r", "rts", "p", "e", "tc")


def model_config(model, distortion="r", recipe="paper"):
    return make_config(distortion, f"{model},{recipe}").model


def shapes_of(config, canvas):
    """Returns the shapes of the variables, without creating them."""
    images = jnp.zeros((1, canvas, canvas, 1))
    return jax.eval_shape(make_model(config, canvas).init, jax.random.key(0), images)


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def kernels(params, under=()):
    """Returns the kernel shapes of the layers below the modules `under`, by layer name."""
    for name in under:
        params = params[name]
    return {
        "/".join(key.key for key in path[:-1]): leaf.shape
        for path, leaf in jax.tree.leaves_with_path(params)
        if path[-1].key == "kernel"
    }


def small(model, **options):
    """Returns a config with narrow layers, so that the network is cheap to run."""
    config = model_config(model)
    config.features = (8, 6) if len(config.features) == 2 else (4, 5, 6, 7)
    config.update(options)
    return config


def random_variables(model, images):
    """Returns random variables, with the transformer at the identity.

    This is cheaper than `model.init`, because nothing is compiled.
    """
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    variables = jax.tree.map(lambda s: np.abs(rng.normal(0, 0.1, s.shape)).astype(s.dtype), shapes)
    for path, leaf in jax.tree.leaves_with_path(variables["params"]):
        if "theta" in (key.key for key in path):
            leaf[:] = 0 if leaf.ndim == 2 else (1, 0, 0, 0, 1, 0)
        elif leaf.ndim > 1:
            leaf *= rng.choice([-1, 1], leaf.shape)
    return variables


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_the_papers_networks_have_about_400k_parameters(distortion):
    counts = {
        name: count(shapes_of(model_config(name, distortion), CANVAS[distortion])["params"])
        for name in MODELS
        if "deep" not in name and name != "fcn_256"
    }
    assert len(counts) == 8
    for name, total in counts.items():
        # Projective and TPS share the widths of affine: only their last layer is larger.
        tolerance = 0.03 if name.endswith(("projective", "tps")) else 0.02
        assert abs(total / 400_000 - 1) <= tolerance, f"{name}: {total}"
    for kind, features in (("fcn", 32), ("cnn", 20)):
        affine, projective, tps = (
            counts[f"st_{kind}_{family}"] for family in ("affine", "projective", "tps")
        )
        assert projective - affine == 2 * (features + 1)
        assert tps - affine == 26 * (features + 1)


@pytest.mark.parametrize("name", MODELS)
def test_batch_norm_adds_only_its_own_parameters(name):
    config = model_config(name)
    plain = shapes_of(config, 28)
    config.batch_norm = True
    normalised = shapes_of(config, 28)
    assert "batch_stats" not in plain
    assert kernels(normalised["params"]) == kernels(plain["params"])
    scales = count(normalised["batch_stats"])  # a mean and a variance for each scale and bias
    assert count(normalised["params"]) == count(plain["params"]) + scales > count(plain["params"])


def test_fcn_has_two_hidden_layers():
    assert kernels(shapes_of(model_config("fcn"), 28)["params"]) == {
        "Dense_0": (28 * 28, 350),
        "Dense_1": (350, 350),
        "Dense_2": (350, 10),
    }


def test_fcn_256_has_256_units_a_layer_whatever_the_canvas():
    for distortion in ("r", "tc"):
        canvas = CANVAS[distortion]
        assert kernels(shapes_of(model_config("fcn_256", distortion), canvas)["params"]) == {
            "Dense_0": (canvas**2, 256),
            "Dense_1": (256, 256),
            "Dense_2": (256, 10),
        }


def test_cnn_has_a_9x9_and_a_7x7_convolution_pooled_by_2():
    # 42 - 8 = 34, pooled to 17, 17 - 6 = 11, pooled to 6 with the odd row kept.
    assert kernels(shapes_of(model_config("cnn", "rts"), 42)["params"]) == {
        "Conv_0": (9, 9, 1, 32),
        "Conv_1": (7, 7, 32, 206),
        "Dense_0": (6 * 6 * 206, 10),
    }


def test_st_fcn_localises_with_32_32_32_and_classifies_the_pooled_output():
    params = shapes_of(model_config("st_fcn_tps", "rts"), 42)["params"]
    assert set(params) == {"transformer", "classifier"}
    assert kernels(params, ("transformer", "localisation")) == {
        "Dense_0": (42 * 42, 32),
        "Dense_1": (32, 32),
        "Dense_2": (32, 32),
        "theta/Dense_0": (32, 32),
    }
    assert kernels(params, ("classifier",))["Dense_0"] == (21 * 21, 400)


def test_st_cnn_localises_with_two_5x5_convolutions_and_a_layer_of_20():
    params = shapes_of(model_config("st_cnn_projective", "tc"), 60)["params"]
    # 60 pooled to 30, convolved to 26, pooled to 13, convolved to 9.
    assert kernels(params, ("transformer", "localisation")) == {
        "Conv_0": (5, 5, 1, 20),
        "Conv_1": (5, 5, 20, 20),
        "Dense_0": (9 * 9 * 20, 20),
        "theta/Dense_0": (20, 8),
    }
    # 60 pooled to 30, convolved to 22, pooled to 11, convolved to 5, pooled to 3.
    assert kernels(params, ("classifier",)) == {
        "Conv_0": (9, 9, 1, 64),
        "Conv_1": (7, 7, 64, 109),
        "Dense_0": (3 * 3 * 109, 10),
    }


def test_deep_cnn_has_four_3x3_convolutions_pooled_after_the_first_and_the_third():
    # 42 - 2 = 40, pooled to 20, 20 - 4 = 16, pooled to 8, 8 - 2 = 6.
    assert kernels(shapes_of(model_config("deep_cnn", "rts"), 42)["params"]) == {
        "Conv_0": (3, 3, 1, 32),
        "Conv_1": (3, 3, 32, 64),
        "Conv_2": (3, 3, 64, 64),
        "Conv_3": (3, 3, 64, 128),
        "Dense_0": (6 * 6 * 128, 10),
    }


def test_st_deep_cnn_localises_as_st_cnn():
    deep, plain = (shapes_of(model_config(f"st_{name}_tps"), 28) for name in ("deep_cnn", "cnn"))
    deep, plain = (variables["params"]["transformer"] for variables in (deep, plain))
    assert kernels(deep) == kernels(plain)


@pytest.mark.parametrize("name", ["fcn", "cnn", "deep_cnn", "st_fcn_affine", "st_cnn_affine"])
def test_logits_are_finite_and_depend_on_the_image(name):
    images = np.random.default_rng(0).uniform(size=(3, 28, 28, 1)).astype(np.float32)
    images[2] = 0
    model = make_model(small(name), 28)
    logits = jax.jit(model.apply)(random_variables(model, images), images)
    chex.assert_shape(logits, (3, 10))
    chex.assert_tree_all_finite(logits)
    assert not np.allclose(logits[0], logits[1]) and not np.allclose(logits[0], logits[2])


@pytest.mark.parametrize("classifier", ["fcn", "cnn", "deep_cnn"])
def test_at_the_start_a_transformer_changes_nothing_for_its_classifier(classifier):
    images = np.random.default_rng(1).uniform(size=(2, 28, 28, 1)).astype(np.float32)
    model = make_model(small(f"st_{classifier}_affine"), 28)
    variables = random_variables(model, images)
    plain = make_model(small(classifier), 28)
    expected = jax.jit(plain.apply)({"params": variables["params"]["classifier"]}, images)
    logits = jax.jit(model.apply)(variables, images)
    chex.assert_trees_all_close(logits, expected, atol=1e-4)


def test_the_transformers_output_is_average_pooled():
    images = np.random.default_rng(2).uniform(size=(2, 28, 28, 1)).astype(np.float32)
    config = small("st_fcn_affine", pool=2, output_size=28)
    model = make_model(config, 28)
    variables = random_variables(model, images)
    pooled = images.reshape(2, 14, 2, 14, 2, 1).mean(axis=(2, 4))
    expected = make_model(small("fcn"), 14).apply(
        {"params": variables["params"]["classifier"]}, pooled
    )
    chex.assert_trees_all_close(model.apply(variables, images), expected, atol=1e-5)


def test_output_size_is_the_transformers_not_the_canvas():
    params = shapes_of(small("st_fcn_affine", output_size=12), 28)["params"]
    assert params["classifier"]["Dense_0"]["kernel"].shape == (12 * 12, 8)
    assert params["transformer"]["localisation"]["Dense_0"]["kernel"].shape == (28 * 28, 32)


def test_in_evaluation_an_image_is_judged_alone_in_training_by_its_batch():
    images = np.random.default_rng(3).uniform(size=(4, 28, 28, 1)).astype(np.float32)
    model = make_model(small("st_fcn_affine", batch_norm=True), 28)
    variables = random_variables(model, images)

    @jax.jit
    def train(images):
        return model.apply(variables, images, train=True, mutable=["batch_stats"])

    _, updated = train(images)
    trained = {"params": variables["params"], **updated}
    evaluate = jax.jit(model.apply)
    together = evaluate(trained, images)
    other_company = evaluate(trained, np.concatenate([images[:2], 1 - images[2:]]))
    chex.assert_trees_all_close(together[:2], other_company[:2], atol=1e-5)
    (first, _), (second, _) = train(images), train(np.concatenate([images[:2], 1 - images[2:]]))
    assert not np.allclose(first[:2], second[:2], atol=1e-3)
    assert not np.allclose(evaluate(variables, images), together, atol=1e-3)


@pytest.mark.parametrize("name", ["st_fcn_affine", "st_cnn_affine", "deep_cnn"])
def test_dropout_is_before_the_class_scores_in_training_alone(name):
    images = np.random.default_rng(4).uniform(size=(2, 28, 28, 1)).astype(np.float32)
    plain = make_model(small(name), 28)
    variables = random_variables(plain, images)

    @functools.partial(jax.jit, static_argnames="rate")
    def train(rate, seed):
        model = make_model(small(name, dropout=rate), 28)
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(variables, images, train=True, rngs=rngs)

    expected = np.asarray(plain.apply(variables, images))
    dropping = make_model(small(name, dropout=0.5), 28)
    np.testing.assert_array_equal(dropping.apply(variables, images), expected)
    chex.assert_trees_all_close(train(0.0, 0), expected, atol=1e-5)
    assert np.all(train(0.5, 0) != train(0.5, 1))
    # The scores are linear in the dropped features, so their mean does not change.
    draws = np.stack([train(0.5, seed) for seed in range(400)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - expected) < 5 * error)


@pytest.mark.parametrize(
    ("name", "features", "widths"),
    [
        ("cnn", (8,), 2),
        ("cnn", (8, 8, 8), 2),
        ("deep_cnn", (8, 8), 4),
    ],
)
def test_features_are_a_width_for_each_layer(name, features, widths):
    config = model_config(name)
    config.features = features
    with pytest.raises(UserError, match=rf"config\.model\.features must be {widths} positive"):
        make_model(config, 28)


@pytest.mark.parametrize(
    ("name", "options", "smallest"),
    [
        ("st_fcn_affine", dict(output_size=-3), 1),
        ("st_fcn_affine", dict(pool=30), 30),
        ("st_cnn_affine", dict(output_size=20), 21),
        ("st_cnn_affine", dict(pool=2), 42),
        ("st_deep_cnn_affine", dict(output_size=18), 19),
    ],
)
def test_an_output_too_small_for_the_classifier_is_refused(name, options, smallest):
    with pytest.raises(UserError, match=rf"output_size must be at least {smallest} pixels"):
        make_model(small(name, **options), 28)


def test_the_smallest_output_that_is_not_refused_works():
    params = shapes_of(small("st_cnn_affine", output_size=21), 28)["params"]
    assert params["classifier"]["Dense_0"]["kernel"].shape == (6, 10)
    shapes_of(small("st_fcn_affine", output_size=1), 28)
    config = model_config("st_deep_cnn_affine")
    config.output_size = 19
    assert shapes_of(config, 28)["params"]["classifier"]["Dense_0"]["kernel"].shape == (128, 10)


@pytest.mark.parametrize("name", ["st_fcn_affine", "st_cnn_affine"])
def test_half_precision_keeps_parameters_grids_and_scores_in_float32(name):
    images = jax.random.uniform(jax.random.key(0), (3, 28, 28, 1))
    model = make_model(small(name, dtype="bfloat16", batch_norm=True), 28)
    variables = random_variables(model, images)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    half, captured = jax.jit(functools.partial(model.apply, mutable=["intermediates"]))(
        variables, images
    )
    assert half.dtype == jnp.float32
    inner = captured["intermediates"]["transformer"]
    assert inner["theta"][0].dtype == inner["grid"][0].dtype == jnp.float32
    assert inner["inputs"][0].dtype == jnp.bfloat16
    full = jax.jit(make_model(small(name, batch_norm=True), 28).apply)(variables, images)
    np.testing.assert_allclose(half, full, atol=0.05 * np.abs(full).max())
    assert np.any(half != full)
