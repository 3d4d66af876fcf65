"""Flax Linen modules: localisation networks, the spatial transformer, and fast layers."""

from stn_jax.linen.layers import BatchNorm, Conv, Dropout
from stn_jax.linen.localisation import (
    ConvLocalisation,
    FullyConnectedLocalisation,
    ThetaRegression,
)
from stn_jax.linen.spatial_transformer import SpatialTransformer

__all__ = [
    "BatchNorm",
    "Conv",
    "ConvLocalisation",
    "Dropout",
    "FullyConnectedLocalisation",
    "SpatialTransformer",
    "ThetaRegression",
]
