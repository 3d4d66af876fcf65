"""Flax Linen modules: localisation networks and the spatial transformer."""

from stn_jax.modules.localisation import (
    ConvLocalisation,
    FullyConnectedLocalisation,
    ThetaRegression,
)
from stn_jax.modules.spatial_transformer import SpatialTransformer

__all__ = [
    "ConvLocalisation",
    "FullyConnectedLocalisation",
    "SpatialTransformer",
    "ThetaRegression",
]
