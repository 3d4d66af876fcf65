"""Spatial Transformer Networks (Jaderberg et al., NIPS 2015) in JAX and Flax.

`affine_grid` and the other grid functions turn theta, the parameters of a transformation, into a
sampling grid. `sample` reads an image at the points of a grid, and `spatial_transform` does both
for a batch. `SpatialTransformer` is the module for Flax Linen, and
`stn_jax.nnx.SpatialTransformer` is the module for Flax NNX.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from stn_jax.functional.spatial_transform import spatial_transform
from stn_jax.linen.spatial_transformer import SpatialTransformer
from stn_jax.native.primitive import plain_operations
from stn_jax.sampling import sample
from stn_jax.transforms import (
    affine_grid,
    attention_grid,
    projective_grid,
    similarity_grid,
    tps_grid,
    translation_grid,
)

if TYPE_CHECKING:
    from stn_jax.experiments.pretrained import list_pretrained, load_pretrained

__all__ = [
    "SpatialTransformer",
    "affine_grid",
    "attention_grid",
    "list_pretrained",
    "load_pretrained",
    "plain_operations",
    "projective_grid",
    "sample",
    "similarity_grid",
    "spatial_transform",
    "tps_grid",
    "translation_grid",
]

try:
    __version__ = version("stn_jax")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Imports what needs the extra `experiments` on first use."""
    if name not in ("list_pretrained", "load_pretrained"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from stn_jax.experiments import pretrained
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} needs {error.name}, which is not installed: pip install 'stn_jax[experiments]'"
        ) from error
    return getattr(pretrained, name)
