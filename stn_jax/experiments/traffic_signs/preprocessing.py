"""Preprocessing of stored photographs of signs to network inputs, on the device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from stn_jax.experiments.data.augmentation import make_jitter, random_affine_map
from stn_jax.experiments.data.examples import Preprocessing
from stn_jax.sampling import sample
from stn_jax.transforms import affine_grid

_LEAST_DEVIATION = 0.02
"""Flatter pictures are not stretched further: it would only make their noise visible."""

_LEVELS = 64


def make_preprocessing(config: ConfigDict) -> Preprocessing:
    """Returns the preprocessing for `config.data`: augmentation, then contrast normalisation.

    A training image is rotated, scaled and shifted at random in one sampling, which reads the
    border pixels outside of the image, and changed in brightness and contrast at random. It is
    never mirrored, because a mirrored sign has another meaning. Then the contrast of every image
    is normalised by the function in `CONTRASTS`. Images [B, size, size, 3] uint8 give
    [B, size, size, 3] float32.
    """
    augment = config.augment
    jitter = make_jitter(augment)
    normalise = CONTRASTS[config.contrast]

    def train_image(image: Array, key: Array) -> Array:
        affine_key, light_key = jax.random.split(key)
        if augment.rotation or augment.scale or augment.shift:
            theta = random_affine_map(
                affine_key, rotation=augment.rotation, scale=augment.scale, shift=augment.shift
            )
            grid = affine_grid(theta, image.shape[:2])
            image = sample(image, grid, padding="border")
        return normalise(jitter(image, light_key))

    def preprocess_train(images: Array, ids: Array, key: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, ids)
        return jax.vmap(train_image)(images.astype(jnp.float32) / 255, keys)

    def preprocess_test(images: Array, ids: Array) -> Array:
        del ids  # test images have no randomness
        return jax.vmap(normalise)(images.astype(jnp.float32) / 255)

    return Preprocessing(preprocess_train, preprocess_test)


def standardise(image: Array) -> Array:
    """Returns an image with mean 0 and standard deviation 1 over all pixels and colours.

    An image whose standard deviation is below 0.02 is only divided by 0.02.
    """
    return (image - image.mean()) / jnp.maximum(image.std(), _LEAST_DEVIATION)


def equalise(image: Array) -> Array:
    """Returns an image less 0.5 whose luminance is spread evenly over 0..1.

    The change of luminance is added to each colour, so the differences between them stay.
    """
    luminance = image @ jnp.array([0.299, 0.587, 0.114])
    levels = jnp.linspace(0, 1, _LEVELS)
    share_below = jnp.mean(luminance[..., None] <= levels, axis=(0, 1))
    even = jnp.interp(luminance, levels, share_below)
    return image + (even - luminance)[..., None] - 0.5


CONTRASTS: dict[str, Callable[[Array], Array]] = {
    "none": lambda image: image - 0.5,
    "standardise": standardise,
    "equalise": equalise,
}
"""The contrast normalisations of one image [H, W, 3] in 0..1, by `config.data.contrast`."""
