"""Turns stored examples into the images that a network sees.

The host sends raw bytes. All random operations run on the device, inside the step, per example: the
key of a training image is derived from the seed, the step and the example's id, and the key of a
test image from its id alone.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from stn_jax.experiments.data.augmentation import random_linear_map, random_warp
from stn_jax.experiments.data.examples import Examples, Preprocessing, of_each, of_each_at_random
from stn_jax.experiments.distorted_mnist.distortions import (
    CANVAS,
    DIGIT_SIZE,
    centred,
    make_distortion,
)

CLUTTER_DIGITS = 1024
_TEST_SET_SEED = 1506_02025


def make_preprocessing(config: ConfigDict, train: Examples) -> Preprocessing:
    """Returns the distortion and augmentations of `config.data`.

    Clutter is cropped from the first digits of the training set, also for test images. Undistorted
    test images show the upright digit alone, in the middle of the canvas.
    """
    others = jnp.asarray(train.images[:CLUTTER_DIGITS], jnp.float32) / 255
    distort = make_distortion(config.distortion, others)
    make_warp = _make_warp(config.augment)

    def train_image(image: Array, key: Array) -> Array:
        # The second key belonged to an augmentation that was removed. It stays unused, so that
        # earlier runs can be reproduced.
        distort_key, _, warp_key, linear_key = jax.random.split(key, 4)
        return distort(image, distort_key, make_warp(warp_key, linear_key))

    def preprocess_test(images: Array, ids: Array) -> Array:
        return of_each_at_random(distort)(images, ids, jax.random.key(_TEST_SET_SEED))

    upright = functools.partial(centred, key=None, canvas=CANVAS[config.distortion])
    return Preprocessing(of_each_at_random(train_image), preprocess_test, of_each(upright))


def _make_warp(config: ConfigDict) -> Callable[[Array, Array], Array | None]:
    deformation, linear = config.deformation, config.linear

    def make_warp(warp_key: Array, linear_key: Array) -> Array | None:
        if deformation == linear == 0:
            return None
        shape = (DIGIT_SIZE, DIGIT_SIZE)
        warp = random_warp(warp_key, shape, deviation=deformation / (DIGIT_SIZE / 2))
        if linear == 0:
            return warp
        linear_map = random_linear_map(linear_key, deviation=linear)
        return jnp.matmul(warp, linear_map, precision="highest")

    return make_warp
