"""Pooling layers without parameters."""

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax


def average_pool(inputs: Array, size: int) -> Array:
    """Averages each window of `size` x `size` pixels; drops rows and columns that fill none.

    In one and three dimensions, it does the same along each axis.

    Unlike `flax.linen.avg_pool`, it works under `jax.numpy_dtype_promotion("strict")`.

    Args:
        inputs: [B, H, W, C], [B, W, C] or [B, D, H, W, C].
        size: the size and the stride of the windows, in pixels.

    Returns:
        [B, H // size, W // size, C].

    >>> average_pool(jnp.arange(6.0).reshape(1, 2, 3, 1), 2).squeeze().tolist()
    2.0
    """
    window = (size,) * (inputs.ndim - 2)
    return nn.pool(inputs, 0.0, lax.add, window, window, "VALID") / size ** len(window)


def max_pool_2x2(inputs: Array) -> Array:
    """Max-pools 2x2 pixels with stride 2; an odd last row or column is pooled on its own.

    In one and three dimensions, it does the same along each axis.

    The result is a maximum of strided slices, so its gradient is elementwise. That of
    `flax.linen.max_pool` is a scatter, which is several times slower on a CPU or GPU, but on a TPU
    an operation of its own, and the faster form. Pixels that tie share the gradient; on a TPU, the
    first one has it.

    Args:
        inputs: [B, H, W, C], [B, W, C] or [B, D, H, W, C].

    Returns:
        [B, ceil(H / 2), ceil(W / 2), C].

    >>> max_pool_2x2(jnp.arange(6.0).reshape(1, 2, 3, 1)).squeeze().tolist()
    [4.0, 5.0]
    """
    return lax.platform_dependent(inputs, tpu=_max_of_windows, default=_max_of_slices)


def _max_of_slices(inputs: Array) -> Array:
    pooled = jnp.pad(inputs, _margins(inputs), constant_values=-jnp.inf)
    for axis in range(1, inputs.ndim - 1):
        before = (slice(None),) * axis
        pooled = jnp.maximum(
            pooled[(*before, slice(None, None, 2))], pooled[(*before, slice(1, None, 2))]
        )
    return pooled


def _max_of_windows(inputs: Array) -> Array:
    windows = (1, *(2,) * (inputs.ndim - 2), 1)
    return lax.reduce_window(inputs, -jnp.inf, lax.max, windows, windows, _margins(inputs))


def _margins(inputs: Array) -> list[tuple[int, int]]:
    """Returns what to add to each axis, so that an odd last row or column is pooled as well."""
    _, *sizes, _ = inputs.shape
    return [(0, 0), *((0, size % 2) for size in sizes), (0, 0)]
