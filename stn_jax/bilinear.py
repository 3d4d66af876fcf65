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
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from stn_jax import native
from stn_jax.coordinates import PADDINGS, in_pixels, mirror, tame


def interpolate(image: jax.Array, grid: jax.Array, padding: str, align_corners: bool) -> jax.Array:
    """Mixes the 2x2 pixels around each point.

    Args:
        image: [H, W, C], float32 or float64.
        grid: [H', W', 2], the (x, y) of each point, normalised, of the dtype of `image`.
        padding: what lies outside, one of `PADDINGS`.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [H', W', C].
    """
    height, width, _ = image.shape
    options = {"padding": PADDINGS.index(padding), "align_corners": int(align_corners)}
    return _read_p.bind(image, grid, height=height, width=width, **options)


def _read(image, grid, **params):
    """Image [H, W, C] -> what the points read [H', W', C]."""
    (u, v), corner = _locate(grid, **params)
    taps = _taps(_framed(image, **params), corner, **params)
    return sum(weight * tap for weight, tap in zip(_weights(u, v), taps, strict=True))


def _read_transpose(values, grid, **params):
    (u, v), corner = _locate(grid, **params)
    pixels = _framed(_zeros(values, **params), **params)
    for step, weight in zip(_steps(**params), _weights(u, v), strict=True):
        pixels = pixels.at[corner + step].add(weight * values, mode="promise_in_bounds")
    return _framed_transpose(pixels, **params)


def _read_transpose_on_cpu(values, grid, **params):
    *batch, rows, columns, channels = values.shape
    images = math.prod(batch)
    (u, v), corner = _locate(grid.reshape(-1, 2), **params)
    zeros = _framed(_zeros(values, **params), **params)
    starts = jnp.arange(images, dtype=corner.dtype) * len(zeros)
    corner += jnp.repeat(starts, rows * columns)
    values = values.reshape(-1, channels)
    is_right = jnp.arange(2)[:, None] == 1
    up, *_, down, _ = _steps(**params)

    def add(point, pixels):
        pair = jnp.where(is_right, u[point], 1 - u[point]) * values[point]
        for step, weight in ((up, 1 - v[point]), (down, v[point])):
            start = corner[point] + step
            total = lax.dynamic_slice_in_dim(pixels, start, 2) + weight * pair
            pixels = lax.dynamic_update_slice_in_dim(pixels, total, start, axis=0)
        return pixels

    pixels = jnp.tile(zeros, (images, 1))
    if len(corner):
        pixels = lax.fori_loop(0, len(corner), add, pixels)
    pixels = pixels.reshape(images, *zeros.shape)
    image = jax.vmap(lambda framed: _framed_transpose(framed, **params))(pixels)
    return image.reshape(*batch, *image.shape[1:])


def _shift(grid_dot, image, grid, **params):
    """How the points move [H', W', 2] -> how what they read changes [H', W', C]."""
    locate = functools.partial(_locate, **params)
    uv, (u_dot, v_dot), corner = jax.jvp(locate, (grid,), (grid_dot,), has_aux=True)
    slopes = _slopes(_framed(image, **params), corner, *uv, **params)
    return (slopes * lax.complex(u_dot, v_dot)[..., None]).real


def _shift_transpose(values, image, grid, **params):
    uv, back, corner = jax.vjp(functools.partial(_locate, **params), grid, has_aux=True)
    # Else XLA would share the gathers with the forward pass, and so fuse them with neither.
    pixels, corner = lax.optimization_barrier((_framed(image, **params), corner))
    shift = jnp.sum(_slopes(pixels, corner, *uv, **params) * values, axis=-1)
    (grid_bar,) = back((shift.real, -shift.imag))
    return grid_bar


def _slopes(pixels, corner, u, v, **params):
    """d/du - i d/dv of what the points read, [H', W', C]."""
    u, v = u[..., None], v[..., None]
    by_u, by_v = (v - 1, 1 - v, -v, v), (u - 1, -u, 1 - u, u)
    weights = (lax.complex(x, -y) for x, y in zip(by_u, by_v, strict=True))
    taps = _taps(pixels, corner, **params)
    # Each tap occurs once in this sum, or XLA would not fuse its gather.
    return sum(weight * tap for weight, tap in zip(weights, taps, strict=True))


def _taps(pixels, corner, **params):
    return (pixels.at[corner + step].get(mode="promise_in_bounds") for step in _steps(**params))


