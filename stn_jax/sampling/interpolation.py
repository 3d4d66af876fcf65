"""Interpolation of an image at many points, with derivatives of any order.

For each kernel there are four primitives. `read` is the interpolation, and `read_transpose` is its
transpose as a linear map of the image. `shift` computes how the values change when the points move,
and `shift_transpose` is its transpose as a linear map of the movement. `jax.custom_vjp` would be
simpler, but it rules out forward mode, and with it second derivatives in forward-over-reverse mode.

On the CPU, the C++ kernels of `stn_jax.native` compute the primitives in float32. Elsewhere, a
primitive is the `read` of one of the paths in `paths.py`, or what JAX derives from it. The path is
chosen when a program is lowered for a platform, not when it is traced.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad

from stn_jax.native.primitive import NativePrimitive, native_primitive
from stn_jax.native.signature import Signature
from stn_jax.sampling import operations, paths
from stn_jax.sampling.coordinates import PADDINGS
from stn_jax.sampling.windows import Axis, Kernel

ACCELERATORS = ("tpu", "cuda", "rocm")

_forced_path = jax.make_user_context(None)


def sampling_path(path: str) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which `sample` computes by one path on all platforms, for debugging.

    Args:
        path: "gathers", "stacked", "lines", "packed" or "products"; see `stn_jax.sampling`.
            "separable" gives wrong values unless the grid is separable.

    Raises:
        ValueError: there is no such path.

    >>> with sampling_path("products"):
    ...     values = stn_jax.sample(jnp.ones((4, 4, 1)), jnp.zeros((2, 2, 2)))
    """
    if path not in paths.PATHS:
        raise ValueError(f"path must be one of {tuple(paths.PATHS)}, got {path!r}")
    return _forced_path(path)


def interpolate(
    image: jax.Array,
    grid: jax.Array,
    kernel: Kernel,
    *,
    padding: str,
    align_corners: bool,
    in_pixels: bool,
    is_separable: bool,
) -> jax.Array:
    """Reads an image at the points of a grid, see `stn_jax.sample`.

    Args:
        image: [*S, C], of a floating-point dtype.
        grid: [..., n], float32 or float64; n is the number of axes in S.
        kernel: the sampling kernel.
        padding: what is read outside the image.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        in_pixels: whether the grid is in pixels, not in normalised units.
        is_separable: whether x depends only on the place along the last axis of the grid's shape,
            y only on that along the axis before it, and so on. The grid then has n such axes.

    Returns:
        [..., C], in the image's dtype.
    """
    if kernel.name == "nearest":  # its slope is 0, so the points need no derivative
        grid = lax.stop_gradient(grid)
    *sizes, channels = image.shape
    read = _primitives(kernel, len(sizes), _forced_path.value, is_separable).read
    points = grid if is_separable else _flat(grid)
    params = _params(sizes, padding, align_corners, in_pixels)
    return read.bind(image, points, **params).reshape(*grid.shape[:-1], channels)


def add_at(
    values: jax.Array,
    grid: jax.Array,
    sizes: Sequence[int],
    kernel: Kernel,
    *,
    padding: str,
    align_corners: bool,
    in_pixels: bool,
) -> jax.Array:
    """Computes the transpose of `interpolate`, an image [*sizes, C], see `stn_jax.sampling.splat`.

    Arguments as in `interpolate`.
    """
    if kernel.name == "nearest":
        grid = lax.stop_gradient(grid)
    add = _primitives(kernel, len(sizes), _forced_path.value, False).read_transpose
    params = _params(sizes, padding, align_corners, in_pixels)
    return add.bind(_flat(values), _flat(grid), **params)


def _flat(array: jax.Array) -> jax.Array:
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _params(
    sizes: Sequence[int], padding: str, align_corners: bool, in_pixels: bool
) -> dict[str, Any]:
    return {
        "sizes": tuple(sizes),
        "padding": PADDINGS.index(padding),
        "align_corners": int(align_corners),
        "in_pixels": int(in_pixels),
    }


class _Primitives(NamedTuple):
    read: NativePrimitive
    read_transpose: NativePrimitive
    shift: NativePrimitive
    shift_transpose: NativePrimitive


@functools.cache
def _primitives(kernel: Kernel, ndim: int, path: str | None, is_separable: bool) -> _Primitives:
    """Returns the primitives of a kernel, which always compute by `path` unless it is None."""
    make = functools.partial(
        _primitive, kernel=kernel, ndim=ndim, path=path, is_separable=is_separable
    )

    def move_points(primals, tangents, **params):
        return shift.bind(tangents[1], *primals, **params)

    image, points = "zyx"[-ndim:], "ijk"[:ndim] if is_separable else "p"
    read = make(operations.read, f"{image}c,{points}d->{points}c", jvp_of_others=move_points)
    read_transpose = make(
        operations.read_transpose,
        f"{points}c,{points}d->{image}c",
        on_cpu=None if is_separable else operations.read_transpose_on_cpu,
    )
    shift = make(operations.shift, f"{points}d,{image}c,{points}d->{points}c")
    shift_transpose = make(operations.shift_transpose, f"{points}c,{image}c,{points}d->{points}d")
    _are_transposes(read, read_transpose)
    _are_transposes(shift, shift_transpose)
    return _Primitives(read, read_transpose, shift, shift_transpose)


