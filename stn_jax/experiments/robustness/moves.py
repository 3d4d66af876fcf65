"""The moves of test images: rotations, scalings and shifts, computed on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from stn_jax.sampling import sample
from stn_jax.transforms import affine_grid
from stn_jax.transforms.similarity import similarity_matrix


class Move(NamedTuple):
    """A move of whole test sets; the default moves nothing."""

    rotation: float | Array = 0.0  # degrees
    scale: float | Array = 1.0  # above 1 is larger
    shift: float | Array = 0.0  # per cent of the image's width


MOVES: dict[str, tuple[float, ...]] = {
    "rotation": (0, 15, 30, 45, 60, 75, 90),
    "scale": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5),
    "shift": (0, 5, 10, 15, 20, 25, 30),
}
"""The amounts of each kind of move, a field of `Move`; the other fields keep their defaults."""

UNITS = {"rotation": "degrees", "scale": "factor", "shift": "per cent of the width"}

_SEED = 2015


def move_image(image: Array, *, rotation: Array, scale: Array, shift: Array) -> Array:
    """Turns and scales an image about its centre, then shifts it. [H, W, C] -> [H, W, C].

    Lengths are in pixels, so an image that is not square is not sheared. It is read once,
    bilinearly, with the padding "border": what is seen at its border goes on outside of it, as the
    black around a digit does.

    Args:
        image: [H, W, C], of a floating-point dtype.
        rotation: [], degrees; above 0, the image appears turned counter-clockwise.
        scale: [], above 1 the image appears larger. Below 1/2, single pixels are skipped.
        shift: [2], (x, y) in pixels, to the right and down.

    >>> image = jnp.array([[[1.0], [2.0], [3.0]]])
    >>> move_image(image, rotation=0.0, scale=1.0, shift=jnp.array([1.0, 0.0]))[0, :, 0].tolist()
    [1.0, 1.0, 2.0]
    """
    height, width, _ = image.shape
    theta = jnp.stack([1 / jnp.asarray(scale), jnp.deg2rad(rotation), 0.0, 0.0])
    linear = similarity_matrix(theta, (height, width))[:, :2]
    shift = shift / jnp.array([width / 2, height / 2])
    source = -jnp.matmul(linear, shift[:, None], precision="highest")
    grid = affine_grid(jnp.concatenate([linear, source], axis=1), (height, width))
    return sample(image, grid, padding="border")


def move_images(images: Array, ids: Array, move: Move) -> Array:
    """Moves a batch: half of the images turn to each side, and each shift has its own direction.

    The directions are random, but depend only on the example's id.

    Args:
        images: [B, H, W, C], of a floating-point dtype.
        ids: [B], each example's index in its data set.
        move: how far all of them are moved.
    """
    width = images.shape[2]

    def one(image: Array, example: Array) -> Array:
        side_key, direction_key = jax.random.split(
            jax.random.fold_in(jax.random.key(_SEED), example)
        )
        side = jax.random.rademacher(side_key, (), jnp.float32)
        direction = jax.random.uniform(direction_key, maxval=2 * jnp.pi)
        return move_image(
            image,
            rotation=side * move.rotation,
            scale=jnp.asarray(move.scale),
            shift=move.shift / 100 * width * jnp.stack([jnp.cos(direction), jnp.sin(direction)]),
        )

    return jax.vmap(one)(images, ids)
