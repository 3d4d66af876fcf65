"""What a family of transformations is to a localisation network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.transforms.regular_grid import Shape

SHIFT_NAMES = ("shift x (half widths)", "shift y (half heights)")


class GridFunction(Protocol):
    def __call__(self, theta: ArrayLike, shape: Shape, *, align_corners: bool) -> jax.Array: ...


@dataclass(frozen=True)
class Family:
    """A family of transformations with its parameters as a flat vector.

    Hashable, so that it can be a static argument or the field of a module.

    Attributes:
        name: the family's name, as `make_family` takes it.
        param_names: what each number that the localisation network gives is, with its unit if it
            has one. In normalised units, 1 is half the width or half the height of the image.
        identity: those numbers of the identity transformation.
        theta: params [num_params] -> theta in the form that `grid` takes.
        grid: (theta, shape, *, align_corners) -> sampling grid [H', W', 2].
    """

    name: str
    param_names: tuple[str, ...]
    identity: tuple[float, ...]
    theta: Callable[[jax.Array], jax.Array]
    grid: GridFunction

    @property
    def num_params(self) -> int:
        """How many numbers the localisation network gives."""
        return len(self.param_names)


def checked_theta(theta: ArrayLike, shape: tuple[int, ...], name: str) -> jax.Array:
    """`theta` in float32, or float64 if it is that already; ValueError if its shape is not `shape`.

    Half precision is too coarse for coordinates: bfloat16 steps by half a pixel in 224.
    """
    theta = jnp.asarray(theta)
    if theta.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {theta.shape}")
    return theta.astype(jnp.promote_types(theta.dtype, jnp.float32))
