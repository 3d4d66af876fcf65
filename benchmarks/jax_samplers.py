"""The library's sampler and its JAX peers behind one interface."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

import stn_jax
from benchmarks.peers import have
from stn_jax.transforms import FamilyName, make_family

KINDS = {"forward": (), "gradient to points": (1,), "gradient to image": (0,), "both": (0, 1)}
"""For each kind, which of (images, points) gradients are computed for, besides the values."""
NAMES = ("image", "points")


class Sampler(NamedTuple):
    """One implementation of sampling.

    Attributes:
        put: converts NumPy images [B, *S, C], points and cotangents to the inputs of a program.
        programs: functions of these three inputs, by kind. They return "values", and the gradients
            with respect to "image" and "points" that the kind asks for.
        get: converts such a result to NumPy arrays, channels last.
        mixes_padding: whether a point within a pixel of the border mixes pixels and zeros.
        trusted: whether a result that differs from ours fails the run. If not, it is not timed.
    """

    put: Callable[..., tuple]
    programs: dict[str, Callable]
    get: Callable[[dict], dict[str, np.ndarray]]
    mixes_padding: bool = True
    trusted: bool = True


def make_samplers() -> dict[str, Sampler]:
    """Returns the samplers at given grids: points are [B, H, W, 2]."""
    samplers = {
        "ours": make_sampler(jax.vmap(stn_jax.sample)),
        "map_coordinates": make_sampler(jax.vmap(by_map_coordinates)),
    }
    if have("dm_pix"):
        # Not trusted: when compiled for the CPU, its grid gradient is wrong for large images.
        dm_pix = make_sampler(jax.vmap(_dm_pix))
        samplers["dm_pix"] = dm_pix._replace(mixes_padding=False, trusted=False)
    return samplers


def make_family_sampler(name: FamilyName) -> Sampler:
    """Returns our sampler with the family's grid: points are theta [B, ...]."""
    family = make_family(name)

    def transform(image, theta):
        grid = family.grid(theta, image.shape[:2], align_corners=False)
        return stn_jax.sample(image, grid)

    return make_sampler(jax.vmap(transform))


def in_pixels(grid, *sizes: int) -> tuple:
    """Converts normalised coordinates [..., (x, y)] to (rows, columns) in pixels, as volumes'."""
    return tuple(((grid[..., -1 - i] + 1) * size - 1) / 2 for i, size in enumerate(sizes))


def by_map_coordinates(image, grid):
    coordinates = in_pixels(grid, *image.shape[:-1])
    read = jax.vmap(lambda channel: map_coordinates(channel, coordinates, order=1), -1, -1)
    return read(image)


def _dm_pix(image, grid):
    import dm_pix

    coordinates = jnp.stack(in_pixels(grid, *image.shape[:2]))
    read = dm_pix.flat_nd_linear_interpolate_constant
    return jax.vmap(lambda channel: read(channel, coordinates), -1, -1)(image)


def make_sampler(function: Callable) -> Sampler:
    """Returns the sampler for a batched function of images and points."""
    return Sampler(
        put=lambda *arrays: tuple(map(jnp.asarray, arrays)),
        programs={kind: _program(function, wanted) for kind, wanted in KINDS.items()},
        get=lambda result: {name: np.asarray(value) for name, value in result.items()},
    )


def _program(function: Callable, wanted: tuple[int, ...]) -> Callable:
    @jax.jit
    def run(images, points, cotangents):
        inputs = [images, points]

        def of_wanted(*moved):
            for place, value in zip(wanted, moved, strict=True):
                inputs[place] = value
            return function(*inputs)

        # Without the values among the results, XLA would leave the forward pass out.
        values, back = jax.vjp(of_wanted, *(inputs[place] for place in wanted))
        gradients = back(cotangents) if wanted else ()
        names = (NAMES[place] for place in wanted)
        return {"values": values, **dict(zip(names, gradients, strict=True))}

    return run
