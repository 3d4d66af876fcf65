"""The ways to compute what the points of a grid read, and the choice among them.

Each path reads an image by a function in plain JAX, in the dtype of x and y. It is linear in the
image and differentiable in x and y; JAX derives the gradients from it. All paths compute the same
values, up to rounding.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from stn_jax.sampling.windows import Axis, Kernel, Window, add_frame, window

Points = tuple[jax.Array, ...]
Axes = tuple[Axis, ...]

PathName = Literal["gathers", "stacked", "lines", "packed", "products", "separable"]

_MANY = 16
"""With more pixels in a window, a program that names each one takes long to compile."""

_FEW = 4
"""Up to this many channels, "products" computes them one by one, first along the last axis."""


def choose_path(
    platform: str,
    operation: str,
    shape: tuple[int, ...],
    kernel: Kernel,
    is_separable: bool,
) -> PathName:
    """Returns the path that is expected to be the fastest one.

    Args:
        platform: "cpu", "tpu", "cuda" or "rocm".
        operation: "read", "read_transpose" (the gradient with respect to the image), "shift" or
            "shift_transpose" (the gradient with respect to the grid).
        shape: (*S, C) of the image.
        kernel: the sampling kernel.
        is_separable: whether x depends only on the column of a point, and y only on its row.
    """
    *sizes, channels = shape
    taps = kernel.taps ** len(sizes)
    if is_separable and (platform == "tpu" or (platform != "cpu" and channels == 1)):
        return "separable"
    if taps > _MANY:
        return "lines"
    if platform == "cpu":
        return "gathers"
    if platform != "tpu":
        return "packed" if taps * channels <= 4 else "stacked"
    if not all(isinstance(size, int) for size in shape):  # symbolic, for `jax.export`
        return "gathers"
    cycles = _tpu_cycles(operation, shape, kernel)
    return min(cycles, key=cycles.__getitem__)


def _tpu_cycles(operation: str, shape: tuple[int, ...], kernel: Kernel) -> dict[PathName, float]:
    """Estimates what each point costs on a TPU v5e, in cycles.

    The figures are from the compiler's schedules for the workloads of `benchmarks.accelerators`,
    which are images in two dimensions.
    """
    *sizes, channels = shape
    taps = kernel.taps ** len(sizes)
    width, lines = sizes[-1], math.prod(sizes[:-1])
    if channels <= _FEW:
        product = 1.7 * channels * -(-lines // 128) * -(-width // 128)
    else:
        product = -(-lines * width // 128) * (0.5 + channels / 64)
    is_transpose = operation == "read_transpose"
    # The slopes along each axis are one product.
    cycles: dict[PathName, float] = {
        "products": product * (len(sizes) if operation.startswith("shift") else 1)
    }
    if is_transpose:
        cycles["stacked"] = 12 * taps
    else:
        cycles["gathers"] = 9 * taps
    if taps * channels <= 128:  # a block is one row of the vector registers
        cycles["packed"] = 20 if is_transpose else 14
    return cycles


def gathers(image: jax.Array, points: Points, axes: Axes, kernel: Kernel) -> jax.Array:
    """Gathers the pixels of each window one after the other, each with all its channels."""
    pixels, index, of_axes = _numbered(image, points, axes, kernel)
    read = (pixels.at[tap].get(mode="promise_in_bounds") for tap in index)
    return _weighted_sum(of_axes, read)


def stacked(image: jax.Array, points: Points, axes: Axes, kernel: Kernel) -> jax.Array:
    """Gathers all pixels of the windows at once. The transpose is a single scatter."""
    pixels, index, of_axes = _numbered(image, points, axes, kernel)
    return _weighted_sum(of_axes, pixels.at[jnp.stack(index)].get(mode="promise_in_bounds"))


def lines(image: jax.Array, points: Points, axes: Axes, kernel: Kernel) -> jax.Array:
    """Gathers the pixels of each window line by line: the program is smaller than of `gathers`."""
    *others, last = windows(points, axes, kernel)
    pixels = add_frame(image, axes, kernel)
    *sizes, channels = pixels.shape
    start = index_of([window.start for window in (*others, last)], sizes)[..., None]
    dimensions = lax.GatherDimensionNumbers(
        offset_dims=(start.ndim - 1, start.ndim),
        collapsed_slice_dims=(),
        start_index_map=(0,),
    )
    pixels = pixels.reshape(math.prod(sizes), channels)
    along = jnp.stack(last.weights, axis=-1)[..., None]

    def read(line):
        read = lax.gather(
            pixels,
            start + index_of((*line, 0), sizes),
            dimensions,
            (kernel.taps, channels),
            mode="promise_in_bounds",
        )
        weights = (window.weights[tap] for window, tap in zip(others, line, strict=True))
        values = jnp.sum(along * read.astype(along.dtype), axis=-2)
        return functools.reduce(jnp.multiply, (weight[..., None] for weight in weights), values)

    return functools.reduce(jnp.add, map(read, taps_along(others, kernel)))


def packed(image: jax.Array, points: Points, axes: Axes, kernel: Kernel) -> jax.Array:
    """Stores all pixels of each window side by side, and gathers one such block per point."""
    of_axes = windows(points, axes, kernel)
    pixels = add_frame(image, axes, kernel)
    sizes = [size - kernel.taps + 1 for size in pixels.shape[:-1]]
    shifted = [
        pixels[tuple(slice(first, first + size) for first, size in zip(tap, sizes, strict=True))]
        for tap in taps_along(axes, kernel)
    ]
    blocks = jnp.concatenate(shifted, axis=-1)
    blocks = blocks.reshape(math.prod(sizes), blocks.shape[-1])
    read = blocks.at[index_of([w.start for w in of_axes], sizes)].get(mode="promise_in_bounds")
    channels = image.shape[-1]
    # Not `jnp.split`: on a GPU, its transpose is estimated to double the time of the scatter.
    parts = (read[..., i * channels : (i + 1) * channels] for i in range(len(shifted)))
    return _weighted_sum(of_axes, parts)


def products(image: jax.Array, points: Points, axes: Axes, kernel: Kernel) -> jax.Array:
    """Multiplies with the weights of all pixels, as equation 5 of the paper is written.

    Where an image has a NaN or an infinity, all values that are read from the image become NaN.
    """
    # With a single axis for all points, XLA pads less memory on a TPU.
    of_axes = windows(tuple(x.reshape(x.size) for x in points), axes, kernel)
    image = _dense_image(image, axes, kernel)
    *others, last = (
        _dense(window, size, axes, kernel)
        for window, size in zip(of_axes, image.shape, strict=False)
    )

    before = "zy"[2 - len(others) :]
    channels = image.shape[-1]
    if channels > _FEW:
        # XLA makes the weights of all pixels inside the product.
        every = last
        for weights in reversed(others):
            every = weights.reshape(*weights.shape, *(1,) * (every.ndim - 1)) * every[:, None]
        values = _product(f"n{before}x,{before}xc->nc", every, image)
        return values.reshape(*points[0].shape, channels)

    def read(part):
        lines = _product(f"nx,{before}xc->n{before}c", last, part)
        for weights in others:
            weights = weights.reshape(*weights.shape, *(1,) * (lines.ndim - 2))
            lines = jnp.sum(weights * lines, axis=1)
        return lines

    # XLA may store the lines of a few channels in memory, but not those of a single one.
    parts = jnp.split(image, channels, axis=-1) if channels else [image]
    values = jnp.concatenate([read(part) for part in parts], axis=-1)
    return values.reshape(*points[0].shape, channels)


def separable(image: jax.Array, points: Points, axes: Axes, kernel: Kernel) -> jax.Array:
    """Computes `products` for a grid whose x depends on the column only, and so on."""
    image = _dense_image(image, axes, kernel)
    count = len(axes)
    of_lines = tuple(
        x[tuple(slice(None) if axis == count - 1 - i else 0 for axis in range(count))]
        for i, x in enumerate(points)
    )
    for axis, along in enumerate(windows(of_lines, axes, kernel)):
        weights = _dense(along, image.shape[axis], axes, kernel)
        before, after = "zy"[:axis], "yx"[axis:][: count - 1 - axis]
        image = _product(f"ip,{before}p{after}c->{before}i{after}c", weights, image)
    return image


def _product(subscripts, weights, image):
    # In three products of bfloat16 instead of six, half-precision images are exact.
    is_half = image.dtype.itemsize < 4
    precision = lax.Precision.HIGH if is_half else lax.Precision.HIGHEST
    return jnp.einsum(subscripts, weights, image.astype(weights.dtype), precision=precision)


def _dense_image(image, axes, kernel):
    """Adds a frame to the image, unless it would be zeros, whose weights do not matter."""
    return image if axes[0].padding == "zeros" else add_frame(image, axes, kernel)


def _dense(window: Window, size: int, axes: Axes, kernel: Kernel) -> jax.Array:
    """Returns the weights [..., size] of all pixels along one axis of a `_dense_image`."""
    outside = kernel.taps if axes[0].padding == "zeros" else 0
    start = window.start[..., None]
    pixel = lax.broadcasted_iota(jnp.int32, (*window.start.shape, size), window.start.ndim)
    tap = pixel + outside - start
    weights = (jnp.where(tap == i, weight[..., None], 0) for i, weight in enumerate(window.weights))
    return functools.reduce(jnp.add, weights)


def windows(points: Points, axes: Axes, kernel: Kernel) -> list[Window]:
    """Returns the windows of all points along each axis of the image."""
    return [window(x, axis, kernel) for x, axis in zip(points[::-1], axes, strict=True)]


def taps_along(axes: Sequence[Any], kernel: Kernel) -> Iterator[tuple[int, ...]]:
    """Yields the place of each pixel in a window along some axes, row by row."""
    return itertools.product(range(kernel.taps), repeat=len(axes))


def index_of(places: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Returns the place in a flat array, given the place along each of its axes."""
    index = 0
    for place, size in zip(places, sizes, strict=True):
        index = index * size + place
    return index


