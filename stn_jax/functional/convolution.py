"""Convolution with stride 1 that is fast on the CPU, where XLA's own convolution is slow.

On the CPU, a C++ kernel computes it (see `stn_jax.native`), or, without a C++ compiler, matrix
products over patches. Both also use several threads inside a device loop such as `lax.fori_loop`,
where XLA's convolutions do not. Other platforms use XLA's convolution, except for the gradient with
respect to images of one channel on a TPU.

The convolution is a JAX primitive that is linear in each operand. Its transposes, which are the
gradients with respect to the input and to the kernel, are two more primitives of this kind, and the
transposes of these are again among the three. This is enough for forward and reverse mode, and for
derivatives of any order.
"""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad

from stn_jax.errors import UserError
from stn_jax.native.primitive import native_primitive
from stn_jax.native.signature import Signature

# Below this many values per patch row, one product over whole patches beats one per kernel row.
_MIN_ROW_LENGTH = 64


def convolution(
    inputs: jax.Array,
    kernel: jax.Array,
    padding: Sequence[tuple[int, int]] = ((0, 0), (0, 0)),
    *,
    precision: lax.PrecisionLike = None,
) -> jax.Array:
    """Computes the cross-correlation with stride 1.

    `outputs[b, i, j, d] = sum_{y,x,c} inputs[b, i + y - top, j + x - left, c] kernel[y, x, c, d]`.

    On a CPU, sums of half-precision numbers are accumulated in float32.

    Args:
        inputs: [B, H, W, C].
        kernel: [h, w, C, D], with the dtype of `inputs`.
        padding: ((top, bottom), (left, right)), the numbers of rows and columns of zeros to add
            around the inputs. Top and bottom must be less than h, left and right less than w.
        precision: as in `lax.conv_general_dilated`; it makes no difference on a CPU.

    Returns:
        [B, H + top + bottom - h + 1, W + left + right - w + 1, D].

    Raises:
        ValueError: the inputs or the kernel do not have 4 axes, the kernel is larger than the
            padded input, or the padding is negative or too large.

    >>> ones, box = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    >>> convolution(ones, box).squeeze().tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    if inputs.ndim != 4 or kernel.ndim != 4:
        raise ValueError(f"inputs and kernel must have 4 axes, got {inputs.shape}, {kernel.shape}")
    top, bottom, left, right = (operator.index(width) for pair in padding for width in pair)
    padding = (top, bottom), (left, right)
    size = inputs.shape[1] + top + bottom, inputs.shape[2] + left + right
    if size[0] < kernel.shape[0] or size[1] < kernel.shape[1]:
        raise UserError(
            f"a convolution with a kernel of {kernel.shape[:2]} does not fit an input of {size} "
            'pixels, padding included: use padding="SAME", a smaller kernel or a larger image'
        )
    if not all(0 <= p < k for pair, k in zip(padding, kernel.shape, strict=False) for p in pair):
        raise ValueError(f"a padding of {padding} must be less than the kernel, {kernel.shape[:2]}")
    return _convolution_p.bind(
        inputs, kernel, top=top, bottom=bottom, left=left, right=right, precision=precision
    )


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    *,
    precision: lax.PrecisionLike = None,
    **options: Any,
) -> jax.Array:
    """A replacement for `lax.conv_general_dilated` in Flax's Conv layers that is faster on the CPU.

    Pass it to a layer as `conv_general_dilated=`. It has the same arguments. It calls
    `lax.conv_general_dilated` for convolutions that `convolution` does not support.

    >>> from flax import linen as nn
    >>> layer = nn.Conv(8, (5, 5), conv_general_dilated=conv_general_dilated)
    """
    steps = (*window_strides, *(lhs_dilation or ()), *(rhs_dilation or ()))
    is_dense = all(step == 1 for step in steps) and all(x in (None, 1) for x in options.values())
    if is_dense and lhs.ndim == rhs.ndim == 4:
        pads = padding
        if isinstance(pads, str):
            pads = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, pads)
        is_covered = all(0 <= p < k for pair, k in zip(pads, rhs.shape, strict=False) for p in pair)
        layout = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
        if is_covered and layout == _layout(lhs, rhs):
            return convolution(lhs, rhs, pads, precision=precision)
    return lax.conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        dimension_numbers,
        precision=precision,
        **options,
    )


def _layout(inputs, kernel):
    return lax.conv_dimension_numbers(inputs.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))


_FORWARD, _TO_INPUTS, _TO_KERNEL = (
    Signature(axes, split="bcd", fold="bdc")
    for axes in ("bhwc,yxcd->bijd", "bijd,yxcd->bhwc", "bhwc,bijd->yxcd")
)


@_FORWARD.vectorize
def _convolution(inputs, kernel, *, top, bottom, left, right, precision):
    return lax.conv_general_dilated(
        inputs,
        kernel,
        (1, 1),
        ((top, bottom), (left, right)),
        dimension_numbers=_layout(inputs, kernel),
        precision=precision,
    )


def _input_gradient(cotangent, kernel, *, top, bottom, left, right, precision):
    """Computes the gradient of `_convolution` with respect to the inputs, [..., B, H, W, C]."""
    *batch, out_height, out_width, _ = cotangent.shape
    height, width, channels, _ = kernel.shape[-4:]
    size = out_height + height - 1 - top - bottom, out_width + width - 1 - left - right
    params = dict(top=top, bottom=bottom, left=left, right=right, precision=precision)
    inputs = jax.ShapeDtypeStruct((*batch, *size, channels), cotangent.dtype)
    # This also works for batches. If the gradient were mapped over a batch instead, XLA (JAX 0.12)
    # would compute wrong values for sharded operands.
    (gradient,) = jax.linear_transpose(lambda x: _convolution(x, kernel, **params), inputs)(
        cotangent
    )
    return gradient


def _input_gradient_on_tpu(cotangent, kernel, *, top, bottom, left, right, precision):
    """Computes `_input_gradient`, with one channel by a product with a banded matrix.

    As a convolution, it would use one of the 128 columns of the matrix unit: by the compiler's
    schedule for a TPU v5e, it takes 281 microseconds for 256 images of 21x21 pixels, 9x9 kernels
    and 64 features, and the product takes 35.
    """
    params = dict(top=top, bottom=bottom, left=left, right=right, precision=precision)
    height, width, channels, _ = kernel.shape[-4:]
    if channels > 1 or cotangent.ndim > 4:
        return _input_gradient(cotangent, kernel, **params)
    out_width = cotangent.shape[2]
    in_width = out_width + width - 1 - left - right
    shape = out_width, in_width, width
    j, x, w = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(3))
    is_column = (x + left - j == w).astype(kernel.dtype)
    band = jnp.einsum("jxw,ywd->jdyx", is_column, kernel[:, :, 0], precision="highest")
    rows = jnp.einsum("bijd,jdyx->biyx", cotangent, band, precision=precision)

    def placed(y):
        return lax.pad(
            rows[:, :, y],
            jnp.zeros((), rows.dtype),
            ((0, 0, 0), (y - top, height - 1 - y - bottom, 0), (0, 0, 0)),
        )

    return functools.reduce(jnp.add, map(placed, range(height)))[..., None]


def _kernel_gradient(inputs, cotangent, *, top, bottom, left, right, precision):
    """Computes the gradient of `_convolution` with respect to the kernel, [..., h, w, C, D]."""
    *batch, _, out_height, out_width, features = cotangent.shape
    in_height, in_width, channels = inputs.shape[-3:]
    size = in_height + top + bottom - out_height + 1, in_width + left + right - out_width + 1
    params = dict(top=top, bottom=bottom, left=left, right=right, precision=precision)
    kernel = jax.ShapeDtypeStruct((*batch, *size, channels, features), inputs.dtype)
    (gradient,) = jax.linear_transpose(lambda x: _convolution(inputs, x, **params), kernel)(
        cotangent
    )
    return gradient


def _convolution_by_products(inputs, kernel, **padding):
    height, width, _, features = kernel.shape
    patches, rows = _patches(inputs, height, width, **padding)
    kernel = kernel.reshape(rows, patches.shape[-1], features)
    out_height = patches.shape[0] - rows + 1
    outputs = sum(_matrix(patches[y : y + out_height]) @ kernel[y] for y in range(rows))
    return outputs.reshape(out_height, *patches.shape[1:3], features).transpose(1, 0, 2, 3)


def _input_gradient_by_products(cotangent, kernel, *, top, bottom, left, right):
    height, width = kernel.shape[:2]
    return _convolution_by_products(
        cotangent,
        kernel[::-1, ::-1].swapaxes(2, 3),
        top=height - 1 - top,
        bottom=height - 1 - bottom,
        left=width - 1 - left,
        right=width - 1 - right,
    )


def _kernel_gradient_by_products(inputs, cotangent, *, top, bottom, left, right):
    padding = {"top": top, "bottom": bottom, "left": left, "right": right}
    _, out_height, out_width, features = cotangent.shape
    height = inputs.shape[1] + top + bottom - out_height + 1
    width = inputs.shape[2] + left + right - out_width + 1
    patches, rows = _patches(inputs, height, width, **padding)
    cotangent = _matrix(cotangent.transpose(1, 0, 2, 3))
    gradient = [_matrix(patches[y : y + out_height]).T @ cotangent for y in range(rows)]
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


def _matrix(array):
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _primitive(name, fun, signature, *, by_products, on_tpu=None):
    """Returns a primitive that computes `fun`, and `by_products` on a CPU without the kernel."""

    def on_cpu(first, second, *, precision, **padding):
        bind = functools.partial(primitive.bind, precision=precision, **padding)
        if first.ndim > 4:
            return lax.map(lambda pair: bind(*pair), (first, second))
        if jnp.issubdtype(first.dtype, jnp.floating) and first.dtype.itemsize < 4:
            # Partial sums in half precision would have a larger error.
            output = bind(first.astype(jnp.float32), second.astype(jnp.float32))
            return output.astype(first.dtype)
        return by_products(first, second, **padding)

    primitive = native_primitive(
        name,
        fun,
        signature,
        params=("top", "bottom", "left", "right", "precision"),
        on_cpu=on_cpu,
        on_others={"tpu": on_tpu} if on_tpu else {},
        kernel_takes_batches=False,
    )
    return primitive


_convolution_p = _primitive(
    "convolution", _convolution, _FORWARD, by_products=_convolution_by_products
)
_input_gradient_p = _primitive(
    "convolution_input_gradient",
    _input_gradient,
    _TO_INPUTS,
    by_products=_input_gradient_by_products,
    on_tpu=_input_gradient_on_tpu,
)
_kernel_gradient_p = _primitive(
    "convolution_kernel_gradient",
    _kernel_gradient,
    _TO_KERNEL,
    by_products=_kernel_gradient_by_products,
)

ad.defbilinear(
    _convolution_p,
    lambda cotangent, _, kernel, **params: _input_gradient_p.bind(cotangent, kernel, **params),
    lambda cotangent, inputs, _, **params: _kernel_gradient_p.bind(inputs, cotangent, **params),
)
ad.defbilinear(
    _input_gradient_p,
    lambda inputs, _, kernel, **params: _convolution_p.bind(inputs, kernel, **params),
    lambda inputs, cotangent, _, **params: _kernel_gradient_p.bind(inputs, cotangent, **params),
)
ad.defbilinear(
    _kernel_gradient_p,
    lambda kernel, _, cotangent, **params: _input_gradient_p.bind(cotangent, kernel, **params),
    lambda kernel, inputs, _, **params: _convolution_p.bind(inputs, kernel, **params),
)
