"""Section 4.1: distorted MNIST digits."""

import functools
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.distorted_mnist import config as settings
from stn_jax.experiments.distorted_mnist import digit_pictures, published
from stn_jax.experiments.distorted_mnist.distortions import CANVAS
from stn_jax.experiments.distorted_mnist.network import NUM_CLASSES, make_model
from stn_jax.experiments.distorted_mnist.preprocessing import make_preprocessing
from stn_jax.experiments.distorted_mnist.sources import first_per_class, load_mnist
from stn_jax.experiments.labels import ClassLabels, LabelKind

PUBLISHED_SOURCE: str | None = published.SOURCE
FIELDS = settings.FIELDS
VARIANTS: tuple[tuple[str, ...], ...] = settings.VARIANTS
LABELS: LabelKind = ClassLabels(tuple(map(str, range(NUM_CLASSES))), "digit")
LARGEST_VALUE = 1.0
PICTURE = "one handwritten digit, bright on black"


def completed(config: ConfigDict) -> ConfigDict:
    return config  # the data decide nothing


def labels(config: ConfigDict) -> LabelKind:
    del config  # all data have the same
    return LABELS


def input_shape(config: ConfigDict) -> tuple[int, int, int]:
    canvas = CANVAS[config.data.distortion]
    return canvas, canvas, 1


def make_network(config: ConfigDict, axis_name: str | None = None) -> nn.Module:
    canvas, _, _ = input_shape(config)
    return make_model(config.model, canvas, axis_name)


def model_name(config: ConfigDict) -> str:
    family, classifier = config.model.family, config.model.classifier
    return classifier if family == "none" else f"st_{classifier}_{family}"


def published_errors(config: ConfigDict) -> Mapping[str, float]:
    return published.ERRORS.get(config.data.distortion, {})


def load_data(config: ConfigDict) -> Data:
    data = config.data
    all_train, test = _load_once(data.source, data_dir=data.data_dir, manual_dir=data.manual_dir)
    train = first_per_class(all_train, data.subset)
    return Data(
        train=train,
        test=test,
        # Clutter comes from the whole set, so that a subset does not change the test images.
        preprocessing=make_preprocessing(data, all_train),
        name=f"mnist {data.distortion} ({data.source}: {len(train.labels)} train, "
        f"{len(test.labels)} test)",
    )


# The rows of a table are trained in one process, and all of them use the same digits.
_load_once = functools.lru_cache(maxsize=1)(load_mnist)


def network_input(picture: Image.Image, config: ConfigDict) -> np.ndarray:
    """Returns a picture as a network's input: bright on black, [canvas, canvas, 1] in 0..1.

    `digit_pictures.network_input` says how.
    """
    canvas, _, _ = input_shape(config)
    return digit_pictures.network_input(picture, canvas, cluttered=config.data.distortion == "tc")


def from_pixels(pixels: Array, config: ConfigDict) -> Array:
    return pixels.astype(jnp.float32) / 255
