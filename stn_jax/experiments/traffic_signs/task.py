"""Classification of photographs of traffic signs."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.experiments.classification.network import make_model
from stn_jax.experiments.classification.preprocessing import make_preprocessing
from stn_jax.experiments.data import image_cache
from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.traffic_signs import config as settings
from stn_jax.experiments.traffic_signs import published
from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES
from stn_jax.experiments.traffic_signs.labels import SignLabels
from stn_jax.experiments.traffic_signs.sources import load_traffic_signs

PUBLISHED_SOURCE: str | None = None
FIELDS = settings.FIELDS
VARIANTS: tuple[tuple[str, ...], ...] = settings.VARIANTS
LABELS: LabelKind = SignLabels()
LARGEST_VALUE = 50.0
PICTURE = "one traffic sign, with a margin of about a tenth of the picture on each side; RGB"


def completed(config: ConfigDict) -> ConfigDict:
    return config  # the data decide nothing


def labels(config: ConfigDict) -> LabelKind:
    del config  # all data have the same
    return LABELS


def input_shape(config: ConfigDict) -> tuple[int, int, int]:
    return config.data.size, config.data.size, 3


def make_network(config: ConfigDict, axis_name: str | None = None) -> nn.Module:
    return make_model(
        config.model,
        num_classes=len(CLASS_NAMES),
        num_transformers=settings.NUM_TRANSFORMERS[config.model.network],
        axis_name=axis_name,
    )


def model_name(config: ConfigDict) -> str:
    network = config.model.network
    return network if network == "cnn" else f"st_cnn_{network}"


def published_errors(config: ConfigDict) -> Mapping[str, float]:
    del config  # all sizes are crops of the same photographs
    return published.ERRORS


def load_data(config: ConfigDict) -> Data:
    train, test = load_traffic_signs(config.data)
    return Data(
        train=train,
        test=test,
        preprocessing=make_preprocessing(config.data),
        name=f"traffic signs, {config.data.size} px ({len(train.labels)} train, "
        f"{len(test.labels)} {config.data.evaluate_on})",
    )


def network_input(picture: Image.Image, config: ConfigDict) -> np.ndarray:
    """Returns a photograph of a sign, mode RGB, as a network input, [size, size, 3].

    Of a picture that is not square, the square at the centre is used. The sign should fill most of
    it, with a margin of about a tenth on each side, as in the training images.
    """
    resized = image_cache.fitted(picture, (config.data.size, config.data.size), "crop")
    return np.asarray(from_pixels(jnp.asarray(resized)[None], config)[0])


def from_pixels(pixels: Array, config: ConfigDict) -> Array:
    return make_preprocessing(config.data).test(pixels, jnp.zeros(0, jnp.int32))
