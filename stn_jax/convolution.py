"""Convolution with stride 1 on the CPU, where XLA's own is slow.

A kernel in C++ computes it (see `stn_jax.native`), else matrix products over patches. Both keep
their threads inside a device loop, where XLA's convolutions lose them.

It is a JAX primitive that is linear in either operand. Its transposes, the gradients to the input
and to the kernel, are two more such primitives, and their transposes are among the three again: so
derivatives of any order and in either mode need no others.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from stn_jax import native

# Below this many values per patch row, one product over whole patches beats one per kernel row.
_MIN_ROW_LENGTH = 64


def convolution(
    inputs: jax.Array, kernel: jax.Array, padding: Sequence[tuple[int, int]] = ((0, 0), (0, 0))
) -> jax.Array:
    """Cross-correlation with stride 1.

    Args:
        inputs: [B, H, W, C].
        kernel: [h, w, C, D], of the dtype of `inputs`.
        padding: ((top, bottom), (left, right)) rows and columns of zeros around the inputs, less
            than h and w.

    Returns:
        [B, H + top + bottom - h + 1, W + left + right - w + 1, D],
        `sum_{y,x,c} inputs[b, i + y - top, j + x - left, c] kernel[y, x, c, d]`.

    Raises:
        ValueError: the kernel is larger than the padded input, or the padding not less than it.
    """
    (top, bottom), (left, right) = padding
    size = inputs.shape[1] + top + bottom, inputs.shape[2] + left + right
    if size[0] < kernel.shape[0] or size[1] < kernel.shape[1]:
        raise ValueError(f"a kernel of {kernel.shape[:2]} does not fit an input of {size} pixels")
    if not all(0 <= p < k for pair, k in zip(padding, kernel.shape, strict=False) for p in pair):
        raise ValueError(f"a padding of {padding} must be less than the kernel, {kernel.shape[:2]}")
    return _convolution_p.bind(inputs, kernel, top=top, bottom=bottom, left=left, right=right)


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
    """The transpose of `_convolution` as a function of the inputs: cotangent -> [B, H, W, C]."""
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
    """The transpose of `_convolution` as a function of the kernel: cotangent -> [h, w, C, D]."""
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
    """Patches [H', B, W', w C] of kernel rows and `height`, or [H', B, W', h w C] and 1."""
    inputs = jnp.pad(inputs, ((0, 0), (top, bottom), (left, right), (0, 0)))
    out_height, out_width = inputs.shape[1] - height + 1, inputs.shape[2] - width + 1
    # Rows lead, so that a kernel row's patches are one contiguous block.
    rows = inputs.transpose(1, 0, 2, 3)
    patches = jnp.concatenate([rows[:, :, x : x + out_width] for x in range(width)], axis=-1)
    if patches.shape[-1] >= _MIN_ROW_LENGTH:
        return patches, height
    return jnp.concatenate([patches[y : y + out_height] for y in range(height)], axis=-1), 1


def _primitive(name: str, fun: Callable) -> Primitive:
    """A primitive that computes `fun` of two operands; native code does on the CPU, if it can."""
    primitive = Primitive(name)

    def abstract(*operands, **padding):
        (output,) = jax.make_jaxpr(lambda *args: fun(*args, **padding))(*operands).out_avals
        return output

    def batch(operands, axes, **padding):
        length = next(
            x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None
        )
        one_kernel = primitive is not _kernel_gradient_p and axes[1] is None
        stacked = [
            x if axis is None else jnp.moveaxis(x, axis, 0)
            for x, axis in zip(operands, axes, strict=True)
        ]
        if one_kernel:
            inputs, kernel = stacked
            outputs = primitive.bind(inputs.reshape(-1, *inputs.shape[2:]), kernel, **padding)
            return outputs.reshape(length, -1, *outputs.shape[1:]), 0
        first, second = (
            jnp.broadcast_to(x, (length, *x.shape)) if axis is None else x
            for x, axis in zip(stacked, axes, strict=True)
        )
        return lax.map(lambda pair: primitive.bind(*pair, **padding), (first, second)), 0

    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("top", "bottom", "left", "right")))
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch
    plain = mlir.lower_fun(fun, multiple_results=False)
    mlir.register_lowering(primitive, plain)
    mlir.register_lowering(primitive, native.with_kernel(name, plain), platform="cpu")
    return primitive


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
