"""Bilinear interpolation of an image at many points, with derivatives that are fast on the CPU.

If JAX differentiates the interpolation automatically, XLA runs the result slowly on the CPU. In
particular, the gradient with respect to the image is a scatter, which takes about two nanoseconds
for every number that it adds.

There are four primitives. `read` is the interpolation, and `read_transpose` is its transpose as a
linear map of the image. `shift` computes how the values change when the points move, and
`shift_transpose` is its transpose as a linear map of the movement. The transposes are written by
hand. `jax.custom_vjp` would be simpler, but it rules out forward mode, and with it second
derivatives in forward-over-reverse mode.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad

from stn_jax.native.primitive import native_primitive
from stn_jax.native.signature import Signature
from stn_jax.sampling.coordinates import PADDINGS, clamp, reflect, to_pixels


def bilinear(image: jax.Array, grid: jax.Array, padding: str, align_corners: bool) -> jax.Array:
    """Interpolates between the 2x2 pixels around each point.

    Args:
        image: [H, W, C], float32 or float64.
        grid: [H', W', 2], the (x, y) of each point, normalised, in the dtype of `image`.
        padding: what is read outside the image, one of `PADDINGS`.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [H', W', C].
    """
    height, width, _ = image.shape
    options = {"padding": PADDINGS.index(padding), "align_corners": int(align_corners)}
    return _read_p.bind(image, grid, height=height, width=width, **options)


def _read(image, grid, **params):
    """Returns the values [H', W', C] of an image [H, W, C] at the points of the grid."""
    (u, v), corner = _locate(grid, **params)
    taps = _taps(_framed(image, **params), corner, **params)
    return sum(weight * tap for weight, tap in zip(_weights(u, v), taps, strict=True))


def _read_transpose(values, grid, **params):
    """Adds values [H', W', C] to the pixels that they were read from; returns [H, W, C]."""
    (u, v), corner = _locate(grid, **params)
    pixels = _framed(_zeros(values, **params), **params)
    for step, weight in zip(_steps(**params), _weights(u, v), strict=True):
        pixels = pixels.at[corner + step].add(weight * values, mode="promise_in_bounds")
    return _framed_transpose(pixels, **params)


def _read_transpose_on_cpu(values, grid, **params):
    """Computes `_read_transpose` of a batch with a loop over all points, instead of a scatter."""
    batch = values.shape[:-3]
    up, *_, down, _ = _steps(**params)
    is_right = jnp.arange(2)[:, None] == 1

    def one(example):
        values, grid = example
        count = math.prod(grid.shape[:-1])
        (u, v), corner = _locate(grid.reshape(count, 2), **params)
        values = values.reshape(count, values.shape[-1])

        def add(point, pixels):
            pair = jnp.where(is_right, u[point], 1 - u[point]) * values[point][None]
            for step, weight in ((up, 1 - v[point]), (down, v[point])):
                start = corner[point] + step
                total = lax.dynamic_slice_in_dim(pixels, start, 2) + weight * pair
                pixels = lax.dynamic_update_slice_in_dim(pixels, total, start, axis=0)
            return pixels

        pixels = _framed(_zeros(values, **params), **params)
        if count != 0:
            pixels = lax.fori_loop(0, count, add, pixels)
        return _framed_transpose(pixels, **params)

    examples = (x.reshape(math.prod(batch), *x.shape[-3:]) for x in (values, grid))
    image = lax.map(one, tuple(examples))
    return image.reshape(*batch, *image.shape[1:])


def _shift(grid_dot, image, grid, **params):
    """Returns the change of the values [H', W', C] when the points move by `grid_dot`."""
    locate = functools.partial(_locate, **params)
    uv, (u_dot, v_dot), corner = jax.jvp(locate, (grid,), (grid_dot,), has_aux=True)
    by_u, by_v = _slopes(_framed(image, **params), corner, *uv, **params)
    return by_u * u_dot[..., None] + by_v * v_dot[..., None]


def _shift_transpose(values, image, grid, **params):
    """Returns the gradient [H', W', 2] with respect to the grid, given that of the values."""
    uv, back, corner = jax.vjp(functools.partial(_locate, **params), grid, has_aux=True)
    # Without the barrier, XLA shares the gathers with the forward pass and then fuses them with
    # neither of the two.
    pixels, corner = lax.optimization_barrier((_framed(image, **params), corner))
    by_u, by_v = _slopes(pixels, corner, *uv, **params)
    (grid_bar,) = back((jnp.sum(by_u * values, axis=-1), jnp.sum(by_v * values, axis=-1)))
    return grid_bar


def _slopes(pixels, corner, u, v, **params):
    """Returns the slopes of the values along u and along v, each [H', W', C]."""
    u, v = u[..., None], v[..., None]
    a, b, c, d = _taps(pixels, corner, **params)
    return (1 - v) * (b - a) + v * (d - c), (1 - u) * (c - a) + u * (d - b)


def _taps(pixels, corner, **params):
    return (pixels.at[corner + step].get(mode="promise_in_bounds") for step in _steps(**params))


def _weights(u, v):
    u, v = u[..., None], v[..., None]
    return (1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u


def _framed(image, *, padding, **_):
    """Adds a frame of padding, two pixels wide, to an image [H, W, C].

    Returns the pixels [(H + 4) * (W + 4), C], row by row. No tap lies outside the frame.
    """
    height, width, channels = image.shape
    mode = "constant" if PADDINGS[padding] == "zeros" else "edge"
    framed = jnp.pad(image, ((2, 2), (2, 2), (0, 0)), mode)
    return framed.reshape((height + 4) * (width + 4), channels)


def _framed_transpose(pixels, **params):
    image = _zeros(pixels, **params)
    (image,) = jax.linear_transpose(functools.partial(_framed, **params), image)(pixels)
    return image


def _zeros(values, *, height, width, **_):
    return jnp.zeros_like(values, shape=(height, width, values.shape[-1]))


def _steps(*, width, **_):
    """Returns the offsets of the four pixels of a point, in the frame, from the upper left one."""
    return 0, 1, width + 4, width + 5


def _locate(grid, *, height, width, padding, align_corners):
    """Returns each point's distances (u, v) from its upper left pixel, and that pixel's index."""
    column, u = _corner(grid[..., 0], width, padding, align_corners)
    row, v = _corner(grid[..., 1], height, padding, align_corners)
    return (u, v), row * (width + 4) + column


def _corner(coordinate, size, padding, align_corners):
    """Returns the first of the two pixels along one axis of the frame, and the distance to it."""
    position = clamp(to_pixels(coordinate, size, align_corners), size, PADDINGS[padding])
    # The taps are floor and floor + 1, not ceil: at a whole pixel, the slope still needs both.
    first = jnp.floor(position)
    t = position - first
    if PADDINGS[padding] == "reflection":
        # The point halfway between the taps is mirrored too, because at the border itself both taps
        # are the same pixel.
        start, middle, end = (reflect(first + step, size, align_corners) for step in (0, 0.5, 1))
        first, t = jnp.floor(middle), jnp.where(end < start, 1 - t, t)
    return jnp.clip(first, -2, size).astype(jnp.int32) + 2, t


def _primitive(
    name: str,
    fun: Callable[..., jax.Array],
    signature: str,
    *,
    on_cpu: Callable[..., jax.Array] | None = None,
    jvp_of_others: Callable[..., jax.Array] | None = None,
) -> Primitive:
    """Returns a primitive that is linear in its first operand.

    Args:
        name: the name of the primitive.
        fun: the computation for operands without batch axes.
        signature: the axes of the operands and of the result of `fun`.
        on_cpu: as in `native_primitive`.
        jvp_of_others: (primals, tangents) -> the part of the derivative that comes from all
            operands except the first. By default, JAX derives it from `fun`.
    """
    axes = Signature(signature, split="ijc", fold="i")
    primitive = native_primitive(
        name,
        axes.vectorize(fun),
        axes,
        params=("height", "width", "padding", "align_corners"),
        on_cpu=on_cpu,
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

        def of_moving(*moved):
            operands = list(primals)
            for i, operand in zip(moving, moved, strict=True):
                operands[i] = operand
            return primitive.fun(*operands, **params)

        return jax.jvp(of_moving, [primals[i] for i in moving], [tangents[i] for i in moving])[1]

    ad.primitive_jvps[primitive] = jvp
    return primitive


def _are_transposes(first: Primitive, second: Primitive) -> None:
    """Registers two primitives as each other's transpose with respect to the first operand."""

    def rule(transpose, cotangent, _, *others, **params):
        return transpose.bind(cotangent, *others, **params), *(None for _ in others)

    ad.primitive_transposes[first] = functools.partial(rule, second)
    ad.primitive_transposes[second] = functools.partial(rule, first)


def _jvp_of_grid(primals, tangents, **params):
    return _shift_p.bind(tangents[1], *primals, **params)


_read_p = _primitive("bilinear_read", _read, "hwc,ijd->ijc", jvp_of_others=_jvp_of_grid)
_read_transpose_p = _primitive(
    "bilinear_read_transpose",
    _read_transpose,
    "ijc,ijd->hwc",
    on_cpu=_read_transpose_on_cpu,
)
_are_transposes(_read_p, _read_transpose_p)

_shift_p = _primitive("bilinear_shift", _shift, "ijd,hwc,ijd->ijc")
_shift_transpose_p = _primitive("bilinear_shift_transpose", _shift_transpose, "ijc,hwc,ijd->ijd")
_are_transposes(_shift_p, _shift_transpose_p)
