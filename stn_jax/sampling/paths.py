"""The ways to compute what the points of a grid read, and the choice among them.

Each path reads an image by a function in plain JAX, in the dtype of x and y. It is linear in the
image and differentiable in x and y; JAX derives the gradients from it. All paths compute the same
values, up to rounding.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stn_jax.sampling.coordinates import PADDINGS
from stn_jax.sampling.windows import TAPS, Window, add_frame, window

PathName = Literal["gathers", "stacked", "packed", "products", "separable"]

_FEW = 4
"""Up to this many channels, "products" computes them one after the other."""


def choose_path(
    platform: str,
    operation: str,
    shape: tuple[int, int, int],
    method: str,
    is_separable: bool,
) -> PathName:
    """Returns the path that is expected to be the fastest one.

    Args:
        platform: "cpu", "tpu", "cuda" or "rocm".
        operation: "read", "read_transpose" (the gradient with respect to the image), "shift" or
            "shift_transpose" (the gradient with respect to the grid).
        shape: (H, W, C) of the image.
        method: the sampling kernel.
        is_separable: whether x depends only on the column of a point, and y only on its row.
    """
    if platform == "cpu":
        return "gathers"
    numbers = TAPS[method] ** 2 * shape[2]
    if platform != "tpu":
        if is_separable and shape[2] == 1:
            return "separable"
        return "packed" if numbers <= 4 else "stacked"
    if is_separable:
        return "separable"
    if not all(isinstance(size, int) for size in shape):  # symbolic, for `jax.export`
        return "gathers"
    cycles = _tpu_cycles(operation, shape, method)
    return min(cycles, key=cycles.__getitem__)


def _tpu_cycles(operation: str, shape: tuple[int, int, int], method: str) -> dict[PathName, float]:
    """Estimates what each point costs on a TPU v5e, in cycles.

    The figures are from the compiler's schedules for the workloads of `benchmarks.accelerators`.
    """
    height, width, channels = shape
    taps = TAPS[method] ** 2
    if channels <= _FEW:
        tiles = channels * -(-height // 128) * -(-width // 128)
    else:
        tiles = -(-height * channels // 128) * -(-width // 128)
    is_transpose = operation == "read_transpose"
    # The slopes along x and along y are one product each.
    cycles: dict[PathName, float] = {
        "products": 1.7 * tiles * (2 if operation.startswith("shift") else 1)
    }
    if is_transpose:
        cycles["stacked"] = 12 * taps
    else:
        cycles["gathers"] = 9 * taps
    if taps * channels <= 128:  # a block is one row of the vector registers
        cycles["packed"] = 20 if is_transpose else 14
    return cycles


def gathers(image: jax.Array, x: jax.Array, y: jax.Array, **params) -> jax.Array:
    """Gathers the pixels of each window one after the other, each with all its channels."""
    pixels, index, rows, columns = _numbered(image, x, y, **params)
    read = (pixels.at[tap].get(mode="promise_in_bounds") for tap in index)
    return _weighted_sum(rows, columns, read)


def stacked(image: jax.Array, x: jax.Array, y: jax.Array, **params) -> jax.Array:
    """Gathers all pixels of the windows at once. The transpose is a single scatter."""
    pixels, index, rows, columns = _numbered(image, x, y, **params)
    return _weighted_sum(rows, columns, pixels.at[jnp.stack(index)].get(mode="promise_in_bounds"))


def packed(image: jax.Array, x: jax.Array, y: jax.Array, **params) -> jax.Array:
    """Stores all pixels of each window side by side, and gathers one such block per point."""
    rows, columns = windows(x, y, **params)
    taps = len(rows.weights)
    pixels = framed(image, **params)
    height, width = (size - taps + 1 for size in pixels.shape[:2])
    shifted = [pixels[y : y + height, x : x + width] for y in range(taps) for x in range(taps)]
    blocks = jnp.concatenate(shifted, axis=-1)
    blocks = blocks.reshape(height * width, blocks.shape[-1])
    read = blocks.at[rows.start * width + columns.start].get(mode="promise_in_bounds")
    channels = image.shape[-1]
    # Not `jnp.split`: on a GPU, its transpose is estimated to double the time of the scatter.
    parts = (read[..., i * channels : (i + 1) * channels] for i in range(taps**2))
    return _weighted_sum(rows, columns, parts)


def products(image: jax.Array, x: jax.Array, y: jax.Array, **params) -> jax.Array:
    """Multiplies with the weights of all pixels, as equation 5 of the paper is written.

    Where an image has a NaN or an infinity, all values that are read from the image become NaN.
    """
    # With a single axis for all points, XLA pads less memory on a TPU.
    rows, columns = windows(x.reshape(x.size), y.reshape(y.size), **params)
    if not _is_zeros(params):
        image = framed(image, **params)
    by_row, by_column = (
        _dense(rows, image.shape[0], **params),
        _dense(columns, image.shape[1], **params),
    )

    def read(part):
        lines = _product("nx,yxc->nyc", by_column, part)
        return jnp.sum(by_row[..., None] * lines, axis=1)

    channels = image.shape[-1]
    # XLA may store the lines of a few channels in memory, but not those of a single one.
    parts = jnp.split(image, channels, axis=-1) if 0 < channels <= _FEW else [image]
    values = jnp.concatenate([read(part) for part in parts], axis=-1)
    return values.reshape(*x.shape, channels)


def separable(image: jax.Array, x: jax.Array, y: jax.Array, **params) -> jax.Array:
    """Computes `products` for a grid whose x and y depend on the column and on the row only."""
    rows, columns = windows(x[0], y[:, 0], **params)
    if not _is_zeros(params):
        image = framed(image, **params)
    lines = _product("jx,yxc->yjc", _dense(columns, image.shape[1], **params), image)
    return _product("iy,yjc->ijc", _dense(rows, image.shape[0], **params), lines)


def _product(axes, weights, image):
    # In three products of bfloat16 instead of six, half-precision images are exact.
    is_half = image.dtype.itemsize < 4
    precision = lax.Precision.HIGH if is_half else lax.Precision.HIGHEST
    return jnp.einsum(axes, weights, image.astype(weights.dtype), precision=precision)


def _dense(window: Window, size: int, *, method, **params) -> jax.Array:
    """Returns the weights [..., size] of all pixels along one axis of the image.

    The image has a frame, except under "zeros".
    """
    outside = TAPS[method] if _is_zeros(params) else 0
    start = window.start[..., None]
    pixel = lax.broadcasted_iota(jnp.int32, (*window.start.shape, size), window.start.ndim)
    tap = pixel + outside - start
    weights = (jnp.where(tap == i, weight[..., None], 0) for i, weight in enumerate(window.weights))
    return functools.reduce(jnp.add, weights)


def windows(x, y, *, height, width, method, padding, align_corners) -> tuple[Window, Window]:
    """Returns the windows of all points, along y and along x."""
    options = method, PADDINGS[padding], bool(align_corners)
    return window(y, height, *options), window(x, width, *options)


def _numbered(image, x, y, **params):
    """Returns the pixels of the framed image in a row, the index of each tap, and the windows."""
    rows, columns = windows(x, y, **params)
    pixels = framed(image, **params)
    height, width, channels = pixels.shape
    start = rows.start * width + columns.start
    taps = len(rows.weights)
    index = [start + (y * width + x) for y in range(taps) for x in range(taps)]
    return pixels.reshape(height * width, channels), index, rows, columns


def _weighted_sum(rows, columns, pixels):
    """Returns the sum of the pixels [..., C] of each window, row by row, times their weights."""
    weights = (row * column for row in rows.weights for column in columns.weights)
    terms = (
        weight[..., None] * pixel.astype(weight.dtype)
        for weight, pixel in zip(weights, pixels, strict=True)
    )
    return functools.reduce(jnp.add, terms)


def framed(image, *, method, padding, align_corners, **_):
    return add_frame(image, method, PADDINGS[padding], bool(align_corners))


def _is_zeros(params) -> bool:
    return PADDINGS[params["padding"]] == "zeros"


class Path(NamedTuple):
    """How the values at the points of a grid are computed, and their gradient.

    Attributes:
        read: (image [H, W, C], x [H', W'], y [H', W'], **params) -> values [H', W', C].
        slopes_first: whether the gradient with respect to the grid is computed from the slopes of
            the values along x and y, rather than in reverse mode, which would store what a product
            can make inside.
    """

    read: Callable[..., jax.Array]
    slopes_first: bool = False


PATHS: dict[str, Path] = {
    "gathers": Path(gathers),
    "stacked": Path(stacked),
    "packed": Path(packed),
    "products": Path(products, slopes_first=True),
    "separable": Path(separable, slopes_first=True),
}
