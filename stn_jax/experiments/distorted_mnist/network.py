"""The networks of section 4.1, distorted MNIST: FCN, CNN and both with a spatial transformer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.functional import average_pool, max_pool_2x2
from stn_jax.linen import (
    BatchNorm,
    Conv,
    ConvLocalisation,
    Dropout,
    FullyConnectedLocalisation,
    SpatialTransformer,
)
from stn_jax.transforms import make_family

NUM_CLASSES = 10


class FullyConnectedClassifier(nn.Module):
    """FCN: hidden fully connected ReLU layers, then class scores. [B, H, W, C] -> [B, 10]."""

    features: tuple[int, ...]
    batch_norm: bool = False
    dropout: float = 0.0
    """Rate before the class scores."""
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32
    """Of the layers' arithmetic; parameters and scores are float32."""

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        x = images.reshape(images.shape[0], -1)
        for width in self.features:
            x = nn.Dense(width, dtype=self.dtype)(x)
            if self.batch_norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train)
            x = nn.relu(x)
        x = Dropout(self.dropout, self.axis_name)(x, train)
        return nn.Dense(NUM_CLASSES)(x.astype(jnp.float32))


class ConvolutionalClassifier(nn.Module):
    """Convolutions without padding, then class scores. [B, H, W, C] -> [B, 10].

    The default is the paper's CNN: conv 9x9, max-pool 2, conv 7x7, max-pool 2. Pooling keeps an odd
    last row and column: otherwise the 7x7 convolution would not fit at 21x21 pixels, the size of a
    transformer's 42x42 output after pooling.
    """

    features: tuple[int, ...]
    kernel_sizes: tuple[int, ...] = (9, 7)
    pooled: tuple[int, ...] = (0, 1)
    """Indices of the convolutions that are followed by max-pool 2."""
    batch_norm: bool = False
    dropout: float = 0.0
    """Rate before the class scores."""
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32
    """Of the layers' arithmetic; parameters and scores are float32."""

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        x = images
        sizes = zip(self.features, self.kernel_sizes, strict=True)
        for layer, (filters, size) in enumerate(sizes):
            x = Conv(filters, (size, size), padding="VALID", dtype=self.dtype)(x)
            if self.batch_norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train)
            x = nn.relu(x)
            if layer in self.pooled:
                x = max_pool_2x2(x)
        x = Dropout(self.dropout, self.axis_name)(x.reshape(x.shape[0], -1), train)
        return nn.Dense(NUM_CLASSES)(x.astype(jnp.float32))


class TransformedClassifier(nn.Module):
    """A spatial transformer at the input, average pooling, then a classifier: ST-FCN, ST-CNN."""

    transformer: SpatialTransformer
    classifier: nn.Module
    pool: int = 1
    dtype: DTypeLike = jnp.float32
    """Of the images that the transformer samples; grids are float32."""

    def __call__(self, images: Array, train: bool = False) -> Array:
        x = self.transformer(images.astype(self.dtype), train=train)
        x = average_pool(x, self.pool)
        return self.classifier(x, train=train)


CLASSIFIERS: dict[str, Callable[..., Any]] = {
    "fcn": FullyConnectedClassifier,
    "cnn": ConvolutionalClassifier,
    "deep_cnn": partial(ConvolutionalClassifier, kernel_sizes=(3, 3, 3, 3), pooled=(0, 2)),
}
LOCALISATIONS = {"fcn": FullyConnectedLocalisation, "cnn": ConvLocalisation}
_NUM_WIDTHS = {"fcn": 2, "cnn": 2, "deep_cnn": 4}
# The smallest height and width at which the last layer still has an input.
_SMALLEST_INPUT = {"fcn": 1, "cnn": 21, "deep_cnn": 19}


def make_model(config: ConfigDict, canvas: int, axis_name: str | None = None) -> nn.Module:
    """Builds the network of `config.model` for images [B, canvas, canvas, 1].

    Args:
        config: the `model` part of a config: `classifier` ("fcn", "cnn" or "deep_cnn": four 3x3
          convolutions, max-pool 2 after the first and the third), `features` (widths of its hidden
          layers), `batch_norm`, `dropout` (rate before the class scores), `family` of the
          transformer ("none": no transformer), `localisation` ("fcn" or "cnn"), `output_size` (of
          the transformer, in pixels; 0: as large as the input), `pool` (average pooling after the
          transformer), `dtype` ("float32" or "bfloat16").
        canvas: the height and width of the images in pixels.
        axis_name: the name of the device axis that batch statistics are averaged over in training.

    Raises:
        UserError: if the number of widths or the size of the output does not fit the classifier.
    """
    num_widths = _NUM_WIDTHS[config.classifier]
    if len(config.features) != num_widths:
        raise UserError(
            f"config.model.features must be {num_widths} positive widths with config.model."
            f"classifier={config.classifier}, got {config.features}"
        )
    dtype = jnp.dtype(config.dtype)
    options = {"batch_norm": config.batch_norm, "axis_name": axis_name, "dtype": dtype}
    classifier = CLASSIFIERS[config.classifier](
        features=tuple(config.features), dropout=config.dropout, **options
    )
    if config.family == "none":
        return classifier
    size = config.output_size or canvas
    smallest = config.pool * _SMALLEST_INPUT[config.classifier]
    if size < smallest:
        raise UserError(
            f"config.model.output_size must be at least {smallest} pixels with config.model.pool="
            f"{config.pool} and config.model.classifier={config.classifier}, got {size}"
        )
    family = make_family(config.family)
    transformer = SpatialTransformer(
        localisation=LOCALISATIONS[config.localisation](family=family, **options),
        family=family,
        output_shape=(size, size),
    )
    return TransformedClassifier(transformer, classifier, config.pool, dtype)
