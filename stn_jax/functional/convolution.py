"""Convolution with stride 1 that is fast on the CPU, where XLA's own convolution is slow.

A C++ kernel computes it (see `stn_jax.native`), or, without a C++ compiler, matrix products over
patches. Both also use several threads inside a device loop such as `lax.fori_loop`, where XLA's
convolutions do not.

The convolution is a JAX primitive that is linear in each operand. Its transposes, which are the
gradients with respect to the input and to the kernel, are two more primitives of this kind, and the
transposes of these are again among the three. This is enough for forward and reverse mode, and for
derivatives of any order.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad

from stn_jax.native.primitive import leading_batch, native_primitive

# Below this many values per patch row, one product over whole patches beats one per kernel row.
_MIN_ROW_LENGTH = 64


def convolution(
    inputs: jax.Array, kernel: jax.Array, padding: Sequence[tuple[int, int]] = ((0, 0), (0, 0))
) -> jax.Array:
    """Computes the cross-correlation with stride 1.

    `outputs[b, i, j, d] = sum_{y,x,c} inputs[b, i + y - top, j + x - left, c] kernel[y, x, c, d]`.

    Args:
        inputs: [B, H, W, C].
        kernel: [h, w, C, D], with the dtype of `inputs`.
        padding: ((top, bottom), (left, right)), the numbers of rows and columns of zeros to add
            around the inputs. Top and bottom must be less than h, left and right less than w.

    Returns:
        [B, H + top + bottom - h + 1, W + left + right - w + 1, D].

    Raises:
        ValueError: the kernel is larger than the padded input, or the padding is negative or too
            large.

    >>> ones, box = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    >>> convolution(ones, box).squeeze().tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    (top, bottom), (left, right) = padding
    size = inputs.shape[1] + top + bottom, inputs.shape[2] + left + right
    if size[0] < kernel.shape[0] or size[1] < kernel.shape[1]:
        raise ValueError(f"a kernel of {kernel.shape[:2]} does not fit an input of {size} pixels")
    if not all(0 <= p < k for pair, k in zip(padding, kernel.shape, strict=False) for p in pair):
        raise ValueError(f"a padding of {padding} must be less than the kernel, {kernel.shape[:2]}")
    return _convolution_p.bind(inputs, kernel, top=top, bottom=bottom, left=left, right=right)


def conv_general_dilated(inputs, kernel, strides, padding, **options):
    """A replacement for `lax.conv_general_dilated` in Flax's Conv layers that is faster on the CPU.

    Pass it to a layer as `conv_general_dilated=`. On other platforms, and for convolutions that
    `convolution` does not support, it calls `lax.conv_general_dilated`.

    >>> from flax import linen as nn
    >>> layer = nn.Conv(8, (5, 5), conv_general_dilated=conv_general_dilated)
    """
    covered = (
        jax.default_backend() == "cpu"
        and all(step == 1 for step in strides)
        and all(d == 1 for d in options["lhs_dilation"] + options["rhs_dilation"])
        and options["feature_group_count"] == 1
        and inputs.ndim == 4
    )
    if covered and isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], strides, padding)
    if covered and all(max(p) < k for p, k in zip(padding, kernel.shape, strict=False)):
        return convolution(inputs, kernel, padding)
    return lax.conv_general_dilated(inputs, kernel, strides, padding, **options)


def _convolution(inputs, kernel, **padding):
    height, width, _, features = kernel.shape
    patches, rows = _patches(inputs, height, width, **padding)
    kernel = kernel.reshape(rows, -1, features)
    out_height = len(patches) - rows + 1
    outputs = sum(
        patches[y : y + out_height].reshape(-1, kernel.shape[1]) @ kernel[y] for y in range(rows)
    )
    return outputs.reshape(out_height, *patches.shape[1:3], features).transpose(1, 0, 2, 3)


