"""The dtypes that computations are done in."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def at_least_float32(values: ArrayLike) -> jax.Array:
    """Returns `values` as float32, or as float64 if that is their dtype.

    Half precision is too coarse for coordinates: in an image of 224 pixels, bfloat16 coordinates
    are up to almost half a pixel apart.
    """
    values = jnp.asarray(values)
    # Not `jnp.promote_types`, which refuses under `jax.numpy_dtype_promotion("strict")`.
    return values if values.dtype == jnp.float64 else values.astype(jnp.float32)
