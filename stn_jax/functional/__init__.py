"""Pure functions on batches, which the Flax modules of `stn_jax.linen` and `stn_jax.nnx` call."""

from stn_jax.functional.convolution import conv_general_dilated, convolution
from stn_jax.functional.pooling import average_pool, max_pool_2x2
from stn_jax.functional.spatial_transform import spatial_transform

__all__ = [
    "average_pool",
    "conv_general_dilated",
    "convolution",
    "max_pool_2x2",
    "spatial_transform",
]
