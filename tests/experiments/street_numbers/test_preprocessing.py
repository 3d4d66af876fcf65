import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.config import make_config
from stn_jax.experiments.street_numbers.preprocessing import make_preprocessing

RNG = np.random.default_rng(0)
IDS = np.arange(6, dtype=np.int32)


def data_config(size=64, **overrides):
    config = make_config("cnn", str(size)).data
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in overrides.items()}
    )
    return config


def plain(**overrides):
    return data_config(augment__brightness=0.0, augment__contrast=0.0, **overrides)


def pictures(height, width=None):
    return RNG.integers(0, 256, (6, height, width or height, 3)).astype(np.uint8)


@pytest.mark.parametrize(("size", "crop"), [(64, 54), (128, 112)])
def test_a_test_image_is_the_middle_less_its_mean(size, crop):
    images = pictures(size)
    made = jax.jit(make_preprocessing(data_config(size)).test)(images, IDS)
    margin = (size - crop) // 2
    middle = images[:, margin:-margin, margin:-margin].astype(np.float64) / 255
    assert made.shape == (6, crop, crop, 3) and made.dtype == jnp.float32
    np.testing.assert_allclose(made, middle - middle.mean(axis=(1, 2, 3), keepdims=True), atol=1e-5)


def test_a_training_image_is_a_crop_less_its_mean():
    """Each crop is located in its picture; nearly all places are reached."""
    ramp = np.stack(np.meshgrid(np.arange(64), np.arange(64), [0], indexing="ij")[:3], axis=-1)
    picture = ramp[:, :, 0].astype(np.uint8)  # the pixel (y, x) is (y, x, 0)
    train = jax.jit(make_preprocessing(plain()).train)
    count = 600
    made = np.asarray(
        train(np.broadcast_to(picture, (count, 64, 64, 3)), np.arange(count), jax.random.key(0))
    )
    np.testing.assert_allclose(made.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    # The mean of y, x and 0 over the crop follows from the crop's corner.
    corner = 255 * made[:, 0, 0, :]
    y_less_x = np.round(corner[:, 0] - corner[:, 1]).astype(int)
    y_plus_x = np.round(-(corner[:, 2] * 3) - 53).astype(int)
    places = np.stack([(y_plus_x + y_less_x) // 2, (y_plus_x - y_less_x) // 2], axis=1)
    assert places.min(axis=0).tolist() == [0, 0] and places.max(axis=0).tolist() == [10, 10]
    counts = np.bincount(places[:, 0] * 11 + places[:, 1], minlength=121)
    assert (counts > 0).mean() > 0.95
    y, x = places[7]
    expected = picture[y : y + 54, x : x + 54] / 255
    np.testing.assert_allclose(made[7], expected - expected.mean(), atol=1e-5)


def test_light_and_contrast_vary_by_the_given_range():
    flat = np.full((400, 64, 64, 3), 100, np.uint8)
    flat[:, ::2] = 150
    train = jax.jit(make_preprocessing(data_config(augment__contrast=0.3)).train)
    made = np.asarray(train(flat, np.arange(400), jax.random.key(1)))
    spread = made.std(axis=(1, 2, 3)) / (25 / 255)
    np.testing.assert_allclose([spread.min(), spread.max()], [0.7, 1.3], atol=0.03)


def test_a_training_image_depends_on_key_and_id_not_on_its_place():
    images = pictures(64)
    train = jax.jit(make_preprocessing(data_config()).train)
    key = jax.random.key(3)
    whole = train(images, IDS, key)
    order = np.array([3, 1, 5, 0, 4, 2])
    chex.assert_trees_all_close(train(images[order], IDS[order], key), whole[order], atol=1e-6)
    for other in (train(images, IDS + 6, key), train(images, IDS, jax.random.key(4))):
        assert np.all(np.any(np.asarray(other != whole), axis=(1, 2, 3)))


@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_a_random_map_is_linear_about_a_place_near_the_middle(aspect):
    """The picture's pixels are their own coordinates, so a crop shows its map, in pixels."""
    width = round(64 * aspect)
    y, x = np.meshgrid(np.arange(64), np.arange(width), indexing="ij")
    picture = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    config = plain(size=64, crop=32, aspect=aspect, augment__linear=0.1, augment__shift=0.2)
    train = jax.jit(make_preprocessing(config).train)
    count = 500
    images = np.broadcast_to(picture, (count, *picture.shape))
    made = 255 * np.asarray(train(images, np.arange(count), jax.random.key(0)))
    places = made[..., :2] - made[..., 2:]  # the mean that was subtracted is that of all colours
    i, j = 16, width // 4  # of the crop's middle
    across = places[:, i, j + 1] - places[:, i, j]
    down = places[:, i + 1, j] - places[:, i, j]
    maps = np.stack([across, down], axis=-1)
    np.testing.assert_allclose(maps.mean(axis=0), np.eye(2), atol=0.02)
    np.testing.assert_allclose(maps.std(axis=0), 0.1, atol=0.02)
    middles = places[:, i - 1 : i + 1, j - 1 : j + 1].mean(axis=(1, 2))
    middles -= (np.array([width, 64]) - 1) / 2
    reach = (0.5 + 0.2) * np.array([width, 64]) / 2
    assert (np.abs(middles).max(axis=0) <= reach + 1e-3).all()
    assert (np.abs(middles).max(axis=0) > 0.95 * reach).all()
    np.testing.assert_allclose(
        places[3, i + 4, j + 4], places[3, i, j] + 4 * (maps[3].sum(axis=1)), atol=1e-2
    )


def test_a_wide_test_image_is_the_middle_less_its_mean():
    images = pictures(32, 64)
    config = data_config(crop=24, aspect=2.0)
    config.size = 32
    made = make_preprocessing(config).test(images, IDS)
    middle = images[:, 4:-4, 8:-8].astype(np.float64) / 255
    np.testing.assert_allclose(made, middle - middle.mean(axis=(1, 2, 3), keepdims=True), atol=1e-5)


def test_half_of_the_training_images_are_inverted_and_no_test_image():
    images = np.repeat(pictures(64)[:1], 200, axis=0)
    config = plain(crop=64, augment__invert=True)
    ids = np.arange(200)
    made = np.asarray(make_preprocessing(config).train(images, ids, jax.random.key(2)))
    (plain_image,) = make_preprocessing(config).test(images[:1], ids[:1])
    signs = np.sign((made * plain_image).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(made, signs[:, None, None, None] * plain_image, atol=1e-6)
    assert abs(signs.mean()) < 0.2


def test_a_crop_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"data\.crop must be at most 64 pixels .*, got 65"):
        make_preprocessing(data_config(crop=65))


def test_a_standardised_image_has_one_contrast_whatever_the_light_and_noise_stays_faint():
    images = pictures(64)
    paler = (images // 4 + 90).astype(np.uint8)
    plain, pale = (
        make_preprocessing(data_config(standardise=True)).test(these, IDS)
        for these in (images, paler)
    )
    np.testing.assert_allclose(plain.std(axis=(1, 2, 3)), 1, atol=0.05)
    np.testing.assert_allclose(pale, plain, atol=0.3)
    flat = make_preprocessing(data_config(standardise=True)).test(0 * images + 100, IDS)
    np.testing.assert_allclose(flat, 0, atol=1e-3)
