"""Preprocessing of stored street numbers to network inputs, on the device."""

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.data.augmentation import make_jitter, random_crop
from stn_jax.experiments.data.examples import Preprocessing


def make_preprocessing(config: ConfigDict) -> Preprocessing:
    """Returns the preprocessing for `config.data`: jitter, crop and subtraction of the mean.

    A training image is changed in brightness and contrast at random and cropped at a random place;
    a test image is cropped at its centre. Then the mean over all pixels and colours of the crop is
    subtracted (Goodfellow et al., 2013). Images [B, size, size, 3] uint8 give [B, crop, crop, 3]
    float32 in -1..1.

    Raises:
        UserError: the crop does not fit the images.
    """
    check_crop(config)
    jitter = make_jitter(config.augment)
    shape = (config.crop, config.crop)
    margin = (config.size - config.crop) // 2

    def train_image(image: Array, key: Array) -> Array:
        light_key, crop_key = jax.random.split(key)
        image = random_crop(jitter(image, light_key), crop_key, shape)
        return image - image.mean()

    def test_image(image: Array) -> Array:
        image = image[margin : margin + shape[0], margin : margin + shape[1]]
        return image - image.mean()

    def preprocess_train(images: Array, ids: Array, key: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, ids)
        return jax.vmap(train_image)(images.astype(jnp.float32) / 255, keys)

    def preprocess_test(images: Array, ids: Array) -> Array:
        del ids  # test images have no randomness
        return jax.vmap(test_image)(images.astype(jnp.float32) / 255)

    return Preprocessing(preprocess_train, preprocess_test)


def check_crop(config: ConfigDict) -> None:
    """Raises UserError unless the crop in `config.data` fits the images."""
    if config.crop > config.size:
        raise UserError(
            f"config.data.crop must be at most {config.size} pixels (config.data.size), got "
            f"{config.crop}"
        )
