"""Slow reference samplers to compare the library's with, and points to compare them at.

One is in NumPy and float64, the other is differentiated by JAX.
"""

import functools
import itertools
import math

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import BSpline

_ALL = itertools.product(("nearest", "linear", "cubic"), ("zeros", "border", "reflection", "wrap"))
_SPLINES = zip(
    ("bspline2", "bspline3", "bspline4", "bspline5"),
    ("zeros", "border", "reflection", "wrap"),
    itertools.cycle((True, False)),
    strict=False,
)
OPTIONS = [
    *((method, padding, align) for method, padding in _ALL for align in (False, True)),
    *_SPLINES,
]
"""Combinations of method, padding and align_corners: all of those that users need most."""

SMOOTH = [options for options in OPTIONS if options[0] != "nearest"]


def grid_sample(image, grid, method, padding, align_corners, *, cubic_a=-0.75, in_pixels=False):
    """Samples an image [*S, C] on a grid [..., n], point by point and tap by tap."""
    image, grid = np.asarray(image, np.float64), np.asarray(grid, np.float64)
    *sizes, channels = image.shape
    output = np.zeros((*grid.shape[:-1], channels))
    for target in np.ndindex(*grid.shape[:-1]):
        of_axes = []
        for coordinate, size in zip(grid[target][::-1], sizes, strict=True):
            place = coordinate if in_pixels else _in_pixels(coordinate, size, align_corners)
            if method in ("nearest", "linear", "bilinear") and padding != "wrap":
                # Here the coordinate is padded, as torch does; the library pads the taps.
                place = _padded(place, size, padding, align_corners)
            taps = (
                (int(_padded(tap, size, padding, align_corners)), weight)
                for tap, weight in _kernel(place, method, cubic_a)
            )
            of_axes.append([(tap, weight) for tap, weight in taps if 0 <= tap < size])
        for taps in itertools.product(*of_axes):
            pixel, weights = zip(*taps, strict=True)
            output[target] += math.prod(weights) * image[pixel]
    return output


def _in_pixels(coordinate, size, align_corners):
    if align_corners:
        return (coordinate + 1) / 2 * (size - 1)
    return ((coordinate + 1) * size - 1) / 2


def _kernel(position, method, cubic_a=-0.75):
    if method == "nearest":
        return [(round(position), 1.0)]
    if method in ("linear", "bilinear"):
        radius, kernel = 1, lambda d: 1 - abs(d)
    elif method in ("cubic", "bicubic"):
        radius, kernel = 2, functools.partial(_keys, a=cubic_a)
    else:
        order = int(method.removeprefix("bspline"))
        radius = (order + 1) / 2
        kernel = BSpline.basis_element(np.arange(order + 2) - radius, extrapolate=False)
    first, last = math.ceil(position - radius), math.floor(position + radius)
    return [(i, float(np.nan_to_num(kernel(position - i)))) for i in range(first, last + 1)]


def _keys(d, a):
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4)


def _padded(position, size, padding, align_corners):
    if padding == "zeros":
        return position
    if padding == "wrap":
        return position % size
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
        if padding == "wrap":
            tap = tap % size
        if padding == "reflection":
            low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
            for _ in range(6 if low < high else 0):
                tap = jnp.where(tap < low, 2 * low - tap, tap)
                tap = jnp.where(tap > high, 2 * high - tap, tap)
        yield (tap if padding == "zeros" else jnp.clip(tap, 0, size - 1)).astype(int), weight


def grids_off_kinks(rng, sizes, align_corners, shape=(3, 4, 3), reach=4):
    """Returns points in and up to `reach` pixels out of an image, none on a kink of a kernel."""
    pixels = np.stack([rng.integers(-reach, size + reach, shape) for size in sizes[::-1]], axis=-1)
    pixels = pixels + rng.choice([0.125, 0.25, 0.625, 0.875], pixels.shape)
    sizes = np.array(sizes[::-1])
    if align_corners:
        return 2 * pixels / np.maximum(sizes - 1, 1) - 1
    return (2 * pixels + 1) / sizes - 1