def _numbered(image, points, axes, kernel):
    """Returns the pixels of the framed image in a row, the index of each tap, and the windows."""
    of_axes = windows(points, axes, kernel)
    pixels = add_frame(image, axes, kernel)
    *sizes, channels = pixels.shape
    start = index_of([window.start for window in of_axes], sizes)
    index = [start + index_of(tap, sizes) for tap in taps_along(axes, kernel)]
    return pixels.reshape(math.prod(sizes), channels), index, of_axes


def _weighted_sum(of_axes, pixels):
    """Returns the sum of the pixels [..., C] of each window, row by row, times their weights."""
    terms = (
        functools.reduce(jnp.multiply, weights)[..., None] * pixel.astype(weights[0].dtype)
        for weights, pixel in zip(
            itertools.product(*(window.weights for window in of_axes)), pixels, strict=True
        )
    )
    return functools.reduce(jnp.add, terms)


class Path(NamedTuple):
    """How the values at the points of a grid are computed, and their gradient.

    Attributes:
        read: (image [*S, C], points, axes, kernel) -> values [..., C]. The points are one array
            [...] for each entry of the grid's last axis, such as (x, y); the axes are those of S.
        is_product: whether it multiplies with the weights of all pixels, as a TPU should. The
            gradient with respect to the grid is then computed from the slopes of the values along x
            and y, rather than in reverse mode, which would store what a product can make inside.
    """

    read: Callable[[jax.Array, Points, Axes, Kernel], jax.Array]
    is_product: bool = False

    def split(self, grid: jax.Array) -> Points:
        """Returns the entries of a grid's last axis, one array for each."""
        if not self.is_product:
            return sliced(grid)
        # A TPU would copy slices of this axis to a layout in which all that follows is slow.
        entry = lax.broadcasted_iota(jnp.int32, grid.shape, grid.ndim - 1)
        return tuple(
            jnp.sum(jnp.where(entry == i, grid, 0), axis=-1) for i in range(grid.shape[-1])
        )


def sliced(grid: jax.Array) -> Points:
    """Returns the entries of a grid's last axis by slicing it."""
    return tuple(grid[..., i] for i in range(grid.shape[-1]))


PATHS: dict[str, Path] = {
    "gathers": Path(gathers),
    "stacked": Path(stacked),
    "lines": Path(lines),
    "packed": Path(packed),
    "products": Path(products, is_product=True),
    "separable": Path(separable, is_product=True),
}