def _primitive(
    operation: Callable[..., jax.Array],
    letters: str,
    *,
    kernel: Kernel,
    ndim: int,
    path: str | None,
    is_separable: bool,
    on_cpu: Callable[..., jax.Array] | None = None,
    jvp_of_others: Callable[..., jax.Array] | None = None,
) -> NativePrimitive:
    """Returns a primitive that is linear in its first operand.

    Args:
        operation: (path, *operands, axes, kernel) -> the result, without batch axes.
        letters: the axes of the operands and of the result.
        kernel: the sampling kernel.
        ndim: the number of axes of an image, without that of the channels.
        path: the name of the path to compute by, or None to choose one by platform.
        is_separable: whether the grid is separable.
        on_cpu: an alternative to `operation` with "gathers" that is faster on a CPU, with batches.
        jvp_of_others: (primals, tangents) -> the part of the derivative that comes from all
            operands except the first. By default, JAX derives it from `operation`.
    """
    signature = Signature(letters, split="ijkpc", fold="p")
    pixels = next(i for i, letters in enumerate(signature.operands) if letters.endswith("c"))

    def compute(platform, *operands, sizes, **params):
        shape = *sizes, operands[pixels].shape[-1]
        chosen = path or paths.choose_path(
            platform, operation.__name__, shape, kernel, is_separable
        )
        return operation(paths.PATHS[chosen], *operands, _axes(sizes, **params), kernel)

    def on(platform):
        return signature.vectorize(functools.partial(compute, platform))

    def without_kernel(*operands, **params):
        dtype = operands[pixels].dtype
        if dtype.itemsize < 4:
            # There may be a kernel for float32.
            wide = (x.astype(jnp.float32) if x.dtype == dtype else x for x in operands)
            output = primitive.bind(*wide, **params)
            return output if letters.endswith("d") else output.astype(dtype)
        if on_cpu and not path:
            return on_cpu(*operands, _axes(**params), kernel)
        return plain(*operands, **params)

    plain = on("cpu")
    primitive = native_primitive(
        f"{kernel.name}_{ndim}d_{operation.__name__}" + (f"_by_{path}" if path else ""),
        plain,
        signature,
        params=("sizes", "padding", "align_corners", "in_pixels"),
        on_cpu=without_kernel,
        on_others={platform: on(platform) for platform in ACCELERATORS},
        kernel=None if path or is_separable else f"sample_{operation.__name__}",
        kernel_options={
            "taps": kernel.taps,
            "is_cubic": int(kernel.name == "cubic"),
            "cubic_a": kernel.cubic_a,
        },
    )

    def jvp(primals, tangents, **params):
        terms = []
        if not isinstance(tangents[0], ad.Zero):
            terms.append(primitive.bind(tangents[0], *primals[1:], **params))
        if not all(isinstance(tangent, ad.Zero) for tangent in tangents[1:]):
            terms.append((jvp_of_others or derived_jvp)(primals, tangents, **params))
        return primitive.bind(*primals, **params), sum(terms[1:], terms[0])

    def derived_jvp(primals, tangents, **params):
        moving = [i for i, dot in enumerate(tangents) if i > 0 and not isinstance(dot, ad.Zero)]

        def derive(fun):
            def of_moving(*moved):
                operands = list(primals)
                for i, operand in zip(moving, moved, strict=True):
                    operands[i] = operand
                return fun(*operands, **params)

            return lambda points, dots: jax.jvp(of_moving, points, dots)[1]

        return lax.platform_dependent(
            [primals[i] for i in moving],
            [tangents[i] for i in moving],
            default=derive(primitive.fun),
            **{platform: derive(fun) for platform, fun in primitive.on_others.items()},
        )

    ad.primitive_jvps[primitive] = jvp
    return primitive


def _axes(sizes, padding, align_corners, in_pixels):
    options = PADDINGS[padding], bool(align_corners), bool(in_pixels)
    return tuple(Axis(size, *options) for size in sizes)


def _are_transposes(first: NativePrimitive, second: NativePrimitive) -> None:
    """Registers two primitives as each other's transpose with respect to the first operand."""

    def rule(transpose, cotangent, _, *others, **params):
        return transpose.bind(cotangent, *others, **params), *(None for _ in others)

    ad.primitive_transposes[first] = functools.partial(rule, second)
    ad.primitive_transposes[second] = functools.partial(rule, first)
