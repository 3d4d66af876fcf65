"""What passes from the data to the training: stored examples, batches, and how they are read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax import Array

MAX_DIGITS = 5
NO_DIGIT = 10
"""The class that follows after the last digit of a number, up to `MAX_DIGITS`."""


class Examples(NamedTuple):
    """Labelled images in memory or memory-mapped. N is their number."""

    images: np.ndarray  # [N, H, W, C] uint8
    labels: np.ndarray  # [N] int32, or [N, MAX_DIGITS] where an image shows a number


def label_text(label: np.ndarray) -> str:
    """A label [] or [MAX_DIGITS] as a person writes it.

    "-" stands for a number of no digits, "_" for a gap, which only a network comes up with.
    """
    digits = ("_" if digit == NO_DIGIT else str(digit) for digit in np.atleast_1d(label))
    return "".join(digits).rstrip("_") or "-"


def label_texts(labels: np.ndarray) -> list[str]:
    """Labels [N] or [N, MAX_DIGITS] as `label_text` writes each."""
    return [label_text(label) for label in labels]


class Batch(NamedTuple):
    """NumPy arrays on the host, JAX arrays in a step; leading axes may stand before B."""

    images: Any  # [B, H, W, C] uint8, as stored
    labels: Any  # [B] or [B, MAX_DIGITS] int32
    ids: Any  # [B] int32, the example's place in its data set
    weights: Any  # [B] float32, 0 for an example that only fills up a batch


class Preprocessing(NamedTuple):
    """Batched functions from stored images [B, H, W, C] to network inputs, run on the device.

    A training image's random choices come from the key and the example's id, a test image's from
    its id alone: the test set is fixed.
    """

    train: Callable[[Array, Array, Array], Array]  # (images [B, H, W, C] uint8, ids [B], key)
    test: Callable[[Array, Array], Array]  # (images, ids)


class Data(NamedTuple):
    """All that a run sees: what it learns from, what it is measured on, how both become images."""

    train: Examples
    test: Examples
    preprocessing: Preprocessing
    name: str  # for people