def _weights(u, v):
    u, v = u[..., None], v[..., None]
    return (1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u


def _framed(image, *, padding, **_):
    """[H, W, C] -> the rows one after the other, in a frame of two pixels that holds the padding.

    No tap lies outside of the frame.
    """
    mode = "constant" if PADDINGS[padding] == "zeros" else "edge"
    return jnp.pad(image, ((2, 2), (2, 2), (0, 0)), mode).reshape(-1, image.shape[-1])


def _framed_transpose(pixels, **params):
    image = _zeros(pixels, **params)
    (image,) = jax.linear_transpose(functools.partial(_framed, **params), image)(pixels)
    return image


def _zeros(values, *, height, width, **_):
    return jnp.zeros_like(values, shape=(height, width, values.shape[-1]))


def _steps(*, width, **_):
    """From the upper left of the four pixels in the frame to all four."""
    return 0, 1, width + 4, width + 5


def _locate(grid, *, height, width, padding, align_corners):
    """How far the points are past the upper left of their four pixels, and which one that is."""
    column, u = _corner(grid[..., 0], width, padding, align_corners)
    row, v = _corner(grid[..., 1], height, padding, align_corners)
    return (u, v), row * (width + 4) + column


def _corner(coordinate, size, padding, align_corners):
    """Along one axis of the frame: the first of two pixels, how far the point is past it."""
    position = tame(in_pixels(coordinate, size, align_corners), size, PADDINGS[padding])
    # floor and floor + 1, never ceil: at a whole pixel both taps of the slope must remain.
    first = jnp.floor(position)
    t = position - first
    if PADDINGS[padding] == "reflection":
        # The middle of the two taps is mirrored: on a kink of the mirror they are the same pixel.
        start, middle, end = (mirror(first + step, size, align_corners) for step in (0, 0.5, 1))
        first, t = jnp.floor(middle), jnp.where(end < start, 1 - t, t)
    return jnp.clip(first, -2, size).astype(jnp.int32) + 2, t


_PARAMS = ("height", "width", "padding", "align_corners")


def _linear_primitive(
    name: str,
    fun: Callable,
    signature: str,
    *,
    on_cpu: Callable | None = None,
    by_others: Callable | None = None,
) -> Primitive:
    """A primitive that is linear in its first operand; all its operands may be batches.

    It computes `fun`, which takes operands of the shapes in `signature` (see `jnp.vectorize`), and
    has its derivative; `by_others(primals, tangents)` is the part of it by the operands after the
    first, unless JAX is to derive it. On the CPU a native kernel computes the same where there is
    one, else `on_cpu`, batches included.
    """
    primitive = Primitive(name)

    def batched(*operands, **params):
        return jnp.vectorize(functools.partial(fun, **params), signature=signature)(*operands)

    def abstract(*operands, **params):
        (output,) = jax.make_jaxpr(functools.partial(batched, **params))(*operands).out_avals
        return output

    def jvp(primals, tangents, **params):
        terms = []
        if not isinstance(tangents[0], ad.Zero):
            terms.append(primitive.bind(tangents[0], *primals[1:], **params))
        if not all(isinstance(tangent, ad.Zero) for tangent in tangents[1:]):
            terms.append((by_others or plain_by_others)(primals, tangents, **params))
        return primitive.bind(*primals, **params), sum(terms[1:], terms[0])

    def plain_by_others(primals, tangents, **params):
        moving = [i for i, dot in enumerate(tangents) if i > 0 and not isinstance(dot, ad.Zero)]

        def of_moving(*moved):
            operands = list(primals)
            for i, operand in zip(moving, moved, strict=True):
                operands[i] = operand
            return batched(*operands, **params)

        return jax.jvp(of_moving, [primals[i] for i in moving], [tangents[i] for i in moving])[1]

    def batch(operands, axes, **params):
        pairs = list(zip(operands, axes, strict=True))
        length = next(x.shape[axis] for x, axis in pairs if axis is not None)
        stacked = (
            jnp.broadcast_to(x, (length, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
            for x, axis in pairs
        )
        return primitive.bind(*stacked, **params), 0

    primitive.def_impl(jax.jit(primitive.bind, static_argnames=_PARAMS))
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = batch
    everywhere = mlir.lower_fun(batched, multiple_results=False)
    mlir.register_lowering(primitive, everywhere)
    unsplit = on_cpu and mlir.lower_fun(on_cpu, multiple_results=False)
    on_cpu_rule = native.with_kernel(name, everywhere, unsplit)
    mlir.register_lowering(primitive, on_cpu_rule, platform="cpu")
    return primitive


def _are_transposes(first: Primitive, second: Primitive) -> None:
    def rule(transpose, cotangent, _, *others, **params):
        return transpose.bind(cotangent, *others, **params), *(None for _ in others)

    ad.primitive_transposes[first] = functools.partial(rule, second)
    ad.primitive_transposes[second] = functools.partial(rule, first)


def _by_grid(primals, tangents, **params):
    return _shift_p.bind(tangents[1], *primals, **params)


_read_p = _linear_primitive("bilinear_read", _read, "(h,w,c),(i,j,d)->(i,j,c)", by_others=_by_grid)
_read_transpose_p = _linear_primitive(
    "bilinear_read_transpose",
    _read_transpose,
    "(i,j,c),(i,j,d)->(h,w,c)",
    on_cpu=_read_transpose_on_cpu,
)
_are_transposes(_read_p, _read_transpose_p)

_shift_p = _linear_primitive("bilinear_shift", _shift, "(i,j,d),(h,w,c),(i,j,d)->(i,j,c)")
_shift_transpose_p = _linear_primitive(
    "bilinear_shift_transpose", _shift_transpose, "(i,j,c),(h,w,c),(i,j,d)->(i,j,d)"
)
_are_transposes(_shift_p, _shift_transpose_p)
