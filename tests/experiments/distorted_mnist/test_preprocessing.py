import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.distorted_mnist.distortions import CANVAS, rotated_translated_scaled
from stn_jax.experiments.distorted_mnist.preprocessing import CLUTTER_DIGITS, make_preprocessing

RNG = np.random.default_rng(0)
EXAMPLES = Examples(
    RNG.integers(0, 256, (16, 28, 28, 1)).astype(np.uint8), np.arange(16, dtype=np.int32) % 10
)
IDS = np.arange(16, dtype=np.int32)


def preprocessing(distortion="r", examples=EXAMPLES, **augment):
    augment = {"deformation": 0.0, "linear": 0.0} | augment
    config = ConfigDict({"distortion": distortion, "augment": augment})
    return make_preprocessing(config, examples)


@pytest.mark.parametrize("distortion", ["rts", "e", "tc"])
def test_a_test_image_is_the_same_in_whatever_batch(distortion):
    canvas = CANVAS[distortion]
    made = preprocessing(distortion)
    test = jax.jit(made.test)
    whole = test(EXAMPLES.images, IDS)
    chex.assert_shape(whole, (16, canvas, canvas, 1))
    alone = test(EXAMPLES.images[7:8], IDS[7:8])
    chex.assert_trees_all_close(alone[0], whole[7], atol=1e-5)
    order = np.random.default_rng(1).permutation(16)
    shuffled = test(EXAMPLES.images[order], IDS[order])
    chex.assert_trees_all_close(shuffled, whole[order], atol=1e-5)


def test_a_test_image_is_not_augmented():
    plain = preprocessing("none").test(EXAMPLES.images, IDS)
    augmented = preprocessing("none", deformation=1.0, linear=0.2)
    np.testing.assert_array_equal(augmented.test(EXAMPLES.images, IDS), plain)


@pytest.mark.parametrize("distortion", ["r", "rts", "tc"])
def test_an_undistorted_image_is_the_upright_digit_in_the_middle(distortion):
    margin = (CANVAS[distortion] - 28) // 2
    images = jax.jit(preprocessing(distortion).undistorted)(EXAMPLES.images, IDS)
    padded = np.pad(EXAMPLES.images / 255, ((0, 0), *[(margin, margin)] * 2, (0, 0)))
    np.testing.assert_allclose(images, padded, atol=1e-4)


def test_each_test_example_has_its_own_distortion_for_all_time():
    """Otherwise the results of different versions of the library could not be compared."""
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8)[:, None], (4, 28, 28))[..., None]
    images = jax.jit(preprocessing("r").test)(ramp, np.array([0, 1, 9999, 1], np.int32))
    expected = [
        [26.266975, 19.74083, 13.214681, 6.688533],
        [2.0237849, 8.102949, 14.182114, 20.261276],
        [25.56083, 19.432346, 13.303864, 7.1753798],
        [2.0237849, 8.102949, 14.182114, 20.261276],
    ]
    np.testing.assert_allclose(255 * images[:, 14, ::7, 0], expected, atol=1e-3)


def test_a_training_image_depends_on_key_and_id_not_on_its_place():
    train = jax.jit(preprocessing("rts", deformation=0.5, linear=0.1).train)
    key = jax.random.key(3)
    whole = train(EXAMPLES.images, IDS, key)
    order = np.random.default_rng(1).permutation(16)
    shuffled = train(EXAMPLES.images[order], IDS[order], key)
    chex.assert_trees_all_close(shuffled, whole[order], atol=1e-5)
    chex.assert_trees_all_equal(train(EXAMPLES.images, IDS, key), whole)
    for other in (
        train(EXAMPLES.images, IDS, jax.random.key(4)),
        train(EXAMPLES.images, IDS + 16, key),
    ):
        assert np.all(np.any(np.asarray(other != whole), axis=(1, 2, 3)))


def test_the_draws_of_the_distortions_stay_as_they_were():
    """Otherwise earlier trainings could not be repeated."""
    key = jax.random.key(3)
    images = preprocessing("rts").train(EXAMPLES.images, IDS, key)
    for place in (0, 5):
        first, _ = jax.random.split(jax.random.fold_in(key, IDS[place]))
        expected = rotated_translated_scaled(EXAMPLES.images[place] / np.float32(255), first)
        chex.assert_trees_all_close(images[place], expected, atol=1e-5)


