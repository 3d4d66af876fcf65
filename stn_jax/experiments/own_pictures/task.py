"""Classification of the user's own pictures."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.errors import UserError, printable
from stn_jax.experiments.classification.network import make_model
from stn_jax.experiments.classification.preprocessing import make_preprocessing
from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.own_pictures import config as settings
from stn_jax.experiments.own_pictures.labels import PictureLabels
from stn_jax.experiments.own_pictures.sources import (
    CHANNELS,
    image_of,
    list_pictures,
    load_pictures,
    picture_shape,
    size_text,
)
from stn_jax.experiments.user_paths import expanded

PUBLISHED_SOURCE: str | None = None
FIELDS = settings.FIELDS
VARIANTS: tuple[tuple[str, ...], ...] = settings.VARIANTS
LARGEST_VALUE = 50.0
PICTURE = "one object of one of the classes, as in the training pictures; RGB or brightness"


def completed(config: ConfigDict) -> ConfigDict:
    """Returns the config with the names of the classes, and where and what the pictures are."""
    listing = list_pictures(config.data)
    if config.data.digest not in ("", listing.identity):
        raise UserError(
            f"config.data.digest is {config.data.digest}, but that of {listing.train.where} is "
            f"{listing.identity}: leave it out to train on these pictures"
        )
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.data.classes = tuple(listing.class_names)
        config.data.digest = listing.identity
        if config.data.dir:
            config.data.dir = str(expanded(config.data.dir, "config.data.dir").absolute())
    return config


def labels(config: ConfigDict) -> LabelKind:
    return PictureLabels(config.data.classes)


def input_shape(config: ConfigDict) -> tuple[int, int, int]:
    return *picture_shape(config.data), CHANNELS[config.data.colours]


def make_network(config: ConfigDict, axis_name: str | None = None) -> nn.Module:
    return make_model(
        config.model,
        num_classes=len(config.data.classes) or 2,  # before `completed`, they are not known
        num_transformers=config.model.transformers,
        axis_name=axis_name,
    )


def model_name(config: ConfigDict) -> str:
    count = config.model.transformers
    if not count:
        return "cnn"
    return f"st_cnn_{config.model.family}" + (f"_x{count}" if count > 1 else "")


def published_errors(config: ConfigDict) -> Mapping[str, float]:
    del config  # nobody else has these pictures
    return {}


def load_data(config: ConfigDict) -> Data:
    pictures = load_pictures(config.data)
    for note in pictures.notes:
        print(f"note: {printable(note)}", flush=True)
    return Data(
        train=pictures.train,
        test=pictures.test,
        preprocessing=make_preprocessing(config.data),
        name=f"{pictures.title}, {size_text(config.data)} px ({len(pictures.train.labels)} train, "
        f"{len(pictures.test.labels)} test)",
    )


def network_input(picture: Image.Image, config: ConfigDict) -> np.ndarray:
    """Returns a picture, mode RGB, as a network input, made to fit like the training pictures."""
    image = jnp.asarray(image_of(picture, config.data))
    return np.asarray(from_pixels(image[None], config)[0])


def from_pixels(pixels: Array, config: ConfigDict) -> Array:
    return make_preprocessing(config.data).test(pixels, jnp.zeros(0, jnp.int32))
