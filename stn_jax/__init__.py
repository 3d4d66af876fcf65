"""Spatial Transformer Networks (Jaderberg et al., NIPS 2015) in JAX and Flax.

Pure functions act on one example and are batched with `jax.vmap`; everything beyond these names is
reached by its module.
"""

from stn_jax.modules.spatial_transformer import SpatialTransformer
from stn_jax.pretrained import load_pretrained
from stn_jax.sampling import sample
from stn_jax.transforms import (
    affine_grid,
    attention_grid,
    projective_grid,
    similarity_grid,
    tps_grid,
    translation_grid,
)

__all__ = [
    "SpatialTransformer",
    "affine_grid",
    "attention_grid",
    "load_pretrained",
    "projective_grid",
    "sample",
    "similarity_grid",
    "tps_grid",
    "translation_grid",
]
