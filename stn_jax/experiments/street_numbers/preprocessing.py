"""Preprocessing of stored street numbers to network inputs, on the device."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from stn_jax.experiments.data.augmentation import make_jitter, random_crop, random_linear_map
from stn_jax.experiments.data.examples import Preprocessing, of_each, of_each_at_random
from stn_jax.experiments.street_numbers.shapes import crop_shape, picture_shape
from stn_jax.sampling import sample
from stn_jax.transforms import affine_grid

_LEAST_CONTRAST = 0.01  # that is added to a standard deviation, so that noise stays faint


def make_preprocessing(config: ConfigDict) -> Preprocessing:
    """Returns the preprocessing for `config.data`: jitter, crop and subtraction of the mean.

    A training image is changed in brightness and contrast at random and cropped at a random place;
    a test image is cropped at its centre. Then the mean over all pixels and colours of the crop is
    subtracted (Goodfellow et al., 2013). Images [B, *picture_shape, 3] uint8 give
    [B, *crop_shape, 3] float32 in -1..1. With `standardise`, each is also divided by its
    standard deviation: many photographs are pale.

    With `augment.linear`, a crop is also turned, stretched and sheared, as in `random_linear_map`;
    with `augment.shift`, it may go beyond the picture by this share of half its width and height.
    With `augment.invert`, every other training image is inverted: pale digits on dark walls are as
    common as dark ones on pale walls.

    Raises:
        UserError: the crop does not fit the images.
    """
    height, width = crop_shape(config)
    top, left = (
        (of - to) // 2 for of, to in zip(picture_shape(config), (height, width), strict=True)
    )
    jitter = make_jitter(config.augment)
    crop = _make_crop(config)
    centred = functools.partial(normalise, standardise=config.standardise)

    def train_image(image: Array, key: Array) -> Array:
        light_key, crop_key = jax.random.split(key)
        image = centred(crop(jitter(image, light_key), crop_key))
        if config.augment.invert:
            image = image * jax.random.rademacher(jax.random.fold_in(key, 0), (), image.dtype)
        return image

    def test_image(image: Array) -> Array:
        return centred(image[top : top + height, left : left + width])

    return Preprocessing(of_each_at_random(train_image), of_each(test_image))


def normalise(image: Array, *, standardise: bool) -> Array:
    """Returns an image [H, W, 3] with mean 0, and nearly a standard deviation of 1 if asked."""
    image = image - image.mean()
    return image / (image.std() + _LEAST_CONTRAST) if standardise else image


def _make_crop(config: ConfigDict) -> Callable[[Array, Array], Array]:
    """Returns a function (image, key) that takes a random crop."""
    linear, shift = config.augment.linear, config.augment.shift
    shape = crop_shape(config)
    if linear == shift == 0:
        return functools.partial(random_crop, shape=shape)
    sides, of = jnp.array(shape), jnp.array(picture_shape(config))
    share = sides / of
    # The map is linear in pixels, so that it turns without shear whatever the shape.
    in_pixels = sides[::-1] / of[::-1, None]

    def crop(image: Array, key: Array) -> Array:
        linear_key, shift_key = jax.random.split(key)
        linear_map = in_pixels * random_linear_map(linear_key, deviation=linear)
        room = (1 - share + shift)[::-1, None]
        place = jax.random.uniform(shift_key, (2, 1), minval=-room, maxval=room)
        grid = affine_grid(jnp.concatenate([linear_map, place], axis=1), shape)
        return sample(image, grid, padding="border")

    return crop
