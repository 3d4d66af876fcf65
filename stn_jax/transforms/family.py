"""Describes a family of transformations: its parameters, which a localisation network predicts."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.dtypes import at_least_float32
from stn_jax.errors import UserError
from stn_jax.transforms.motions import Motion, grid_motion
from stn_jax.transforms.regular_grid import Shape

_POINTS = (16, 16)  # of a grid that stands for all others

SHIFT_NAMES = ("shift x (half widths)", "shift y (half heights)")


@dataclass(frozen=True)
class Family:
    """A family of transformations, whose parameters can be given as a flat vector.

    A family is hashable and can be pickled, so it can be a static argument of `jax.jit` or a field
    of a module.

    Attributes:
        name: the name that `make_family` takes.
        param_names: the name of each parameter that the localisation network predicts, with its
            unit if it has one. In normalised units, 1 is half the width or height of the image.
        identity: the parameters of the identity transformation.
        theta_shape: the shape of the theta that `grid` expects.
        grid: the family's grid function, (theta, shape, *, align_corners) -> [*shape, n].
        needs_source_shape: whether `grid` also needs the argument `source_shape`.
        is_separable: whether, in all grids, x depends only on the column and y only on the row.
        ndim: the number of axes of the images, without that of the channels: 1, 2 or 3.

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
    is_separable: bool = False
    ndim: int = 2

    @property
    def num_params(self) -> int:
        """The number of parameters that the localisation network predicts."""
        return len(self.param_names)

    def theta(self, params: ArrayLike) -> jax.Array:
        """Converts flat `params` [num_params] to the theta [*theta_shape] that `grid` expects.

        Entries of theta that are not parameters come last and are 1, such as the last entry of a
        homography. `params` may also have `theta_shape` already.

        Raises:
            ValueError: `params` has another shape.
        """
        params = jnp.asarray(params)
        if params.shape == self.theta_shape:
            return checked_theta(params, self.theta_shape, f"{self.name} theta")
        if params.shape != (self.num_params,):
            raise UserError(
                f"{self.name} theta must have shape {self.theta_shape} or ({self.num_params},), "
                f"got {params.shape}{_remedy(params.shape, self.theta_shape)}"
            )
        params = checked_theta(params, (self.num_params,), f"{self.name} params")
        fixed = jnp.ones(math.prod(self.theta_shape) - self.num_params, params.dtype)
        return jnp.concatenate([params, fixed]).reshape(self.theta_shape)

    def sampling_grid(
        self, theta: ArrayLike, shape: Shape, *, source_shape: Shape, align_corners: bool = False
    ) -> jax.Array:
        """Returns the sampling grid [*shape, n] of theta for an image of `source_shape`.

        Args:
            theta: [*theta_shape], or flat [num_params].
            shape: (H', W') of the output in pixels, or as many sizes as the family has dimensions.
            source_shape: (H, W) of the image to be sampled, likewise.
            align_corners: whether -1 and 1 are the centres of the border pixels, not their outer
                edges.

        Raises:
            ValueError: theta has another shape, or a shape is not as many positive integers as the
                family has dimensions.
        """
        options = {"source_shape": source_shape} if self.needs_source_shape else {}
        return self.grid(self.theta(theta), shape, align_corners=align_corners, **options)

    def motion(
        self, theta: ArrayLike, *, source_shape: Shape, align_corners: bool = False
    ) -> Motion:
        """Returns what theta does to the picture; `str` describes it in words.

        Arguments and errors are those of `sampling_grid`; the family must be of two dimensions.

        >>> from stn_jax.transforms import make_family
        >>> theta = [0.5, 0.1, 0.0]
        >>> str(make_family("attention").motion(theta, source_shape=(28, 28)))
        'scale 2.00, moved 10% left'
        """
        if self.ndim != 2:
            raise UserError(f"motion needs a family of two dimensions, got {self.ndim}")
        grid = self.sampling_grid(
            theta, _POINTS, source_shape=source_shape, align_corners=align_corners
        )
        return grid_motion(grid, source_shape, align_corners=align_corners)


def checked_theta(theta: ArrayLike, shape: tuple[int, ...], name: str) -> jax.Array:
    """Returns `theta` as float32, or as float64 if that is its dtype.

    Raises:
        ValueError: theta has another shape.
    """
    theta = jnp.asarray(theta)
    if theta.shape != shape:
        raise UserError(
            f"{name} must have shape {shape}, got {theta.shape}{_remedy(theta.shape, shape)}"
        )
    return at_least_float32(theta)


def _remedy(given: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Returns what to do with a theta of another shape, after a colon, if that is plain."""
    if given == (math.prod(expected),):
        return f": pass theta.reshape{expected}"
    if given == (8,) and expected == (3, 3):
        return ": pass jnp.append(theta, 1).reshape(3, 3)"
    if math.prod(given[1:]) == math.prod(expected):
        return ": use jax.vmap for a batch, or stn_jax.spatial_transform"
    return ""
