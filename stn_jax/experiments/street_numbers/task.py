"""The task of section 4.2: whole street numbers of one to five digits."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.experiments.data import image_cache
from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.street_numbers import config as settings
from stn_jax.experiments.street_numbers import published
from stn_jax.experiments.street_numbers.labels import NumberLabels
from stn_jax.experiments.street_numbers.network import make_model
from stn_jax.experiments.street_numbers.preprocessing import make_preprocessing, normalise
from stn_jax.experiments.street_numbers.shapes import crop_shape, picture_shape
from stn_jax.experiments.street_numbers.sources import describe, load_street_numbers

PUBLISHED_SOURCE: str | None = published.SOURCE
FIELDS = settings.FIELDS
VARIANTS: tuple[tuple[str, ...], ...] = settings.VARIANTS
LABELS: LabelKind = NumberLabels()
LARGEST_VALUE = 50.0
PICTURE = "one number of up to five digits in the middle, about half as wide as the picture; RGB"


def completed(config: ConfigDict) -> ConfigDict:
    return config  # the data decide nothing


def labels(config: ConfigDict) -> LabelKind:
    del config  # all data have the same
    return LABELS


def input_shape(config: ConfigDict) -> tuple[int, int, int]:
    return *crop_shape(config.data), 3


def make_network(config: ConfigDict, axis_name: str | None = None) -> nn.Module:
    return make_model(config.model, axis_name)


def model_name(config: ConfigDict) -> str:
    network = config.model.network
    return network if network == "cnn" else f"st_cnn_{network}"


def published_errors(config: ConfigDict) -> Mapping[str, float]:
    return published.ERRORS.get(config.data.size, {})


def load_data(config: ConfigDict) -> Data:
    preprocessing = make_preprocessing(config.data)
    train, test = load_street_numbers(config.data)
    height, width = picture_shape(config.data)
    size = height if height == width else f"{height}x{width}"
    added = "".join(
        f", {config.data[kind]} of them {kind}"
        for kind in ("drawn", "composed")
        if config.data[kind]
    )
    return Data(
        train=train,
        test=test,
        preprocessing=preprocessing,
        name=f"street numbers, {size} px ({describe(config.data)}: "
        f"{len(train.labels)} train{added}, {len(test.labels)} {config.data.evaluate_on})",
    )


def network_input(picture: Image.Image, config: ConfigDict) -> np.ndarray:
    """Returns a picture of a number as a network input: its centre, [*crop_shape, 3], with mean 0.

    The picture should show about as much around the number as the training images do. The contrast
    of a pale one is raised.
    """
    shape, letterbox = picture_shape(config.data), config.data.letterbox
    resized = image_cache.resize(picture, shape, letterbox=letterbox)
    test = make_preprocessing(config.data).test
    return np.asarray(test(jnp.asarray(_not_pale(resized))[None], jnp.zeros(1, jnp.int32))[0])


def from_pixels(pixels: Array, config: ConfigDict) -> Array:
    images = pixels.astype(jnp.float32) / 255
    return jax.vmap(lambda image: normalise(image, standardise=config.data.standardise))(images)


def _not_pale(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels uint8 that span at least half of the brightness, but for a few odd ones."""
    low, high = np.percentile(pixels, (0.5, 99.5))
    factor = 127.5 / max(high - low, 1)
    if factor <= 1:
        return pixels
    stretched = 127.5 + factor * (pixels - (low + high) / 2)
    return stretched.round().clip(0, 255).astype(np.uint8)
