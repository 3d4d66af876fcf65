"""Attention: an isotropic scale and a translation, 3 parameters (equation 2 of the paper)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.transforms.family import SHIFT_NAMES, Family, checked_theta
from stn_jax.transforms.regular_grid import Shape, regular_grid


def attention_grid(theta: ArrayLike, shape: Shape, *, align_corners: bool = False) -> jax.Array:
    """Returns the sampling grid of a crop: `x_s = s x_t + tx`, `y_s = s y_t + ty` (equation 2).

    The output shows the window of half-width s around (tx, ty), so s < 1 zooms in.

    Args:
        theta: [3], (s, tx, ty): scale, and translation in normalised units (x right, y down).
        shape: (height, width) of the output in pixels.
        align_corners: whether -1 and 1 are the centres of the border pixels, not their outer edges.

    Returns:
        [height, width, 2], the source point (x, y) of each target pixel, normalised.

    Raises:
        ValueError: theta has another shape, or `shape` is not two positive integers.

    >>> upper_left_quarter = [0.5, -0.5, -0.5]
    >>> attention_grid(upper_left_quarter, (2, 2))[0].tolist()
    [[-0.75, -0.75], [-0.25, -0.75]]
    """
    theta = _checked(theta)
    target = regular_grid(shape, align_corners=align_corners, dtype=theta.dtype)
    return theta[0] * target + theta[None, None, 1:]


def compose(outer: ArrayLike, inner: ArrayLike) -> jax.Array:
    """Returns the theta [3] of `x -> outer(inner(x))`.

    >>> compose([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]).tolist()
    [0.25, 0.75, 0.0]
    """
    outer, inner = _checked(outer), _checked(inner)
    return jnp.concatenate([outer[:1] * inner[:1], outer[0] * inner[1:] + outer[1:]])


def inverse(theta: ArrayLike) -> jax.Array:
    """Returns the theta [3] that undoes `theta`; not finite if the scale is 0.

    >>> inverse([0.5, 0.5, 0.0]).tolist()
    [2.0, -1.0, -0.0]
    """
    theta = _checked(theta)
    return jnp.concatenate([1 / theta[:1], -theta[1:] / theta[0]])


def _checked(theta: ArrayLike) -> jax.Array:
    return checked_theta(theta, (3,), "attention theta")


FAMILY = Family(
    "attention", ("scale", *SHIFT_NAMES), (1.0, 0.0, 0.0), (3,), attention_grid, is_separable=True
)
