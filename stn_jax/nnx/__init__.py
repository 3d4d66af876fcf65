"""Flax NNX modules: localisation networks and the spatial transformer.

They hold the same parameters under the same names as the Linen modules of `stn_jax.linen`, so
weights can be moved from one to the other: see `load_linen_variables`.
"""

from stn_jax.nnx.conversion import load_linen_variables
from stn_jax.nnx.localisation import (
    ConvLocalisation,
    FullyConnectedLocalisation,
    ThetaRegression,
)
from stn_jax.nnx.spatial_transformer import SpatialTransformer

__all__ = [
    "ConvLocalisation",
    "FullyConnectedLocalisation",
    "SpatialTransformer",
    "ThetaRegression",
    "load_linen_variables",
]
