"""What passes from the data to the training: stored examples, batches, and how they are read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax import Array


class Examples(NamedTuple):
    """N labelled images, in memory or memory-mapped."""

    images: np.ndarray  # [N, H, W, C] uint8
    labels: np.ndarray  # [N, ...] int32, of the task's label kind


class Batch(NamedTuple):
    """B examples: NumPy arrays on the host, JAX arrays in a step; more axes may precede B."""

    images: Any  # [B, H, W, C] uint8, as stored
    labels: Any  # [B, ...] int32
    ids: Any  # [B] int32, each example's index in its data set
    weights: Any  # [B] float32, 0 for an example that only fills up the batch


class Preprocessing(NamedTuple):
    """Batched functions from stored images [B, H, W, C] to network inputs, run on the device.

    A training image's random choices come from the key and the example's id, a test image's from
    its id alone, so the test set is fixed.
    """

    train: Callable[[Array, Array, Array], Array]  # (images [B, H, W, C] uint8, ids [B], key)
    test: Callable[[Array, Array], Array]  # (images, ids)


class Data(NamedTuple):
    """The data of a run: what it trains on, what it is tested on, and the preprocessing of both."""

    train: Examples
    test: Examples
    preprocessing: Preprocessing
    name: str  # for people
