"""Localisation networks: feature map -> theta (paper, section 3.1)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike

from stn_jax.modules.convolution import Conv
from stn_jax.modules.normalisation import BatchNorm
from stn_jax.modules.pooling import max_pool_2x2
from stn_jax.transforms import Family


class ThetaRegression(nn.Module):
    """The last layer of a localisation network: features [B, F] -> theta [B, ...].

    Starts with zero weights and the identity transformation as its bias, so that training starts
    from an untouched image. `theta` has the form that the family's grid function takes: [B, 2, 3]
    for affine, [B, K, 2] for thin plate splines. It is float32, for the sake of the coordinates.
    """

    family: Family

    @nn.compact
    def __call__(self, features: Array) -> Array:
        identity = jnp.asarray(self.family.identity)
        params = nn.Dense(
            self.family.num_params,
            kernel_init=nn.initializers.zeros,
            bias_init=lambda key, shape, dtype=jnp.float32: identity.astype(dtype).reshape(shape),
        )(features)
        return jax.vmap(self.family.theta)(params)


class FullyConnectedLocalisation(nn.Module):
    """Fully connected ReLU layers, then theta: 32-32-32 for ST-FCN, 32-32 for ST-CNN Multi.

    Input [B, H, W, C], output theta [B, ...], float32 whatever `dtype`, the hidden layers'.
    """

    family: Family
    features: Sequence[int] = (32, 32, 32)
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, inputs: Array, train: bool = False) -> Array:
        x = inputs.reshape(inputs.shape[0], -1)
        for width in self.features:
            x = nn.Dense(width, dtype=self.dtype)(x)
            if self.batch_norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train)
            x = nn.relu(x)
        return ThetaRegression(self.family, name="theta")(x)


class ConvLocalisation(nn.Module):
    """The paper's convolutional localisation networks; by default that of ST-CNN, section 4.1.

    Average-pooling by `downsample`, then 5x5 convolutions with max-pool 2 between them, fully
    connected ReLU layers, theta. Max-pooling keeps an odd last row and column.
    Input [B, H, W, C], output theta [B, ...], float32 whatever `dtype`, the hidden layers'.

    ST-CNN Single of section 4.2 has `filters=(32, 32), features=(32, 32), downsample=1,
    padding="SAME"`.
    """

    family: Family
    filters: Sequence[int] = (20, 20)
    features: Sequence[int] = (20,)
    downsample: int = 2
    padding: str = "VALID"
    batch_norm: bool = False
    axis_name: str | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, inputs: Array, train: bool = False) -> Array:
        x = inputs
        if self.downsample > 1:
            x = nn.avg_pool(x, (self.downsample,) * 2, (self.downsample,) * 2)
        for layer, filters in enumerate(self.filters):
            if layer > 0:
                x = max_pool_2x2(x)
            x = Conv(filters, (5, 5), padding=self.padding, dtype=self.dtype)(x)
            if self.batch_norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train)
            x = nn.relu(x)
        x = x.reshape(x.shape[0], -1)
        for width in self.features:
            x = nn.Dense(width, dtype=self.dtype)(x)
            if self.batch_norm:
                x = BatchNorm(self.axis_name, self.dtype)(x, train)
            x = nn.relu(x)
        return ThetaRegression(self.family, name="theta")(x)
