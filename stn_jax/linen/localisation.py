"""Localisation networks in Flax Linen: feature map -> theta (paper, section 3.1)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from stn_jax.errors import UserError
from stn_jax.functional.pooling import average_pool, max_pool_2x2
from stn_jax.functional.sizes import fitting_padding, flat_features
from stn_jax.functional.spatial_transform import NO_FAMILY
from stn_jax.layout import check_images
from stn_jax.linen.layers import BatchNorm, Conv
from stn_jax.transforms import Family, FamilyName, make_family


class ThetaRegression(nn.Module):
    """The last layer of a localisation network: features [B, F] -> theta [B, *theta_shape].

    Its weights start at zero and its bias at the identity transformation, so training starts with
    an unchanged image. Theta is never of half precision, which is too coarse for coordinates.

    Attributes:
        family: the family of transformations, by name or as a `Family`.

    >>> theta, _ = ThetaRegression("affine").init_with_output(jax.random.key(0), jnp.ones((1, 8)))
    >>> theta.tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """

    family: FamilyName | Family | None = None

    @nn.compact
    def __call__(self, features: Array) -> Array:
        if self.family is None:
            is_ours = isinstance(self.parent, FullyConnectedLocalisation | ConvLocalisation)
            raise UserError(NO_FAMILY.format(type(self.parent if is_ours else self).__name__))
        family = make_family(self.family)
        identity = jnp.asarray(family.identity)
        params = nn.Dense(
            family.num_params,
            kernel_init=nn.initializers.zeros,
            bias_init=lambda key, shape, dtype=jnp.float32: identity.astype(dtype).reshape(shape),
        )(features)
        return jax.vmap(family.theta)(params)


class FullyConnectedLocalisation(nn.Module):
    """Fully connected layers with ReLU, followed by `ThetaRegression`.

    The paper uses the widths (32, 32, 32) for ST-FCN and (32, 32) for ST-CNN Multi. Inputs
    [B, H, W, C] give theta [B, *theta_shape].

    Attributes:
        family: the family of transformations, by name or as a `Family`; None if the enclosing
            `SpatialTransformer` sets it.
        features: the widths of the hidden layers.
        batch_norm: whether hidden layers are batch-normalised; `train=True` then needs
            `mutable=["batch_stats"]`.
        axis_name: the name of the mapped axis, such as that of `jax.pmap`, over which batch
            statistics are averaged.
        dtype: the dtype of the hidden layers; theta is float32.

    >>> network = FullyConnectedLocalisation("translation", features=(16,))
    >>> network.init_with_output(jax.random.key(0), jnp.ones((4, 28, 28, 1)))[0].shape
    (4, 2)
    """

    family: FamilyName | Family | None = None
    features: Sequence[int] = (32, 32, 32)
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, inputs: Array, train: bool = False) -> Array:
        check_images(inputs.shape, type(self).__name__, _ndim(self.family))
        flat = flat_features(type(self).__name__, inputs.shape[1:], self.features)
        x = inputs.reshape(inputs.shape[0], flat)
        for width in self.features:
            x = _activated(self, nn.Dense(width, dtype=self.dtype)(x), train)
        return ThetaRegression(self.family, name="theta")(x)


class ConvLocalisation(nn.Module):
    """The paper's convolutional localisation networks; by default that of ST-CNN, section 4.1.

    It consists of average pooling by `downsample`, 5x5 convolutions with 2x2 max-pooling between
    them, fully connected layers, and `ThetaRegression`. All hidden layers have ReLU. Max-pooling
    keeps an odd last row or column; average pooling drops it. Inputs [B, H, W, C] give theta
    [B, *theta_shape].

    ST-CNN Single of section 4.2 uses `filters=(32, 32), features=(32, 32), downsample=1,
    padding="SAME"`.

    Attributes:
        family: the family of transformations, by name or as a `Family`; None if the enclosing
            `SpatialTransformer` sets it.
        filters: the numbers of filters of the convolutions.
        features: the widths of the fully connected layers.
        downsample: the size and stride of the average pooling; 1 for none.
        padding: the padding of the convolutions, "VALID" or "SAME"; None for "VALID" if the images
            are large enough for it, by default as of 26x26 pixels, otherwise "SAME".
        batch_norm: whether hidden layers are batch-normalised; `train=True` then needs
            `mutable=["batch_stats"]`.
        axis_name: the name of the mapped axis, such as that of `jax.pmap`, over which batch
            statistics are averaged.
        dtype: the dtype of the hidden layers; theta is float32.

    >>> network = ConvLocalisation("affine")
    >>> network.init_with_output(jax.random.key(0), jnp.ones((4, 28, 28, 1)))[0].shape
    (4, 2, 3)
    """

    family: FamilyName | Family | None = None
    filters: Sequence[int] = (20, 20)
    features: Sequence[int] = (20,)
    downsample: int = 2
    padding: str | None = None
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, inputs: Array, train: bool = False) -> Array:
        check_images(inputs.shape, type(self).__name__, _ndim(self.family))
        _, *shape = inputs.shape
        sizes: dict[str, Any] = {"filters": self.filters, "downsample": self.downsample}
        padding = self.padding or fitting_padding(shape, **sizes)
        flat = flat_features(type(self).__name__, shape, self.features, padding=padding, **sizes)
        x = inputs
        if self.downsample > 1:
            x = average_pool(x, self.downsample)
        for layer, filters in enumerate(self.filters):
            if layer > 0:
                x = max_pool_2x2(x)
            x = Conv(filters, (5,) * (x.ndim - 2), padding=padding, dtype=self.dtype)(x)
            x = _activated(self, x, train)
        x = x.reshape(x.shape[0], flat)
        for width in self.features:
            x = _activated(self, nn.Dense(width, dtype=self.dtype)(x), train)
        return ThetaRegression(self.family, name="theta")(x)


def _ndim(family: FamilyName | Family | None) -> int:
    return 2 if family is None else make_family(family).ndim


def _activated(
    network: FullyConnectedLocalisation | ConvLocalisation, x: Array, train: bool
) -> Array:
    """Applies batch normalisation, if the network has it, and ReLU; part of its `__call__`."""
    if network.batch_norm:
        x = BatchNorm(network.axis_name, network.dtype)(x, train)
    return nn.relu(x)
