"""The dtypes that computations are done in."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.errors import UserError


def at_least_float32(values: ArrayLike) -> jax.Array:
    """Returns `values` as float32, or as float64 if that is their dtype.

    Half precision is too coarse for coordinates: in an image of 224 pixels, bfloat16 coordinates
    are up to almost half a pixel apart.
    """
    values = jnp.asarray(values)
    # Not `jnp.promote_types`, which refuses under `jax.numpy_dtype_promotion("strict")`.
    return values if values.dtype == jnp.float64 else values.astype(jnp.float32)


def check_floating(array: jax.Array, name: str) -> None:
    """Raises UserError unless the array called `name` is of a floating-point dtype."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        scaled = f"{name}.astype(jnp.float32)" + (" / 255" if array.dtype == jnp.uint8 else "")
        raise UserError(f"{name} must be floating-point, got {array.dtype}: pass {scaled}")
