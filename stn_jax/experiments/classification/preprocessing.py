"""Preprocessing of stored photographs to network inputs, on the device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from stn_jax.experiments.data.augmentation import make_jitter, random_affine_map
from stn_jax.experiments.data.examples import Preprocessing, of_each, of_each_at_random
from stn_jax.sampling import sample
from stn_jax.transforms import affine_grid

_LEAST_DEVIATION = 0.02
"""Flatter pictures are not stretched further: it would only make their noise visible."""

_LUMINANCE = [0.299, 0.587, 0.114]

_EVEN_DEVIATION = 12**-0.5
"""The standard deviation of the uniform distribution of width 1."""


def make_preprocessing(config: ConfigDict) -> Preprocessing:
    """Returns the preprocessing for `config.data`: augmentation, then contrast normalisation.

    A training image is rotated, scaled and shifted at random in one sampling, which reads the
    border pixels outside of the image, and changed in brightness and contrast at random. With
    `augment.mirror`, every other one is mirrored left to right. Then the contrast of every image is
    normalised by the function in `CONTRASTS`. Images [B, H, W, 1 or 3] uint8 give the same
    shape in float32.
    """
    augment = config.augment
    jitter = make_jitter(augment)
    normalise = CONTRASTS[config.contrast]

    def train_image(image: Array, key: Array) -> Array:
        affine_key, light_key = jax.random.split(key)
        if augment.rotation or augment.scale or augment.shift:
            height, width, _ = image.shape
            theta = random_affine_map(
                affine_key,
                rotation=augment.rotation,
                scale=augment.scale,
                shift=augment.shift,
                aspect=width / height,
            )
            grid = affine_grid(theta, image.shape[:2])
            image = sample(image, grid, padding="border")
        if augment.get("mirror"):
            is_mirrored = jax.random.bernoulli(jax.random.fold_in(key, 0))
            image = jnp.where(is_mirrored, image[:, ::-1], image)
        return normalise(jitter(image, light_key))

    return Preprocessing(of_each_at_random(train_image), of_each(normalise))


def standardise(image: Array) -> Array:
    """Returns an image with mean 0 and standard deviation 1 over all pixels and colours.

    An image whose standard deviation is below 0.02 is only divided by 0.02.
    """
    return (image - image.mean()) / jnp.maximum(image.std(), _LEAST_DEVIATION)


def equalise(image: Array) -> Array:
    """Returns an image whose luminance is spread evenly over -0.5..0.5.

    Colours are the differences from luminance; they become stronger or weaker as the contrast does.
    An image without colours is its luminance.
    """
    luminance = image @ jnp.array(_LUMINANCE if image.shape[-1] == 3 else [1.0])
    ordered = jnp.sort(luminance, axis=None)
    darker, at_most = (jnp.searchsorted(ordered, luminance, side=s) for s in ("left", "right"))
    even = (darker + at_most) / (2 * ordered.size) - 0.5
    colours = image - luminance[..., None]
    change = _EVEN_DEVIATION / jnp.maximum(luminance.std(), _LEAST_DEVIATION)
    return even[..., None] + change * colours


CONTRASTS: dict[str, Callable[[Array], Array]] = {
    "none": lambda image: image - 0.5,
    "standardise": standardise,
    "equalise": equalise,
}
"""The contrast normalisations of one image [H, W, 1 or 3] in 0..1, by `config.data.contrast`."""
