"""The description of a family of transformations: what a localisation network has to predict."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.transforms.regular_grid import Shape

SHIFT_NAMES = ("shift x (half widths)", "shift y (half heights)")


@dataclass(frozen=True)
class Family:
    """A family of transformations with its parameters as a flat vector.

    A family is hashable and can be pickled, so it can be a static argument of `jax.jit` or the
    field of a module.

    Attributes:
        name: the name that `make_family` takes.
        param_names: what each number that the localisation network predicts is, with its unit if
            it has one. In normalised units, 1 is half the width or half the height of the image.
        identity: the parameters of the identity transformation.
        theta_shape: the shape of the theta that `grid` takes.
        grid: the family's grid function, (theta, shape, *, align_corners) -> [H', W', 2].
        needs_source_shape: whether `grid` also takes `source_shape`.

    >>> from stn_jax.transforms import make_family
    >>> make_family("similarity").param_names[:2]
    ('scale', 'angle (radians)')
    """

    name: str
    param_names: tuple[str, ...]
    identity: tuple[float, ...]
    theta_shape: tuple[int, ...]
    grid: Callable[..., jax.Array]
    needs_source_shape: bool = False

    @property
    def num_params(self) -> int:
        """How many numbers the localisation network predicts."""
        return len(self.param_names)

    def theta(self, params: ArrayLike) -> jax.Array:
        """Returns the flat `params` [num_params] as the theta [*theta_shape] that `grid` takes.

        Entries of theta that are not parameters come last and are 1: the corner of a homography.
        A theta of `theta_shape` is returned as it is.

        Raises:
            ValueError: `params` has another shape.
        """
        params = jnp.asarray(params)
        if params.shape == self.theta_shape:
            return checked_theta(params, self.theta_shape, f"{self.name} theta")
        if params.shape != (self.num_params,):
            raise ValueError(
                f"{self.name} theta must have shape {self.theta_shape} or ({self.num_params},), "
                f"got {params.shape}"
            )
        params = checked_theta(params, (self.num_params,), f"{self.name} params")
        fixed = jnp.ones(math.prod(self.theta_shape) - self.num_params, params.dtype)
        return jnp.concatenate([params, fixed]).reshape(self.theta_shape)

    def sampling_grid(
        self, theta: ArrayLike, shape: Shape, *, source_shape: Shape, align_corners: bool = False
    ) -> jax.Array:
        """Returns the grid [H', W', 2] at which theta reads an image of `source_shape`.

        Args:
            theta: [*theta_shape], or flat [num_params].
            shape: (H', W') of the output in pixels.
            source_shape: (H, W) of the image to be sampled.
            align_corners: whether -1 and 1 are the centres of the border pixels, not their outer
                edges.

        Raises:
            ValueError: theta has another shape, or a shape is not two positive integers.
        """
        options = {"source_shape": source_shape} if self.needs_source_shape else {}
        return self.grid(self.theta(theta), shape, align_corners=align_corners, **options)


def checked_theta(theta: ArrayLike, shape: tuple[int, ...], name: str) -> jax.Array:
    """Returns `theta` in float32, or in float64 if it is that already.

    Half precision is too coarse for coordinates: in bfloat16 they move in steps of half a pixel at
    224 pixels.

    Raises:
        ValueError: theta has another shape.
    """
    theta = jnp.asarray(theta)
    if theta.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {theta.shape}")
    return theta.astype(jnp.promote_types(theta.dtype, jnp.float32))
