"""Types that connect the data to the training: stored examples, batches and preprocessing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Examples(NamedTuple):
    """N labelled images, in memory or memory-mapped."""

    images: np.ndarray  # [N, H, W, C] uint8
    labels: np.ndarray  # [N, ...] int32, as the task's `LabelKind` defines them


class Batch(NamedTuple):
    """B examples: NumPy arrays on the host, JAX arrays in a step. More axes may precede B."""

    images: Any  # [B, H, W, C] uint8, as stored
    labels: Any  # [B, ...] int32
    ids: Any  # [B] int32, each example's index in its data set
    weights: Any  # [B] float32, 0 for an example that only pads the batch


class Preprocessing(NamedTuple):
    """Batched functions that turn stored images [B, H, W, C] into network inputs on the device.

    The random choices for a training image depend on the key and the example's id, those for a test
    image only on its id, so the test set is fixed.
    """

    train: Callable[[Array, Array, Array], Array]  # (images [B, H, W, C] uint8, ids [B], key)
    test: Callable[[Array, Array], Array]  # (images, ids)
    # The same without random choices, (images, ids); None if `test` makes none.
    undistorted: Callable[[Array, Array], Array] | None = None


def of_each(function: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """Makes a function of one image in 0..1 one of (images, ids), as `Preprocessing` has them."""

    def preprocess(images: Array, ids: Array) -> Array:
        del ids  # there is no randomness
        return jax.vmap(function)(images.astype(jnp.float32) / 255)

    return preprocess


def of_each_at_random(
    function: Callable[[Array, Array], Array],
) -> Callable[[Array, Array, Array], Array]:
    """Makes a function of one image in 0..1 and a key one of (images, ids, key)."""

    def preprocess(images: Array, ids: Array, key: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, ids)
        return jax.vmap(function)(images.astype(jnp.float32) / 255, keys)

    return preprocess


class Data(NamedTuple):
    """The data of a run: training examples, test examples, and the preprocessing of both."""

    train: Examples
    test: Examples
    preprocessing: Preprocessing
    name: str  # a description for records and reports
