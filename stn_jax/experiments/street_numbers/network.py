"""The networks of section 4.2 for whole street numbers: CNN, ST-CNN Single and ST-CNN Multi."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from stn_jax.experiments.street_numbers.labels import MAX_DIGITS, NO_DIGIT
from stn_jax.functional import max_pool_2x2
from stn_jax.linen import (
    BatchNorm,
    Conv,
    ConvLocalisation,
    Dropout,
    FullyConnectedLocalisation,
    SpatialTransformer,
)
from stn_jax.transforms import make_family

NUM_CLASSES = NO_DIGIT + 1
NUM_CONVOLUTIONS = 8
NETWORKS = ("cnn", "single", "multi")


class StreetNumberNetwork(nn.Module):
    """The paper's CNN for whole numbers, with transformers before its first convolutions.

    The network consists of convolutions, with 2x2 max-pooling after every other one starting with
    the first, fully connected layers, and an output layer. The output layer scores the ten digits
    and "none" at each of five places. Images [B, H, W, 3] give logits [B, 5, 11] in float32.

    Attributes:
        filters, features: widths of the convolutions and of the fully connected layers.
        kernel_size: height and width of the convolutions' kernels.
        poolings: the number of max-poolings, the paper's four or fewer.
        attention: whether the fully connected layers and the output layer are shared by all places:
            each place has its own average of the last feature map, weighted by a softmax over its
            positions. If not, they see the whole map, as in the paper.
        transformers: the i-th one is applied before the i-th convolution: none for the CNN, one for
            ST-CNN Single, four for ST-CNN Multi.
        dropout: the dropout rate after every layer except the first convolution and the scores.
        batch_norm: whether every layer except the scores is batch-normalised.
        axis_name: the axis of the devices that a batch is split over.
        dtype: the dtype of the layers' arithmetic; parameters, grids and scores are float32.
    """

    filters: Sequence[int]
    features: Sequence[int]
    kernel_size: int = 5
    poolings: int = 4
    attention: bool = False
    transformers: Sequence[SpatialTransformer] = ()
    dropout: float = 0.0
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        x = images.astype(self.dtype)
        for layer, filters in enumerate(self.filters):
            if layer < len(self.transformers):
                x = self.transformers[layer](x, train=train)
            kernel = (self.kernel_size, self.kernel_size)
            x = self._activated(Conv(filters, kernel, dtype=self.dtype)(x), train)
            if layer % 2 == 0 and layer < 2 * self.poolings:
                x = max_pool_2x2(x)
            if layer > 0:
                x = Dropout(self.dropout, self.axis_name)(x, train)
        x = self._attended(x) if self.attention else x.reshape(x.shape[0], -1)
        for width in self.features:
            x = self._activated(nn.Dense(width, dtype=self.dtype)(x), train)
            x = Dropout(self.dropout, self.axis_name)(x, train)
        width = NUM_CLASSES if self.attention else MAX_DIGITS * NUM_CLASSES
        scores = nn.Dense(width)(x.astype(jnp.float32))
        return scores.reshape(-1, MAX_DIGITS, NUM_CLASSES)

    def _attended(self, x: Array) -> Array:
        """Returns what each place sees of the feature map, [B, H, W, C] -> [B, MAX_DIGITS, C]."""
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        scores = nn.Dense(MAX_DIGITS, use_bias=False, name="attention_scores")(
            x.astype(jnp.float32)
        )
        bias = self.param("attention_bias", nn.initializers.zeros, scores.shape[1:])
        weights = nn.softmax(scores + bias, axis=1).astype(self.dtype)
        return jnp.einsum("bpk,bpc->bkc", weights, x)

    def _activated(self, x: Array, train: bool) -> Array:
        if self.batch_norm:
            x = BatchNorm(self.axis_name, self.dtype)(x, train)
        return nn.relu(x)


def make_model(config: ConfigDict, axis_name: str | None = None) -> nn.Module:
    """Builds the network of `config.model`.

    Args:
        config: the `model` part of a config: `network` ("cnn", "single" or "multi"), `filters`
            (widths of the eight convolutions), `kernel_size` (of the convolutions, except those of
            localisation networks), `poolings`, `attention` (as in `StreetNumberNetwork`),
            `features` (widths of the fully connected layers),
            `family` (of the transformers), `localisation_filters` and `localisation_features`
            (widths of the localisation networks; those of Multi have no convolutions), `dropout`,
            `batch_norm`, `dtype` ("float32" or "bfloat16").
        axis_name: the axis of the devices that a batch is split over.
    """
    options = {
        "batch_norm": config.batch_norm,
        "axis_name": axis_name,
        "dtype": jnp.dtype(config.dtype),
    }
    family = make_family(config.family)
    features = tuple(config.localisation_features)
    if config.network == "single":
        localisations: list[nn.Module] = [
            ConvLocalisation(
                family,
                filters=tuple(config.localisation_filters),
                features=features,
                downsample=1,
                padding="SAME",
                **options,
            )
        ]
    else:
        count = 4 if config.network == "multi" else 0
        localisations = [
            FullyConnectedLocalisation(family, features=features, **options) for _ in range(count)
        ]
    return StreetNumberNetwork(
        filters=tuple(config.filters),
        features=tuple(config.features),
        kernel_size=config.kernel_size,
        poolings=config.poolings,
        attention=config.attention,
        transformers=tuple(SpatialTransformer(part, family) for part in localisations),
        dropout=config.dropout,
        **options,
    )
