"""The coefficients of the B-splines that interpolate an image."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from stn_jax.dtypes import check_floating
from stn_jax.errors import UserError
from stn_jax.layout import check_image
from stn_jax.sampling.coordinates import Padding, check_options
from stn_jax.sampling.windows import SPLINE_ORDERS, bspline_weights, frame_mode

_BLOCK = 256
"""Longer axes than two blocks are filtered block by block."""

_REACH = 64
"""How far away a pixel still matters to a coefficient; at twice this distance, it is below 1e-17 of
the nearest one's part."""


def spline_coefficients(
    image: ArrayLike,
    order: int,
    *,
    padding: Padding = "zeros",
    align_corners: bool = False,
) -> jax.Array:
    """Returns the coefficients of the B-spline that interpolates an image, for `stn_jax.sample`.

    `sample(spline_coefficients(image, 3), grid, method="bspline3")` is a smooth function that has
    the values of the image at its pixels. Compute the coefficients once, and sample them as often
    as needed. The function is linear in the image.

    Outside the image, the coefficients continue as `padding` says: they are zeros, or repeat the
    image's border, and so on. Under "reflection" and "wrap", so does the spline; it agrees with
    SciPy's `spline_filter` in its modes "reflect" ("mirror" with `align_corners`) and "grid-wrap".

    Args:
        image: [*S, C], of a floating-point dtype. S has one to three axes.
        order: the degree of the B-spline, 2 to 5.
        padding: "zeros", "border", "reflection" or "wrap", as for `sample`.
        align_corners: whether "reflection" mirrors at the centres of the border pixels, not at
            their outer edges.

    Returns:
        [*S, C], in the image's dtype, or in float32 if that is half precision.

    Raises:
        ValueError: the image's shape or dtype is wrong, a size is symbolic (for `jax.export`), or
            the order or the padding is unknown.

    >>> image = jnp.array([[0.0], [0.0], [1.0], [0.0], [0.0]])
    >>> coefficients = spline_coefficients(image, 3)
    >>> pixels = jnp.arange(5.0)[:, None]
    >>> values = stn_jax.sample(coefficients, pixels, method="bspline3", coordinates="pixels")
    >>> (jnp.round(values[:, 0], 6) + 0.0).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    image = jnp.asarray(image)
    if order not in SPLINE_ORDERS:
        raise UserError(f"order must be one of {SPLINE_ORDERS}, got {order!r}")
    check_options(padding, "pixels")
    check_image(image.shape, (image.ndim - 1,))
    check_floating(image, "image")
    if not all(isinstance(size, int) for size in image.shape[:-1]):  # symbolic, for `jax.export`
        raise UserError(
            f"spline_coefficients needs sizes that are numbers, got {image.shape}: compute the "
            "coefficients outside of the exported program, or export it for images of one size"
        )
    if image.dtype != jnp.float64:
        image = image.astype(jnp.float32)
    for axis in range(image.ndim - 1):
        filtered = _filter(jnp.moveaxis(image, axis, 0), order, padding, bool(align_corners))
        image = jnp.moveaxis(filtered, 0, axis)
    return image


def _filter(values: jax.Array, order: int, padding: str, align_corners: bool) -> jax.Array:
    """Returns the coefficients along the first axis, given the values at the pixels."""
    options = order, padding, align_corners
    size = len(values)

    def product(weights: np.ndarray, values: jax.Array) -> jax.Array:
        exact = jnp.asarray(weights, values.dtype)
        return jnp.einsum("...ij,...j->...i", exact, values, precision="highest")

    lines = values.reshape(size, math.prod(values.shape[1:])).T
    if size <= 2 * _BLOCK:
        return product(_inverse(size, *options), lines).T.reshape(values.shape)
    # Only pixels within the reach matter, so blocks in the middle have the same weights.
    inverse = _inverse(_BLOCK + 2 * _REACH, *options)
    if padding == "wrap":
        lines = jnp.concatenate([lines[:, -_REACH:], lines, lines[:, :_REACH]], axis=1)
    count = lines.shape[1] - 2 * _REACH
    starts = [*range(0, count - _BLOCK, _BLOCK), count - _BLOCK]
    windows = jnp.stack([lines[:, s : s + _BLOCK + 2 * _REACH] for s in starts], axis=1)
    blocks = product(inverse[_REACH:-_REACH], windows)
    last = blocks[:, -1, -(count - starts[-2] - _BLOCK) :]
    middle = [blocks[:, :-1].reshape(len(lines), (len(starts) - 1) * _BLOCK), last]
    if padding != "wrap":
        before = product(inverse[:_REACH], lines[:, : _BLOCK + 2 * _REACH])
        behind = product(inverse[-_REACH:], lines[:, -_BLOCK - 2 * _REACH :])
        middle = [before, *middle, behind]
    return jnp.concatenate(middle, axis=1).T.reshape(values.shape)


@functools.lru_cache(maxsize=32)
def _inverse(size: int, order: int, padding: str, align_corners: bool) -> np.ndarray:
    """Returns the matrix from values at pixels to coefficients, in float64."""
    radius = order // 2
    # Those at a pixel itself. Of an odd degree, the last tap is then out of reach.
    weights = bspline_weights(0.0 if order % 2 else 0.5, order)[: 2 * radius + 1]
    frame: Any = frame_mode(padding, align_corners)
    taps = np.pad(np.eye(size), ((radius, radius), (0, 0)), frame)
    matrix = sum(weight * taps[i : i + size] for i, weight in enumerate(weights))
    return np.linalg.inv(matrix)
