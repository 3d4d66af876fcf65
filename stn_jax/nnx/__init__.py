"""Flax NNX modules: localisation networks, the spatial transformer, and a fast Conv layer.

They have the same parameters as the Linen modules of `stn_jax.linen`. `load_linen_variables` copies
the weights of a Linen module to the corresponding NNX module.
"""

from stn_jax.nnx.conversion import load_linen_variables
from stn_jax.nnx.layers import Conv
from stn_jax.nnx.localisation import (
    ConvLocalisation,
    FullyConnectedLocalisation,
    ThetaRegression,
)
from stn_jax.nnx.spatial_transformer import SpatialTransformer

__all__ = [
    "Conv",
    "ConvLocalisation",
    "FullyConnectedLocalisation",
    "SpatialTransformer",
    "ThetaRegression",
    "load_linen_variables",
]
