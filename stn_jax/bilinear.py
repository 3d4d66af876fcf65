"""Bilinear interpolation of an image at many points, with derivatives that are fast on the CPU.

Left to itself, JAX differentiates interpolation into code that XLA runs slowly on the CPU. The
gradient to the image is a scatter, which costs about two nanoseconds for every number that it adds:
a plain loop over the points takes its place. The slopes along x and along y are two results, where
XLA fuses gathers only into loops with one: a complex number holds both.

The derivatives are linear maps whose transposes are written by hand. They are JAX primitives, since
`jax.custom_vjp` would cost us forward mode, and with it second derivatives.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from stn_jax import native


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def interpolate(
    pixels: jax.Array, corner: jax.Array, u: jax.Array, v: jax.Array, width: int
) -> jax.Array:
    """Mixes the 2x2 pixels around each point.

    Args:
        pixels: [P, C], the rows of an image one after the other, float32 or float64.
        corner: [N], int32: which of `pixels` is the upper left of the four. All four must exist.
        u: [N], how far to the right of that pixel the point lies, 0 to 1, of the dtype of `pixels`.
        v: [N], how far below it.
        width: the length of a row.

    Returns:
        [N, C].
    """
    return _read(pixels, corner, u, v, width=width)


@functools.partial(interpolate.defjvp, symbolic_zeros=True)
def _interpolate_jvp(width, primals, tangents):
    pixels, *points = primals
    pixels_dot, _, u_dot, v_dot = tangents
    params = {"width": width, "size": len(pixels)}
    terms = []
    if not isinstance(pixels_dot, SymbolicZero):
        terms.append(_read_p.bind(pixels_dot, *points, **params))
    if not (isinstance(u_dot, SymbolicZero) and isinstance(v_dot, SymbolicZero)):
        shift = lax.complex(_instantiated(u_dot), _instantiated(v_dot))
        terms.append(_shift_p.bind(shift, pixels, *points, **params))
    return interpolate(*primals, width), sum(terms[1:], terms[0])


def _instantiated(tangent):
    return jnp.zeros_like(tangent) if isinstance(tangent, SymbolicZero) else tangent


def _read(pixels, corner, u, v, *, width, **_):
    """Pixels [P, C] -> what the points read [N, C]."""
    taps = _taps(pixels, corner, width)
    return sum(weight * tap for weight, tap in zip(_weights(u, v), taps, strict=True))


def _read_transpose(values, corner, u, v, *, width, size):
    pixels = jnp.zeros_like(values, shape=(size, values.shape[-1]))
    for step, weight in zip(_steps(width), _weights(u, v), strict=True):
        pixels = pixels.at[corner + step].add(weight * values, mode="promise_in_bounds")
    return pixels


def _read_transpose_on_cpu(values, corner, u, v, *, width, size):
    *batch, points, channels = values.shape
    images = math.prod(batch)
    starts = size * jnp.arange(images, dtype=corner.dtype)
    corner = (corner.reshape(images, points) + starts[:, None]).ravel()
    values, u, v = values.reshape(images * points, channels), u.ravel(), v.ravel()
    is_right = jnp.arange(2)[:, None] == 1

    def add(point, pixels):
        pair = jnp.where(is_right, u[point], 1 - u[point]) * values[point]
        for step, weight in ((0, 1 - v[point]), (width, v[point])):
            start = corner[point] + step
            total = lax.dynamic_slice_in_dim(pixels, start, 2) + weight * pair
            pixels = lax.dynamic_update_slice_in_dim(pixels, total, start, axis=0)
        return pixels

    pixels = jnp.zeros_like(values, shape=(images * size, channels))
    if len(corner):
        pixels = lax.fori_loop(0, len(corner), add, pixels)
    return pixels.reshape(*batch, size, channels)


def _shift(shift, pixels, corner, u, v, *, width, **_):
    """How the points move, u_dot + i v_dot [N] -> how what they read changes [N, C]."""
    return (_slopes(pixels, corner, u, v, width) * shift[:, None]).real


def _shift_transpose(values, pixels, corner, u, v, *, width, **_):
    # Else XLA would share the gathers with the forward pass, and so fuse them with neither.
    pixels, corner = lax.optimization_barrier((pixels, corner))
    return jnp.sum(_slopes(pixels, corner, u, v, width) * values, axis=-1)


def _slopes(pixels, corner, u, v, width):
    """d/du - i d/dv of what the points read, [N, C]."""
    u, v = u[:, None], v[:, None]
    by_u, by_v = (v - 1, 1 - v, -v, v), (u - 1, -u, 1 - u, u)
    weights = (lax.complex(x, -y) for x, y in zip(by_u, by_v, strict=True))
    taps = _taps(pixels, corner, width)
    # Each tap occurs once in this sum, or XLA would not fuse its gather.
    return sum(weight * tap for weight, tap in zip(weights, taps, strict=True))


def _taps(pixels, corner, width):
    return (pixels.at[corner + step].get(mode="promise_in_bounds") for step in _steps(width))


def _steps(width):
    """From the upper left pixel to all four."""
    return 0, 1, width, width + 1


def _weights(u, v):
    u, v = u[:, None], v[:, None]
    return (1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u


def _linear_primitive(
    name: str, fun: Callable, signature: str, on_cpu: Callable | None = None
) -> Primitive:
    """A primitive that is linear in its first operand; all its operands may be batches.

    It computes `fun`, which takes operands of the shapes in `signature` (see `jnp.vectorize`), and
    has its derivative. On the CPU a native kernel computes the same where there is one, else
    `on_cpu`, batches included.
    """
    primitive = Primitive(name)

    def batched(*operands, **params):
        return jnp.vectorize(functools.partial(fun, **params), signature=signature)(*operands)

    def abstract(*operands, **params):
        (output,) = jax.make_jaxpr(functools.partial(batched, **params))(*operands).out_avals
        return output

    def jvp(primals, tangents, **params):
        moving = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]

        def of_moving(*moved):
            operands = list(primals)
            for i, operand in zip(moving, moved, strict=True):
                operands[i] = operand
            return batched(*operands, **params)

        _, tangent = jax.jvp(of_moving, [primals[i] for i in moving], [tangents[i] for i in moving])
        return primitive.bind(*primals, **params), tangent

    def batch(operands, axes, **params):
        pairs = list(zip(operands, axes, strict=True))
        length = next(x.shape[axis] for x, axis in pairs if axis is not None)
        stacked = (
            jnp.broadcast_to(x, (length, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
            for x, axis in pairs
        )
        return primitive.bind(*stacked, **params), 0

    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("width", "size")))
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = batch
    everywhere = mlir.lower_fun(batched, multiple_results=False)
    mlir.register_lowering(primitive, everywhere)
    here = native.with_kernel(name, mlir.lower_fun(on_cpu or batched, multiple_results=False))

    def lower_on_cpu(ctx, *operands, **params):
        # What is split over devices by its type (explicit sharding) cannot be seen as one batch.
        is_split = any(any(aval.sharding.spec) for aval in ctx.avals_in)
        return (everywhere if is_split else here)(ctx, *operands, **params)

    mlir.register_lowering(primitive, lower_on_cpu, platform="cpu")
    return primitive


def _are_transposes(first: Primitive, second: Primitive) -> None:
    def rule(transpose, cotangent, _, *others, **params):
        return transpose.bind(cotangent, *others, **params), *(None for _ in others)

    ad.primitive_transposes[first] = functools.partial(rule, second)
    ad.primitive_transposes[second] = functools.partial(rule, first)


_read_p = _linear_primitive("bilinear_read", _read, "(p,c),(n),(n),(n)->(n,c)")
_read_transpose_p = _linear_primitive(
    "bilinear_read_transpose", _read_transpose, "(n,c),(n),(n),(n)->(p,c)", _read_transpose_on_cpu
)
_are_transposes(_read_p, _read_transpose_p)

_shift_p = _linear_primitive("bilinear_shift", _shift, "(n),(p,c),(n),(n),(n)->(n,c)")
_shift_transpose_p = _linear_primitive(
    "bilinear_shift_transpose", _shift_transpose, "(n,c),(p,c),(n),(n),(n)->(n)"
)
_are_transposes(_shift_p, _shift_transpose_p)
