"""The four linear maps of a sampler, made from a path of `paths.py`.

Their operands are an image [*S, C], values [..., C] and a grid [..., n], where n is the number of
axes in S, without batch axes except in `read_transpose_on_cpu`. The image and the values may have
half precision; the grid's dtype, float32 or float64, is that of all sums.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from stn_jax.sampling import paths
from stn_jax.sampling.windows import add_frame


def read(path, image, grid, axes, kernel):
    """Returns the values of an image at the points of the grid."""
    return path.read(image, path.split(grid), axes, kernel).astype(image.dtype)


def read_transpose(path, values, grid, axes, kernel):
    """Adds values to the pixels that they were read from; returns an image."""
    image = _zeros(values, grid, axes)
    (image,) = jax.linear_transpose(lambda image: read(path, image, grid, axes, kernel), image)(
        values.astype(grid.dtype)
    )
    return image.astype(values.dtype)


def shift(path, grid_dot, image, grid, axes, kernel):
    """Returns the change of the values when the points move by `grid_dot`."""

    def values_at(*points):
        return path.read(image, points, axes, kernel)

    _, moved = jax.jvp(values_at, path.split(grid), path.split(grid_dot))
    return moved.astype(image.dtype)


def shift_transpose(path, values, image, grid, axes, kernel):
    """Returns the gradient with respect to the grid, given that of the values."""
    # Without a barrier, XLA shares intermediate results with the forward pass: it stores them
    # instead of fusing them. It also stores what the barrier takes, so that should be the grid as
    # the path reads it.
    if path.is_product:
        image, *points = lax.optimization_barrier((image, *path.split(grid)))
    else:
        image, grid = lax.optimization_barrier((image, grid))
        points = path.split(grid)
    values = values.astype(grid.dtype)

    def values_at(*points):
        return path.read(image, points, axes, kernel)

    def slope(i):
        def values_along(x):
            return values_at(*points[:i], x, *points[i + 1 :])

        return jax.jvp(values_along, (points[i],), (jnp.ones_like(points[i]),))[1]

    if path.is_product:
        parts = [jnp.sum(slope(i) * values, axis=-1) for i in range(len(points))]
    else:
        parts = jax.vjp(values_at, *points)[1](values)
    return jnp.stack(parts, axis=-1)


def read_transpose_on_cpu(values, grid, axes, kernel):
    """Computes `read_transpose` of a batch with a loop over all points, instead of a scatter.

    On the CPU, XLA's scatter takes about two nanoseconds for every number that it adds.
    """
    batch = values.shape[:-2]

    def frame(image):
        return add_frame(image, axes, kernel)

    def one(example):
        values, grid = example
        values = values.astype(grid.dtype)
        of_axes = paths.windows(paths.sliced(grid), axes, kernel)
        image = _zeros(values, grid, axes)
        pixels = frame(image)
        *sizes, channels = pixels.shape
        start = paths.index_of([window.start for window in of_axes], sizes)
        *outer, along = (jnp.stack(window.weights) for window in of_axes)
        lines = list(paths.taps_along(outer, kernel))

        def add(point, pixels):
            line = along[:, point, None] * values[point][None]
            for tap in lines:
                first = start[point] + paths.index_of((*tap, 0), sizes)
                weights = (by_axis[i, point] for i, by_axis in zip(tap, outer, strict=True))
                added = functools.reduce(jnp.multiply, weights, line)
                sums = lax.dynamic_slice_in_dim(pixels, first, len(line)) + added
                pixels = lax.dynamic_update_slice_in_dim(pixels, sums, first, axis=0)
            return pixels

        pixels = pixels.reshape(math.prod(sizes), channels)
        count = values.shape[0]
        if not (isinstance(count, int) and count == 0):
            pixels = lax.fori_loop(0, count, add, pixels)
        (image,) = jax.linear_transpose(frame, image)(pixels.reshape(*sizes, channels))
        return image

    examples = (x.reshape(math.prod(batch), *x.shape[-2:]) for x in (values, grid))
    image = lax.map(one, tuple(examples))
    return image.reshape(*batch, *image.shape[1:]).astype(values.dtype)


def _zeros(values, grid, axes):
    sizes = (axis.size for axis in axes)
    return jnp.zeros_like(values, grid.dtype, shape=(*sizes, values.shape[-1]))
