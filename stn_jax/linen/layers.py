"""Flax Linen layers that are fast on a CPU, or give the same results on any number of devices."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from jax.typing import DTypeLike

from stn_jax.errors import UserError
from stn_jax.functional.convolution import conv_general_dilated

Conv = functools.partial(nn.Conv, conv_general_dilated=conv_general_dilated)
"""`flax.linen.Conv` with the same parameters and results, faster on a CPU."""


class BatchNorm(nn.Module):
    """Batch normalisation with statistics over all devices of the mapped axis `axis_name`.

    `dtype` is the dtype of the result. The running statistics are always float32.

    >>> layer = BatchNorm()
    >>> layer.init(jax.random.key(0), jnp.ones((2, 3)), train=True)["batch_stats"]["norm"].keys()
    dict_keys(['mean', 'var'])
    """

    axis_name: str | None = None
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            axis_name=self.axis_name,
            dtype=self.dtype,
            name="norm",
        )(x)


class Dropout(nn.Module):
    """Sets values to 0 with probability `rate` in training, and divides the rest by 1 - rate.

    The mask of an example depends only on the "dropout" key and on the example's position in the
    global batch, so it does not depend on the number of devices. `flax.linen.Dropout` instead draws
    one mask for the part of the batch that is on a device.

    Attributes:
        rate: the probability, in 0..1.
        axis_name: the name of the mapped axis, such as that of `jax.pmap`, over which the batch is
            split.

    Raises:
        UserError: `rate` is outside 0..1.

    >>> Dropout(0.5).apply({}, jnp.ones((1, 3)), train=False).tolist()
    [[1.0, 1.0, 1.0]]
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Returns [B, ...] for inputs [B, ...]."""
        rate = float(self.rate)
        if not 0 <= rate <= 1:
            raise UserError(f"a dropout rate must be from 0 to 1, got {self.rate}")
        if not train or rate == 0:
            return x
        if rate == 1:  # the gradient of 0 / 0 would be NaN
            return jnp.zeros_like(x)
        device = lax.axis_index(self.axis_name) if self.axis_name else 0
        places = device * x.shape[0] + jnp.arange(x.shape[0])
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.make_rng("dropout"), places)
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
        return jnp.where(keep, x / (1 - rate), 0)
