"""Batch normalisation over all devices."""

from flax import linen as nn
from jax import Array


class BatchNorm(nn.Module):
    """Batch normalisation whose training statistics are means over all devices of `axis_name`."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        return nn.BatchNorm(
            use_running_average=not train, momentum=0.9, axis_name=self.axis_name, name="norm"
        )(x)
