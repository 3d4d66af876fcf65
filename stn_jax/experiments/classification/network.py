"""Networks that classify photographs: a CNN, and the same with spatial transformers."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.functional import max_pool_2x2
from stn_jax.linen import BatchNorm, Conv, ConvLocalisation, Dropout, SpatialTransformer
from stn_jax.transforms import make_family


class Classifier(nn.Module):
    """3x3 convolutions, some followed by 2x2 max-pooling, fully connected layers and class scores.

    All layers but the scores are batch-normalised. As in Arcos-García et al. (2018), the first
    transformer is at the input, and each further one is at the result of the next pooling. Images
    [B, H, W, C] give logits [B, num_classes] in float32.

    Attributes:
        num_classes: the number of classes.
        filters, features: widths of the convolutions and of the fully connected layers.
        pooled: the convolutions that are followed by pooling, counted from 1.
        transformers: none for the CNN, one for ST-CNN Single, several for ST-CNN Multi.
        dropout: the dropout rate before every fully connected layer and before the scores.
        axis_name: the axis of the devices that a batch is split over.
        dtype: the dtype of the layers' arithmetic; parameters, grids and scores are float32.
    """

    num_classes: int
    filters: Sequence[int]
    features: Sequence[int]
    pooled: Sequence[int]
    transformers: Sequence[SpatialTransformer] = ()
    dropout: float = 0.0
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        transformers = iter(self.transformers)

        def transformed(x: Array) -> Array:
            transformer = next(transformers, None)
            return x if transformer is None else transformer(x, train=train)

        x = transformed(images.astype(self.dtype))
        for number, filters in enumerate(self.filters, start=1):
            x = Conv(filters, (3, 3), use_bias=False, dtype=self.dtype)(x)
            x = self._activated(x, train)
            if number in self.pooled:
                x = transformed(max_pool_2x2(x))
        x = x.reshape(x.shape[0], -1)
        for width in self.features:
            x = Dropout(self.dropout, self.axis_name)(x, train)
            x = self._activated(nn.Dense(width, use_bias=False, dtype=self.dtype)(x), train)
        x = Dropout(self.dropout, self.axis_name)(x, train)
        return nn.Dense(self.num_classes)(x.astype(jnp.float32))

    def _activated(self, x: Array, train: bool) -> Array:
        return nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train))


def make_model(
    config: ConfigDict, *, num_classes: int, num_transformers: int, axis_name: str | None = None
) -> nn.Module:
    """Builds the network of `config.model`.

    Args:
        config: the `model` part of a config: `filters`, `pooled` and `features` (as in
            `Classifier`), `family` (of the transformers), `localisation_filters` and
            `localisation_features` (widths of the localisation networks), `dropout`, `dtype`
            ("float32" or "bfloat16").
        num_classes: the number of classes.
        num_transformers: the number of transformers.
        axis_name: the axis of the devices that a batch is split over.

    Raises:
        UserError: `pooled` names a convolution that does not exist, or has too few entries for the
            transformers.
    """
    pooled = tuple(config.pooled)
    if pooled[-1] > len(config.filters):
        raise UserError(
            f"config.model.pooled must be at most {len(config.filters)}, the number of "
            f"config.model.filters, got {pooled[-1]}"
        )
    if len(pooled) < num_transformers - 1:
        raise UserError(
            f"config.model.pooled must have at least {num_transformers - 1} entries with "
            f"{num_transformers} transformers, got {pooled}"
        )
    options = {"axis_name": axis_name, "dtype": jnp.dtype(config.dtype)}
    family = make_family(config.family)
    localisation = ConvLocalisation(
        family,
        filters=tuple(config.localisation_filters),
        features=tuple(config.localisation_features),
        padding="SAME",
        batch_norm=True,
        **options,
    )
    return Classifier(
        num_classes=num_classes,
        filters=tuple(config.filters),
        features=tuple(config.features),
        pooled=pooled,
        transformers=tuple(
            SpatialTransformer(localisation.copy(), family) for _ in range(num_transformers)
        ),
        dropout=config.dropout,
        **options,
    )
