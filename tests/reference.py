"""Slow reference samplers to compare the library's with, and points to compare them at.

One is in NumPy and float64, the other is differentiated by JAX.
"""

import math

import jax.numpy as jnp
import numpy as np


def grid_sample(image, grid, method, padding, align_corners):
    """Samples an image [H, W, C] on a grid [H', W', 2], pixel by pixel and tap by tap."""
    image, grid = np.asarray(image, np.float64), np.asarray(grid, np.float64)
    height, width, channels = image.shape
    output = np.zeros((*grid.shape[:2], channels))
    for target in np.ndindex(*grid.shape[:2]):
        x = _in_pixels(grid[target][0], width, align_corners)
        y = _in_pixels(grid[target][1], height, align_corners)
        if method in ("nearest", "bilinear"):
            # Here the coordinate is padded, as torch does; the library pads the taps.
            x = _padded(x, width, padding, align_corners)
            y = _padded(y, height, padding, align_corners)
        for row, row_weight in _kernel(y, method):
            for column, column_weight in _kernel(x, method):
                i = int(_padded(row, height, padding, align_corners))
                j = int(_padded(column, width, padding, align_corners))
                if 0 <= i < height and 0 <= j < width:
                    output[target] += row_weight * column_weight * image[i, j]
    return output


def _in_pixels(coordinate, size, align_corners):
    if align_corners:
        return (coordinate + 1) / 2 * (size - 1)
    return ((coordinate + 1) * size - 1) / 2


def _kernel(position, method):
    if method == "nearest":
        return [(round(position), 1.0)]
    radius = {"bilinear": 1, "bicubic": 2}[method]
    kernel = {"bilinear": lambda d: 1 - d, "bicubic": _keys}[method]
    first = math.floor(position) - radius + 1
    return [(i, kernel(abs(position - i))) for i in range(first, first + 2 * radius)]


def _keys(d, a=-0.75):
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4)


def _padded(position, size, padding, align_corners):
    if padding == "zeros":
        return position
    if padding == "reflection":
        low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
        while low < high and not low <= position <= high:
            position = 2 * low - position if position < low else 2 * high - position
    return min(max(position, 0), size - 1)


def plain_bilinear(image, grid, padding, align_corners):
    """Samples an image [H, W, C] on a grid [H', W', 2] in JAX, with one gather for each tap.

    JAX differentiates it. The coordinates must be finite and not huge.
    """
    height, width, _ = image.shape
    output = 0
    for row, row_weight in _taps(grid[..., 1], height, padding, align_corners):
        for column, column_weight in _taps(grid[..., 0], width, padding, align_corners):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            tap = image[jnp.where(inside, row, 0), jnp.where(inside, column, 0)]
            output += jnp.where(inside, row_weight * column_weight, 0)[..., None] * tap
    return output


def _taps(coordinate, size, padding, align_corners):
    position = _in_pixels(coordinate, size, align_corners)
    first = jnp.floor(position)
    for step, weight in ((0, first + 1 - position), (1, position - first)):
        tap = first + step
        if padding == "reflection":
            low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
            for _ in range(6 if low < high else 0):
                tap = jnp.where(tap < low, 2 * low - tap, tap)
                tap = jnp.where(tap > high, 2 * high - tap, tap)
        yield (tap if padding == "zeros" else jnp.clip(tap, 0, size - 1)).astype(int), weight


def grids_off_kinks(rng, image_shape, align_corners, shape=(3, 4, 3), reach=4):
    """Returns points in and up to `reach` pixels out of the image, none on a kink of the kernel."""
    whole = [rng.integers(-reach, size + reach, shape) for size in image_shape[1::-1]]
    pixels = np.stack(whole, axis=-1) + rng.choice([0.125, 0.25, 0.625, 0.875], (*shape, 2))
    sizes = np.array(image_shape[1::-1])
    if align_corners:
        return 2 * pixels / np.maximum(sizes - 1, 1) - 1
    return (2 * pixels + 1) / sizes - 1
