"""Batch normalisation over all devices."""

from flax import linen as nn
from jax import Array
from jax.typing import DTypeLike


class BatchNorm(nn.Module):
    """Batch normalisation whose training statistics are means over all devices of `axis_name`.

    Statistics are float32 whatever `dtype`, the result's.
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
