"""Interpolation of an image at many points, with derivatives of any order.

For each method there are four primitives. `read` is the interpolation, and `read_transpose` is its
transpose as a linear map of the image. `shift` computes how the values change when the points move,
and `shift_transpose` is its transpose as a linear map of the movement. `jax.custom_vjp` would be
simpler, but it rules out forward mode, and with it second derivatives in forward-over-reverse mode.

On the CPU, the C++ kernels of `stn_jax.native` compute the primitives of the bilinear method.
Elsewhere, a primitive is the `read` of one of the paths in `paths.py`, or what JAX derives from it.
The path is chosen when a program is lowered for a platform, not when it is traced.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad

from stn_jax.native.primitive import NativePrimitive, native_primitive
from stn_jax.native.signature import Signature
from stn_jax.sampling import operations, paths
from stn_jax.sampling.coordinates import PADDINGS

ACCELERATORS = ("tpu", "cuda", "rocm")

_forced_path = jax.make_user_context(None)


def sampling_path(path: str) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which `sample` computes by one path on all platforms, for debugging.

    Args:
        path: "gathers", "stacked", "packed" or "products"; see `stn_jax.sampling`. "separable"
            gives wrong values unless the grid is separable.

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
    *,
    method: str,
    padding: str,
    align_corners: bool,
    is_separable: bool,
) -> jax.Array:
    """Reads an image at the points of a grid, see `stn_jax.sample`.

    Args:
        image: [H, W, C], of a floating-point dtype.
        grid: [H', W', 2], float32 or float64.
        method: the sampling kernel.
        padding: what is read outside the image.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.
        is_separable: whether x depends only on the column of a point, and y only on its row.

    Returns:
        [H', W', C], in the image's dtype.
    """
    if method == "nearest":  # its slope is 0, so the points need no derivative
        grid = lax.stop_gradient(grid)
    height, width, _ = image.shape
    read = _primitives(method, _forced_path.value, is_separable).read
    options = {"padding": PADDINGS.index(padding), "align_corners": int(align_corners)}
    return read.bind(image, grid, height=height, width=width, **options)


class _Primitives(NamedTuple):
    read: NativePrimitive
    read_transpose: NativePrimitive
    shift: NativePrimitive
    shift_transpose: NativePrimitive


@functools.cache
def _primitives(method: str, path: str | None, is_separable: bool) -> _Primitives:
    """Returns the primitives of a method, which always compute by `path` unless it is None."""
    make = functools.partial(_primitive, method=method, path=path, is_separable=is_separable)

    def move_points(primals, tangents, **params):
        return shift.bind(tangents[1], *primals, **params)

    read = make(operations.read, "hwc,ijd->ijc", jvp_of_others=move_points)
    read_transpose = make(
        operations.read_transpose, "ijc,ijd->hwc", on_cpu=operations.read_transpose_on_cpu
    )
    shift = make(operations.shift, "ijd,hwc,ijd->ijc")
    shift_transpose = make(operations.shift_transpose, "ijc,hwc,ijd->ijd")
    _are_transposes(read, read_transpose)
    _are_transposes(shift, shift_transpose)
    return _Primitives(read, read_transpose, shift, shift_transpose)


def _primitive(
    operation: Callable[..., jax.Array],
    axes: str,
    *,
    method: str,
    path: str | None,
    is_separable: bool,
    on_cpu: Callable[..., jax.Array] | None = None,
    jvp_of_others: Callable[..., jax.Array] | None = None,
) -> NativePrimitive:
    """Returns a primitive that is linear in its first operand.

    Args:
        operation: (path, *operands, **params) -> the result, without batch axes.
        axes: the axes of the operands and of the result.
        method: the sampling kernel.
        path: the name of the path to compute by, or None to choose one by platform.
        is_separable: whether the grid is separable.
        on_cpu: an alternative to `operation` with "gathers" that is faster on a CPU, with batches.
        jvp_of_others: (primals, tangents) -> the part of the derivative that comes from all
            operands except the first. By default, JAX derives it from `operation`.
    """
    signature = Signature(axes, split="ijc", fold="i")
    pixels = next(i for i, letters in enumerate(signature.operands) if letters.endswith("c"))

    def compute(platform, *operands, height, width, **params):
        shape = height, width, operands[pixels].shape[-1]
        chosen = path or paths.choose_path(
            platform, operation.__name__, shape, method, is_separable
        )
        options = {"method": method, "height": height, "width": width, **params}
        return operation(paths.PATHS[chosen], *operands, **options)

    def on(platform):
        return signature.vectorize(functools.partial(compute, platform))

    def without_kernel(*operands, **params):
        dtype = operands[pixels].dtype
        if dtype.itemsize < 4:
            # There may be a kernel for float32.
            wide = (x.astype(jnp.float32) if x.dtype == dtype else x for x in operands)
            output = primitive.bind(*wide, **params)
            return output if axes.endswith("d") else output.astype(dtype)
        if on_cpu and not path:
            return on_cpu(*operands, method=method, **params)
        return plain(*operands, **params)

    plain = on("cpu")
    primitive = native_primitive(
        f"{method}_{operation.__name__}" + (f"_by_{path}" if path else ""),
        plain,
        signature,
        params=("height", "width", "padding", "align_corners"),
        on_cpu=without_kernel,
        on_others={platform: on(platform) for platform in ACCELERATORS},
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


def _are_transposes(first: NativePrimitive, second: NativePrimitive) -> None:
    """Registers two primitives as each other's transpose with respect to the first operand."""

    def rule(transpose, cotangent, _, *others, **params):
        return transpose.bind(cotangent, *others, **params), *(None for _ in others)

    ad.primitive_transposes[first] = functools.partial(rule, second)
    ad.primitive_transposes[second] = functools.partial(rule, first)