def test_bytes_become_values_in_0_to_1():
    made = preprocessing("none")
    expected = EXAMPLES.images.astype(np.float64) / 255
    for output in (
        made.test(EXAMPLES.images, IDS),
        made.train(EXAMPLES.images, IDS, jax.random.key(0)),
    ):
        assert output.dtype == jnp.float32
        np.testing.assert_allclose(output, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("distortion", "augmentation", "strong"),
    [*((distortion, "deformation", 1.0) for distortion in CANVAS), ("rts", "linear", 0.07)],
)
def test_warped_digits_are_distorted_as_the_others_are(distortion, augmentation, strong):
    """A warp uses separate random draws, so images without a warp do not change."""
    smooth = scipy.ndimage.gaussian_filter(EXAMPLES.images.astype(np.float32), (0, 2, 2, 0))
    digits = np.zeros_like(EXAMPLES.images)
    digits[:, 6:22, 6:22] = smooth[:, 6:22, 6:22].astype(np.uint8)

    def draw(strength):
        train = jax.jit(preprocessing(distortion, **{augmentation: strength}).train)
        return np.asarray(train(digits, IDS, jax.random.key(1)))

    plain, hardly, warped = draw(0.0), draw(1e-4 * strong), draw(strong)
    np.testing.assert_allclose(hardly, plain, atol=1e-3)
    change = np.abs(warped - plain).sum(axis=(1, 2, 3)) / plain.sum(axis=(1, 2, 3))
    assert np.all(change > 0.02)
    assert len(np.unique(change)) == len(IDS)
    np.testing.assert_allclose(warped.sum(axis=(1, 2, 3)), plain.sum(axis=(1, 2, 3)), rtol=0.3)


def test_a_linear_map_keeps_the_centre_and_changes_areas_by_its_determinant():
    y, x = np.mgrid[:28, :28] - 13.5
    blob = np.exp(-(x**2 + y**2) / (2 * 3.0**2))
    count, deviation = 400, 0.1
    images = np.repeat((255 * blob).astype(np.uint8)[None, ..., None], count, axis=0)
    train = jax.jit(preprocessing("none", linear=deviation).train)
    drawn = np.asarray(train(images, np.arange(count), jax.random.key(2)), np.float64)[..., 0]
    ink = drawn.sum(axis=(1, 2))
    for place in (x, y):
        np.testing.assert_allclose((drawn * place).sum(axis=(1, 2)) / ink, 0, atol=0.02)
    # To first order, the determinant is 1 plus the sum of the changes of two entries.
    assert abs(np.log(ink).std() / (deviation * np.sqrt(2)) - 1) < 0.15
    # The axes are stretched independently, and sheared.
    spread = [[(drawn * one * other).sum(axis=(1, 2)) / ink for one in (x, y)] for other in (x, y)]
    correlation = np.corrcoef([spread[0][0], spread[1][1], spread[0][1]]) - np.eye(3)
    assert np.abs(correlation).max() < 0.3
    assert np.std(spread[0][1]) > 3.0**2 * deviation


def test_clutter_comes_from_the_first_training_digits():
    many = CLUTTER_DIGITS + 100
    images = np.zeros((many, 28, 28, 1), np.uint8)
    images[:CLUTTER_DIGITS] = 100
    images[CLUTTER_DIGITS:] = 200
    made = preprocessing("tc", Examples(images, np.zeros(many, np.int32)))
    blank = np.zeros((50, 28, 28, 1), np.uint8)
    ids = np.arange(50)
    draw = jax.jit(lambda: (made.test(blank, ids), made.train(blank, ids, jax.random.key(0))))
    for output in draw():
        np.testing.assert_allclose(np.unique(output), [0, 100 / 255], rtol=1e-6)


def test_an_unknown_distortion_is_refused():
    with pytest.raises(UserError, match=r"config\.data\.distortion 'rst': did you mean 'rts'"):
        preprocessing("rst")
