import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import stn_jax
from stn_jax.errors import UserError
from stn_jax.linen.localisation import FullyConnectedLocalisation, ThetaRegression
from stn_jax.linen.spatial_transformer import SpatialTransformer
from stn_jax.sampling import PADDINGS, sample
from stn_jax.transforms import FAMILIES, make_family

AFFINE = make_family("affine")
IMAGES = np.random.default_rng(0).normal(size=(2, 7, 9, 5)).astype(np.float32)
QUARTER_TURN = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
ZOOM = ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0))


class Constant(nn.Module):
    """A localisation network that predicts the same theta for every image."""

    theta: tuple

    def __call__(self, images):
        return jnp.broadcast_to(jnp.array(self.theta), (len(images), *np.shape(self.theta)))


class MeanColour(nn.Module):
    """A localisation network that predicts theta from the mean of the image alone."""

    @nn.compact
    def __call__(self, images, *, zoom=1.0):
        return ThetaRegression(AFFINE)(images.mean(axis=(1, 2))) * zoom


def transformer(family=AFFINE, **options):
    return SpatialTransformer(FullyConnectedLocalisation(family, (16,)), family, **options)


def random_variables(module, images=IMAGES, seed=1):
    """Returns variables near the initial ones, with weights in the last layer, so theta varies."""
    params = module.init(jax.random.key(seed), images)["params"]
    rng = np.random.default_rng(seed)
    return {
        "params": jax.tree.map(
            lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), params
        )
    }


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_hands_the_input_on_at_the_start(name, align_corners):
    module = transformer(make_family(name), align_corners=align_corners)
    output, variables = module.init_with_output(jax.random.key(0), IMAGES)
    chex.assert_trees_all_close(np.asarray(output), IMAGES, atol=2e-6)
    assert set(variables["params"]) == {"localisation"}


@pytest.mark.parametrize(
    ("method", "padding", "align_corners"),
    list(zip(("nearest", "linear", "cubic", "bspline3"), PADDINGS, (True, False) * 2, strict=True)),
)
def test_is_localisation_then_grid_then_sampler(method, padding, align_corners):
    options = dict(method=method, padding=padding, align_corners=align_corners)
    module = transformer(output_shape=(4, 6), **options)
    variables = random_variables(module)
    output, state = module.apply(variables, IMAGES, mutable=["intermediates"])
    theta = module.localisation.apply({"params": variables["params"]["localisation"]}, IMAGES)
    assert np.std(np.asarray(theta), axis=0).min() > 1e-3
    grids = [stn_jax.affine_grid(one, (4, 6), align_corners=align_corners) for one in theta]
    expected = [sample(i, g, **options) for i, g in zip(IMAGES, grids, strict=True)]
    chex.assert_trees_all_close(output, jnp.stack(expected), atol=1e-5)
    (sown_theta,), (sown_grid,) = state["intermediates"]["theta"], state["intermediates"]["grid"]
    chex.assert_trees_all_close(sown_theta, theta, atol=1e-6)
    chex.assert_trees_all_close(sown_grid, jnp.stack(grids), atol=1e-6)


def test_intermediates_are_only_kept_when_asked_for():
    module = transformer()
    variables = random_variables(module)
    assert set(variables) == {"params"}
    assert isinstance(module.apply(variables, IMAGES), jax.Array)


def test_a_constant_theta_turns_the_image():
    images = np.random.default_rng(2).uniform(size=(3, 6, 6, 2)).astype(np.float32)
    turned = SpatialTransformer(Constant(QUARTER_TURN), AFFINE).apply({}, images)
    chex.assert_trees_all_close(np.asarray(turned), np.rot90(images, axes=(1, 2)), atol=1e-5)


def test_a_constant_theta_zooms_to_the_middle():
    images = np.random.default_rng(3).uniform(size=(2, 8, 8, 1)).astype(np.float32)
    module = SpatialTransformer(Constant(ZOOM), AFFINE, output_shape=(4, 4))
    chex.assert_trees_all_close(
        np.asarray(module.apply({}, images)), images[:, 2:6, 2:6], atol=1e-6
    )


