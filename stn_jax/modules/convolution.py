"""Convolution, lowered to what is fast on the platform at hand.

XLA's native convolutions are the right choice on accelerators. On the CPU they are slow, and inside
a device loop (many training steps per dispatch) they also lose their threads, so there a
convolution is written as matrix products over patches.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

# Below this many values per patch row, one product over whole patches beats one per kernel row.
_MIN_ROW_LENGTH = 64


def matmul_convolution(inputs: Array, kernel: Array) -> Array:
    """Cross-correlation without padding, stride 1, as matrix products.

    Args:
        inputs: [B, H, W, C].
        kernel: [h, w, C, D].

    Returns:
        [B, H - h + 1, W - w + 1, D], `sum_{y,x,c} inputs[b, i + y, j + x, c] kernel[y, x, c, d]`.

    Raises:
        ValueError: the kernel is larger than the input.
    """
    kernel_height, kernel_width, channels, features = kernel.shape
    batch, height, width, _ = inputs.shape
    out_height, out_width = height - kernel_height + 1, width - kernel_width + 1
    if out_height < 1 or out_width < 1:
        raise ValueError(
            f"a kernel of {kernel.shape[:2]} does not fit an input of {(height, width)} pixels"
        )
    # Rows lead, so that a kernel row's patches are one contiguous block.
    rows = inputs.transpose(1, 0, 2, 3)
    patches = jnp.concatenate([rows[:, :, x : x + out_width] for x in range(kernel_width)], axis=-1)
    if kernel_width * channels < _MIN_ROW_LENGTH:
        patches = jnp.concatenate(
            [patches[y : y + out_height] for y in range(kernel_height)], axis=-1
        )
        kernel = kernel.reshape(1, -1, features)
    else:
        kernel = kernel.reshape(kernel_height, -1, features)
    outputs = sum(
        patches[y : y + out_height].reshape(-1, kernel_row.shape[0]) @ kernel_row
        for y, kernel_row in enumerate(kernel)
    )
    return outputs.reshape(out_height, batch, out_width, features).transpose(1, 0, 2, 3)


def _conv_general_dilated(inputs, kernel, strides, padding, **options):
    """`lax.conv_general_dilated` as `nn.Conv` calls it, or the same as matrix products."""
    plain = (
        all(step == 1 for step in strides)
        and all(d == 1 for d in options["lhs_dilation"] + options["rhs_dilation"])
        and options["feature_group_count"] == 1
        and inputs.ndim == 4
    )
    if jax.default_backend() != "cpu" or not plain:
        return lax.conv_general_dilated(inputs, kernel, strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    inputs = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    return matmul_convolution(inputs, kernel)


Conv = functools.partial(nn.Conv, conv_general_dilated=_conv_general_dilated)
"""`flax.linen.Conv`, same parameters and results."""
