"""Flax NNX modules: localisation networks and the spatial transformer.

They have the same parameters as the Linen modules of `stn_jax.linen`. `load_linen_variables` copies
the weights of a Linen module to the corresponding NNX module.
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
