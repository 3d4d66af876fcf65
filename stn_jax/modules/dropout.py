"""Dropout whose masks do not depend on how a batch is spread over devices."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax


class Dropout(nn.Module):
    """Sets values to 0 with probability `rate` in training, and divides the rest by 1 - rate.

    An example's mask comes from the "dropout" key and the example's place in the global batch, so
    that one device and eight draw the same masks.

    Attributes:
        rate: in 0..1.
        axis_name: of the devices that a batch is split over, in their order.
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[B, ...] -> [B, ...]."""
        if not train or self.rate == 0:
            return x
        device = lax.axis_index(self.axis_name) if self.axis_name else 0
        places = device * len(x) + jnp.arange(len(x))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.make_rng("dropout"), places)
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:]))(keys)
        return jnp.where(keep, x / (1 - self.rate), 0)
