"""Thin plate splines: K control points, 2K parameters (Bookstein, 1989)."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from stn_jax.errors import UserError
from stn_jax.transforms.family import Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, checked_shape, pixel_centres, regular_grid


def tps_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the grid of the smoothest map that moves each control point to its place in `theta`.

    The control points form a regular k x k grid on the target that spans -1..1 inclusive, whether
    or not `align_corners` is set. `theta = control_points(k)` is the identity.

    Args:
        theta: [K, 2] with K = k * k and k >= 2: the point of the source that is read at each
            control point, row by row, (x, y) in normalised units (x right, y down).
        shape: (height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised.

    Raises:
        ValueError: theta has another shape, K is not a square of at least 4, or `shape` is not two
            positive integers.

    >>> shifted = control_points(4) + 0.5
    >>> tps_grid(shifted, (1, 2)).round(4).tolist()
    [[[0.0, 0.5], [1.0, 0.5]]]
    """
    theta = jnp.asarray(theta)
    given = theta.shape
    k = math.isqrt(given[0]) if given else 0
    if len(given) != 2 or given[1] != 2 or k < 2 or k * k != given[0]:
        hints = {1: ": pass theta.reshape(-1, 2)", 3: ": use jax.vmap for a batch"}
        raise UserError(
            f"tps theta must have shape (k * k, 2) with k >= 2, got {given}"
            f"{hints.get(len(given), '')}"
        )
    theta = checked_theta(theta, given, "tps theta")
    height, width = checked_shape(shape)
    influence = _influence((height, width), k, bool(align_corners), theta.dtype)
    # With displacements instead of positions, the identity is exact.
    moved = theta - control_points(k).astype(theta.dtype)
    shift = jnp.matmul(influence, moved, precision="highest")
    target = regular_grid(shape, align_corners=align_corners, dtype=theta.dtype)
    return shift.reshape(height, width, 2) + target


def control_points(k: int) -> np.ndarray:
    """Returns the k x k control points on the target: [k * k, 2] in float64, row by row, (x, y).

    >>> control_points(2).tolist()
    [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    """
    axis = pixel_centres(k, align_corners=True)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def family(control_size: int = 4) -> Family:
    """Returns the family with `control_size` x `control_size` control points.

    Raises:
        UserError: `control_size` is not an integer of at least 2.

    >>> family(3).num_params
    18
    """
    if not isinstance(control_size, (int, np.integer)) or control_size < 2:
        raise UserError(f"control_size must be an integer of at least 2, got {control_size!r}")
    control_size = int(control_size)
    count = control_size**2
    names = tuple(
        f"point {number} {coordinate}"
        for number in range(1, count + 1)
        for coordinate in ("x (half widths)", "y (half heights)")
    )
    identity = tuple(control_points(control_size).ravel().tolist())
    return Family("tps", names, identity, (count, 2), tps_grid)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _influence(shape: tuple[int, int], k: int, align_corners: bool, dtype: DTypeLike) -> jax.Array:
    """Returns [H' * W', K]: how far each pixel moves when a control point moves by one.

    The spline is `f(p) = sum_i w_i U(|p - c_i|) + a_0 + a_x x + a_y y` with `U(r) = r^2 log r`.
    """

    def quarter_in(precision: DTypeLike) -> jax.Array:
        with jax.enable_x64(True):
            return _upper_left_influence(shape, k, align_corners, precision).astype(dtype)

    # The terms of the sum almost cancel, which costs float32 one to three digits. Only these
    # platforms are known to have float64.
    double = functools.partial(quarter_in, jnp.float64)
    single = functools.partial(quarter_in, jnp.float32)
    upper_left = lax.platform_dependent(cpu=double, cuda=double, rocm=double, default=single)
    # Logarithms in float64 are slow, but the other quarters are mirror images.
    height, width = shape
    upper_right = upper_left[:, : width // 2][:, ::-1, :, ::-1]
    upper = jnp.concatenate([upper_left, upper_right], axis=1)
    lower = upper[: height // 2][::-1, :, ::-1]
    return jnp.concatenate([upper, lower]).reshape(height * width, k * k)


def _upper_left_influence(
    shape: tuple[int, int], k: int, align_corners: bool, dtype: DTypeLike
) -> jax.Array:
    """Returns [ceil(H' / 2), ceil(W' / 2), k, k], the influence on the upper left quarter."""
    y, x = (
        jnp.asarray(pixel_centres(size, align_corners)[: -(-size // 2), None], dtype)
        for size in shape
    )
    axis = jnp.asarray(pixel_centres(k, align_corners=True)[None], dtype)
    coefficients = jnp.asarray(_coefficients(k), dtype)
    weights, (a_0, a_x, a_y) = coefficients[:-3], coefficients[-3:, None]
    squared = jnp.square(y - axis)[:, None, :, None] + jnp.square(x - axis)[None, :, None]
    bent = lax.dot(_radial(squared, jnp).reshape(-1, k * k), weights, precision="highest")
    flat = (a_0 + x * a_x)[None] + (y * a_y)[:, None]
    return (bent.reshape(flat.shape) + flat).reshape(squared.shape)


@functools.lru_cache(maxsize=32)
def _coefficients(k: int) -> np.ndarray:
    """Returns [K + 3, K]: w, a_0, a_x and a_y of the spline that moves one control point by one.

    They solve a linear system whose matrix depends only on the control points c.
    """
    centres = control_points(k)
    affine = np.hstack([np.ones((k * k, 1)), centres])
    radial = _radial(np.sum((centres[:, None] - centres) ** 2, axis=-1), np)
    system = np.block([[radial, affine], [affine.T, np.zeros((3, 3))]])
    return np.linalg.solve(system, np.eye(k * k + 3, k * k))


def _radial(squared: Any, numpy: Any) -> Any:
    """Returns `U(r)` of `r^2`, in NumPy or in `jax.numpy`."""
    # r^2 log r is 0 at r = 0, where the logarithm is not finite.
    return 0.5 * squared * numpy.log(numpy.where(squared == 0, 1, squared))