def _input_gradient(cotangent, kernel, *, top, bottom, left, right):
    """Computes the gradient of `_convolution` with respect to the inputs, [B, H, W, C]."""
    height, width = kernel.shape[:2]
    return _convolution(
        cotangent,
        kernel[::-1, ::-1].swapaxes(2, 3),
        top=height - 1 - top,
        bottom=height - 1 - bottom,
        left=width - 1 - left,
        right=width - 1 - right,
    )


def _kernel_gradient(inputs, cotangent, *, top, bottom, left, right):
    """Computes the gradient of `_convolution` with respect to the kernel, [h, w, C, D]."""
    padding = {"top": top, "bottom": bottom, "left": left, "right": right}
    _, out_height, out_width, features = cotangent.shape
    height = inputs.shape[1] + top + bottom - out_height + 1
    width = inputs.shape[2] + left + right - out_width + 1
    patches, rows = _patches(inputs, height, width, **padding)
    cotangent = cotangent.transpose(1, 0, 2, 3).reshape(-1, features)
    gradient = [
        patches[y : y + out_height].reshape(-1, patches.shape[-1]).T @ cotangent
        for y in range(rows)
    ]
    return jnp.stack(gradient).reshape(height, width, inputs.shape[-1], features)


def _patches(inputs, height, width, *, top, bottom, left, right):
    """Returns the inputs as patches, and how many rows of patches a kernel covers.

    The patches have the size of a kernel row, [H + top + bottom, B, W', w C], and there are
    `height` rows. If such patches are too short for fast products, they have the size of the whole
    kernel, [H', B, W', h w C], and there is 1 row.
    """
    inputs = jnp.pad(inputs, ((0, 0), (top, bottom), (left, right), (0, 0)))
    out_height, out_width = inputs.shape[1] - height + 1, inputs.shape[2] - width + 1
    # The rows are the first axis, so that the patches of a kernel row are one contiguous block.
    rows = inputs.transpose(1, 0, 2, 3)
    patches = jnp.concatenate([rows[:, :, x : x + out_width] for x in range(width)], axis=-1)
    if patches.shape[-1] >= _MIN_ROW_LENGTH:
        return patches, height
    return jnp.concatenate([patches[y : y + out_height] for y in range(height)], axis=-1), 1


def _batch(primitive, operands, is_batched, padding):
    if primitive is not _kernel_gradient_p and not is_batched[1]:
        # All examples use the same kernel, so they form a single larger batch.
        inputs, kernel = operands
        outputs = primitive.bind(inputs.reshape(-1, *inputs.shape[2:]), kernel, **padding)
        return outputs.reshape(len(inputs), -1, *outputs.shape[1:])
    pairs = tuple(leading_batch(operands, is_batched))
    return lax.map(lambda pair: primitive.bind(*pair, **padding), pairs)


_primitive = functools.partial(
    native_primitive, params=("top", "bottom", "left", "right"), batch=_batch
)

_convolution_p = _primitive("convolution", _convolution)
_input_gradient_p = _primitive("convolution_input_gradient", _input_gradient)
_kernel_gradient_p = _primitive("convolution_kernel_gradient", _kernel_gradient)

ad.defbilinear(
    _convolution_p,
    lambda cotangent, _, kernel, **padding: _input_gradient_p.bind(cotangent, kernel, **padding),
    lambda cotangent, inputs, _, **padding: _kernel_gradient_p.bind(inputs, cotangent, **padding),
)
ad.defbilinear(
    _input_gradient_p,
    lambda inputs, _, kernel, **padding: _convolution_p.bind(inputs, kernel, **padding),
    lambda inputs, cotangent, _, **padding: _kernel_gradient_p.bind(inputs, cotangent, **padding),
)
ad.defbilinear(
    _kernel_gradient_p,
    lambda kernel, _, cotangent, **padding: _input_gradient_p.bind(cotangent, kernel, **padding),
    lambda kernel, inputs, _, **padding: _convolution_p.bind(inputs, kernel, **padding),
)
