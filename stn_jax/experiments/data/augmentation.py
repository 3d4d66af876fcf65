"""Random augmentations for training: pure functions (image [H, W, C] in 0..1, key) -> image."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from stn_jax.transforms import tps, tps_grid


def random_crop(image: Array, key: Array, shape: tuple[int, int]) -> Array:
    """Returns a crop of `shape` at a random whole-pixel position. [H, W, C] -> [h, w, C].

    Args:
        image: [H, W, C].
        key: random key.
        shape: (h, w) in pixels, at most (H, W).

    Raises:
        ValueError: the crop is larger than the image.
    """
    height, width, channels = image.shape
    if shape[0] > height or shape[1] > width:
        raise ValueError(f"a crop of {shape} does not fit the image, {(height, width)}")
    room = jnp.array([height, width]) - jnp.array(shape)
    y, x = jax.random.randint(key, (2,), 0, room + 1)
    return jax.lax.dynamic_slice(image, (y, x, 0), (*shape, channels))


def random_warp(key: Array, shape: tuple[int, int], *, deviation: float) -> Array:
    """Returns a sampling grid of a random smooth deformation, [height, width, 2].

    The deformation is a thin plate spline whose 4x4 control points are displaced at random.

    Args:
        key: random key.
        shape: (height, width) of the image in pixels.
        deviation: standard deviation of the control points' displacement, which is normally
          distributed in x and in y; in normalised units, that is half widths and half heights of
          the image.
    """
    points = jnp.asarray(tps.control_points(4), jnp.float32)
    return tps_grid(points + deviation * jax.random.normal(key, points.shape), shape)


def random_linear_map(key: Array, *, deviation: float) -> Array:
    """Returns a map that rotates, stretches and shears an image slightly about its centre, [2, 2].

    The points (x, y) of a sampling grid in normalised units are multiplied by it:
    `grid @ linear_map`.

    Args:
        key: random key.
        deviation: standard deviation of the normal noise added to each entry of the identity.
    """
    return jnp.eye(2) + deviation * jax.random.normal(key, (2, 2))


def random_affine_map(
    key: Array, *, rotation: float, scale: float, shift: float, aspect: float = 1.0
) -> Array:
    """Returns a map that rotates, scales and shifts an image about its centre, [2, 3].

    The map goes from the new image to the old one, as `stn_jax.affine_grid` takes it. All three are
    drawn uniformly.

    Args:
        key: random key.
        rotation: the angle is in -rotation..rotation, in degrees.
        scale: what the image shows becomes larger by a factor in 1-scale..1+scale.
        shift: it moves in x and in y by -shift..shift, as a fraction of the image's side.
        aspect: the width of the image divided by its height.
    """
    rotation_key, scale_key, shift_key = jax.random.split(key, 3)
    angle = jnp.deg2rad(jax.random.uniform(rotation_key, minval=-rotation, maxval=rotation))
    factor = jax.random.uniform(scale_key, minval=1 - scale, maxval=1 + scale)
    moved = 2 * jax.random.uniform(shift_key, (2,), minval=-shift, maxval=shift)
    cos, sin = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    linear = jnp.array([[cos, sin], [-sin, cos]])
    if aspect != 1:  # rotations in pixels have no shear
        linear = linear * jnp.array([[1, 1 / aspect], [aspect, 1]])
    offset = -jnp.matmul(linear, moved, precision="highest")
    return jnp.concatenate([linear, offset[:, None]], axis=1)


def random_brightness_contrast(
    image: Array, key: Array, *, brightness: float, contrast: float
) -> Array:
    """Returns `mean + (image - mean) * c + b`, clipped to 0..1. [H, W, C] -> [H, W, C].

    Args:
        image: [H, W, C], 0..1; the mean is taken over the whole image.
        key: random key.
        brightness: b is drawn uniformly from -brightness..brightness.
        contrast: c is drawn uniformly from 1-contrast..1+contrast.
    """
    brightness_key, contrast_key = jax.random.split(key)
    added = jax.random.uniform(brightness_key, minval=-brightness, maxval=brightness)
    factor = jax.random.uniform(contrast_key, minval=1 - contrast, maxval=1 + contrast)
    mean = image.mean()
    return jnp.clip(mean + (image - mean) * factor + added, 0.0, 1.0)


def make_jitter(config: ConfigDict) -> Callable[[Array, Array], Array]:
    """Returns a function (image, key) that applies `random_brightness_contrast`.

    Args:
        config: the `data.augment` part of a config, with `brightness` and `contrast`, both 0..1.
    """
    if config.brightness == config.contrast == 0:
        return lambda image, key: image
    return functools.partial(
        random_brightness_contrast, brightness=config.brightness, contrast=config.contrast
    )