@pytest.mark.parametrize("shape", [(3, 4), (14, 18), (1, 1)])
def test_output_of_another_size_spans_the_same_image(shape):
    ramp = np.broadcast_to(
        np.linspace(-1, 1, 9, dtype=np.float32)[None, None, :, None], (1, 7, 9, 1)
    )
    module = transformer(output_shape=shape, align_corners=True)
    output, _ = module.init_with_output(jax.random.key(0), ramp)
    chex.assert_shape(output, (1, *shape, 1))
    expected = np.linspace(-1, 1, shape[1]) if shape[1] > 1 else np.zeros(1)
    chex.assert_trees_all_close(
        np.asarray(output[0, 0, :, 0]), expected.astype(np.float32), atol=1e-5
    )


def test_every_channel_is_warped_alike():
    module = SpatialTransformer(Constant(((0.8, 0.3, 0.1), (-0.2, 0.9, 0.0))), AFFINE)
    together = module.apply({}, IMAGES)
    for channel in range(5):
        alone = module.apply({}, IMAGES[..., channel : channel + 1])
        chex.assert_trees_all_close(together[..., channel : channel + 1], alone, atol=1e-6)


class Stacked(nn.Module):
    """Two transformers, the second one on a feature map."""

    @nn.compact
    def __call__(self, images):
        x = transformer(output_shape=(8, 8))(images)
        x = nn.Dense(3)(x)
        return transformer(make_family("attention"), output_shape=(4, 4))(x)


def test_transformers_can_be_stacked_each_with_its_own_parameters():
    variables = random_variables(Stacked())
    apply = jax.jit(functools.partial(Stacked().apply, mutable=["intermediates"]))
    output, state = apply(variables, IMAGES)
    chex.assert_shape(output, (2, 4, 4, 3))
    first, second = state["intermediates"].values()
    chex.assert_shape(first["theta"], [(2, 2, 3)])
    chex.assert_shape(second["theta"], [(2, 3)])
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(Stacked().apply(v, IMAGES) ** 2)))(variables)
    for leaf in jax.tree.leaves(gradient):
        assert np.any(leaf) and np.all(np.isfinite(leaf))


def test_any_module_can_be_the_localisation_network_and_gets_the_keywords():
    module = SpatialTransformer(MeanColour(), AFFINE)
    output, variables = module.init_with_output(jax.random.key(0), IMAGES)
    chex.assert_trees_all_close(np.asarray(output), IMAGES, atol=2e-6)
    zoomed = module.apply(variables, IMAGES, zoom=0.5)
    expected = SpatialTransformer(Constant(ZOOM), AFFINE).apply({}, IMAGES)
    chex.assert_trees_all_close(zoomed, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("theta", "name", "message"),
    [
        (QUARTER_TURN, "projective", r"projective theta must .* \(3, 3\) or \(8,\), got \(2, 3\)"),
        ((1.0, 0.0), "affine", r"affine theta must .* \(2, 3\) or \(6,\), got \(2,\)"),
        (QUARTER_TURN, "tps", r"tps theta must .* \(16, 2\) or \(32,\), got \(2, 3\)"),
    ],
)
def test_a_theta_of_another_family_is_refused(theta, name, message):
    module = SpatialTransformer(Constant(theta), make_family(name))
    with pytest.raises(ValueError, match=message):
        module.apply({}, IMAGES)


@pytest.mark.parametrize("option", ["method", "padding"])
def test_unknown_options_are_refused(option):
    module = SpatialTransformer(Constant(ZOOM), AFFINE, **{option: "cubist"})
    with pytest.raises(ValueError, match=f"{option} must be one of .*'cubist'"):
        module.apply({}, IMAGES)


