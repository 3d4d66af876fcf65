"""The four linear maps of a sampler, made from a path of `paths.py`.

Their operands are an image [H, W, C], values [H', W', C] and a grid [H', W', 2], without batch axes
except in `read_transpose_on_cpu`. The image and the values may have half precision; the grid's
dtype, float32 or float64, is that of all sums.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from stn_jax.sampling import paths


def read(path, image, grid, **params):
    """Returns the values of an image at the points of the grid."""
    return path.read(image, grid[..., 0], grid[..., 1], **params).astype(image.dtype)


def read_transpose(path, values, grid, **params):
    """Adds values to the pixels that they were read from; returns an image."""
    image = _zeros(values, grid, **params)
    (image,) = jax.linear_transpose(lambda image: read(path, image, grid, **params), image)(
        values.astype(grid.dtype)
    )
    return image.astype(values.dtype)


def shift(path, grid_dot, image, grid, **params):
    """Returns the change of the values when the points move by `grid_dot`."""
    _, moved = jax.jvp(_values_at(path, image, **params), _split(grid), _split(grid_dot))
    return moved.astype(image.dtype)


def shift_transpose(path, values, image, grid, **params):
    """Returns the gradient with respect to the grid, given that of the values."""
    # Without the barrier, XLA shares intermediate results with the forward pass: it stores them
    # instead of fusing them.
    image, grid = lax.optimization_barrier((image, grid))
    values_at, (x, y) = _values_at(path, image, **params), _split(grid)
    values = values.astype(grid.dtype)
    if path.slopes_first:
        one = jnp.ones_like(x)
        _, by_x = jax.jvp(lambda x: values_at(x, y), (x,), (one,))
        _, by_y = jax.jvp(lambda y: values_at(x, y), (y,), (one,))
        parts = (jnp.sum(slope * values, axis=-1) for slope in (by_x, by_y))
    else:
        _, gradient = jax.vjp(values_at, x, y)
        parts = gradient(values)
    return jnp.stack(tuple(parts), axis=-1)


def _values_at(path, image, **params):
    return lambda x, y: path.read(image, x, y, **params)


def _split(grid):
    return grid[..., 0], grid[..., 1]


def read_transpose_on_cpu(values, grid, *, method, **params):
    """Computes `read_transpose` of a batch with a loop over all points, instead of a scatter.

    On the CPU, XLA's scatter takes about two nanoseconds for every number that it adds.
    """
    batch = values.shape[:-3]

    def frame(image):
        return paths.framed(image, method=method, **params)

    def one(example):
        values, grid = example
        count = math.prod(grid.shape[:-1])
        values = values.reshape(count, values.shape[-1]).astype(grid.dtype)
        x, y = grid.reshape(count, 2).T
        rows, columns = paths.windows(x, y, method=method, **params)
        by_row, by_column = jnp.stack(rows.weights), jnp.stack(columns.weights)
        image = _zeros(values, grid, **params)
        pixels = frame(image)
        height, width, channels = pixels.shape
        start = rows.start * width + columns.start

        def add(point, pixels):
            line = by_column[:, point, None] * values[point][None]
            for i in range(len(by_row)):
                first = start[point] + i * width
                sums = lax.dynamic_slice_in_dim(pixels, first, len(line)) + by_row[i, point] * line
                pixels = lax.dynamic_update_slice_in_dim(pixels, sums, first, axis=0)
            return pixels

        pixels = pixels.reshape(height * width, channels)
        if count != 0:
            pixels = lax.fori_loop(0, count, add, pixels)
        (image,) = jax.linear_transpose(frame, image)(pixels.reshape(height, width, channels))
        return image

    examples = (x.reshape(math.prod(batch), *x.shape[-3:]) for x in (values, grid))
    image = lax.map(one, tuple(examples))
    return image.reshape(*batch, *image.shape[1:]).astype(values.dtype)


def _zeros(values, grid, *, height, width, **_):
    return jnp.zeros_like(values, grid.dtype, shape=(height, width, values.shape[-1]))
