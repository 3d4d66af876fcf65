import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from stn_jax.experiments.classification.preprocessing import CONTRASTS, make_preprocessing
from stn_jax.experiments.classification.settings import shared_defaults

RNG = np.random.default_rng(0)
IDS = np.arange(6, dtype=np.int32)
NO_CHANGE = {"rotation": 0.0, "scale": 0.0, "shift": 0.0, "brightness": 0.0, "contrast": 0.0}


def preprocessing(normalisation="standardise", **augment):
    config = shared_defaults("traffic_signs", "modern").data
    config.contrast = normalisation
    config.augment.update(augment)
    return make_preprocessing(config)


def pictures(size=32):
    return RNG.integers(0, 256, (6, size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [32, 48])
def test_a_test_image_has_mean_0_and_deviation_1(size):
    images = pictures(size)
    made = jax.jit(preprocessing().test)(images, IDS)
    assert made.shape == (6, size, size, 3) and made.dtype == jnp.float32
    flat = images.reshape(6, -1).astype(np.float64)
    expected = (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)
    np.testing.assert_allclose(made.reshape(6, -1), expected, atol=1e-4)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_training_image_without_changes_is_the_test_image(contrast):
    images, made = pictures(), preprocessing(contrast, **NO_CHANGE)
    trained = jax.jit(made.train)(images, IDS, jax.random.key(0))
    np.testing.assert_allclose(trained, jax.jit(made.test)(images, IDS), atol=1e-6)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_flat_pictures_stay_finite_and_their_noise_small(contrast):
    flat = np.full((2, 32, 32, 3), [[[[0]]], [[[200]]]], np.uint8)
    flat[1, 0, 0] = 201
    made = np.asarray(CONTRASTS[contrast](flat[1] / np.float32(255)))
    assert np.isfinite(np.asarray(CONTRASTS[contrast](flat[0] / np.float32(255)))).all()
    # Equalising puts a single brighter pixel at the top of the range, and all others in the middle.
    assert np.ptp(made) < (0.6 if contrast == "equalise" else 0.25)


@pytest.mark.parametrize("least", [0.0, 0.05])
def test_the_luminance_is_spread_evenly_and_colours_grow_with_the_contrast(least):
    image = (least + 0.3 * RNG.random((32, 32, 3)) ** 3).astype(np.float32)
    weights = np.array([0.299, 0.587, 0.114])
    made = np.asarray(jax.jit(CONTRASTS["equalise"])(jnp.asarray(image)))
    np.testing.assert_allclose(
        made @ weights,
        (scipy.stats.rankdata(image @ weights).reshape(32, 32) - 0.5) / 1024 - 0.5,
        atol=1e-3,
    )
    ratio = np.diff(made) / np.diff(image)
    np.testing.assert_allclose(ratio, 12**-0.5 / (image @ weights).std(), rtol=1e-2)


def test_a_flat_picture_stays_flat_when_it_is_equalised():
    flat = jnp.full((32, 32, 3), 0.2)
    np.testing.assert_allclose(CONTRASTS["equalise"](flat), 0.0, atol=1e-5)


def test_training_images_are_moved_and_their_border_is_repeated():
    images = np.zeros((64, 32, 32, 3), np.uint8)
    images[:, :, :16] = 255
    options = NO_CHANGE | {"shift": 0.25}
    made = jax.jit(preprocessing("none", **options).train)(images, np.arange(64), jax.random.key(0))
    whites = np.asarray(made[:, 16, :, 0] + 0.5).sum(axis=1)
    assert 8 <= whites.min() < 10 and 22 < whites.max() <= 24
    assert np.abs(np.diff(made, axis=1)).max() < 1e-5  # no black from outside of the picture


def test_a_training_image_depends_on_key_and_id_not_on_its_place():
    images = pictures()
    train = jax.jit(preprocessing().train)
    key = jax.random.key(3)
    whole = train(images, IDS, key)
    order = np.array([3, 1, 5, 0, 4, 2])
    chex.assert_trees_all_close(train(images[order], IDS[order], key), whole[order], atol=1e-5)
    for other in (train(images, IDS + 6, key), train(images, IDS, jax.random.key(4))):
        assert np.all(np.any(np.asarray(other != whole), axis=(1, 2, 3)))