def test_gradients_are_finite_differences():
    module = transformer()
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda p: p.astype(jnp.float64), random_variables(module))
        arguments = variables, IMAGES.astype(np.float64)

        @jax.jit
        @functools.partial(jax.value_and_grad, argnums=(0, 1))
        def loss_and_gradients(variables, images):
            return jnp.sum(jnp.tanh(module.apply(variables, images)))

        _, gradients = loss_and_gradients(*arguments)
        assert all(map(np.any, jax.tree.leaves(gradients)))
        (ahead, _), (behind, _) = (
            loss_and_gradients(*jax.tree.map(lambda p, g, s=step: p + s * g, arguments, gradients))
            for step in (1e-8, -1e-8)
        )
        squared_norm = sum(jnp.vdot(g, g) for g in jax.tree.leaves(gradients))
        np.testing.assert_allclose((ahead - behind) / 2e-8, squared_norm, rtol=1e-4)


class UnderJitTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_each_image_is_warped_by_its_own_theta(self):
        module = transformer(make_family("similarity"))
        variables = random_variables(module)
        apply = self.variant(functools.partial(module.apply, variables))
        alone = [module.apply(variables, image[None])[0] for image in IMAGES]
        chex.assert_trees_all_close(apply(IMAGES), jnp.stack(alone), atol=1e-5)


def test_the_family_is_named_once():
    images = IMAGES[..., :1]
    for localisation, family in [
        (FullyConnectedLocalisation(), "affine"),
        (FullyConnectedLocalisation("affine"), None),
        (FullyConnectedLocalisation("affine"), AFFINE),
    ]:
        module = SpatialTransformer(localisation=localisation, family=family)
        outputs, variables = module.init_with_output(jax.random.key(0), images)
        chex.assert_trees_all_close(np.asarray(outputs), images, atol=2e-6)
        assert variables["params"]["localisation"]["theta"]["Dense_0"]["bias"].shape == (6,)
    assert FullyConnectedLocalisation().family is None


def test_the_family_alone_makes_a_transformer():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, images):
            for name in ("affine", "tps"):
                images = SpatialTransformer(family=name)(images)
            return images

    outputs, variables = Two().init_with_output(jax.random.key(0), IMAGES)
    chex.assert_trees_all_close(np.asarray(outputs), IMAGES, atol=4e-6)
    sizes = [
        variables["params"][f"SpatialTransformer_{place}"]["localisation"]["theta"]["Dense_0"][
            "bias"
        ].shape
        for place in range(2)
    ]
    assert sizes == [(6,), (32,)]
    with pytest.raises(UserError, match=r"got 'affine': .* SpatialTransformer\(family="):
        SpatialTransformer("affine")


def test_no_family_or_two_are_refused():
    for localisation in (FullyConnectedLocalisation(), Constant(ZOOM), lambda images: images):
        with pytest.raises(ValueError, match="needs a family"):
            SpatialTransformer(localisation).init(jax.random.key(0), IMAGES)
    with pytest.raises(ValueError, match="'tps' and its localisation network's is 'affine'"):
        SpatialTransformer(FullyConnectedLocalisation("affine"), "tps").init(
            jax.random.key(0), IMAGES
        )


def test_a_plain_function_can_be_the_localisation_network():
    def quarter_turn(images):
        return jnp.tile(jnp.ravel(jnp.array(QUARTER_TURN)), (len(images), 1))  # flat theta

    images = np.random.default_rng(2).uniform(size=(3, 6, 6, 2)).astype(np.float32)
    for localisation in (quarter_turn, jax.jit(quarter_turn), functools.partial(quarter_turn)):
        turned = SpatialTransformer(localisation, "affine").apply({}, images)
        chex.assert_trees_all_close(np.asarray(turned), np.rot90(images, axes=(1, 2)), atol=1e-5)


def test_layers_in_sequence_can_be_the_localisation_network():
    layers = [lambda x: x.reshape(len(x), -1), nn.Dense(4), nn.relu, ThetaRegression("affine")]
    module = SpatialTransformer(nn.Sequential(layers), "affine")
    outputs, variables = module.init_with_output(jax.random.key(0), IMAGES)
    chex.assert_trees_all_close(np.asarray(outputs), IMAGES, atol=2e-6)
    assert set(variables["params"]) == {"localisation"}
