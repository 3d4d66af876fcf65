"""The kinds of labels that tasks have: their loss, errors and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array


class LabelKind(Protocol):
    """The interface to a task's labels for training, evaluation and reports.

    Shapes depend on the kind: labels are [B] or [B, ...], logits have one more axis, the scores.
    """

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the classes, in the order of the scores."""

    @property
    def group_name(self) -> str:
        """The name of what `groups` returns, such as "digit"."""

    @property
    def confusion_caption(self) -> str:
        """The caption of a confusion matrix over all labels."""

    @property
    def group_errors_caption(self) -> str | None:
        """The caption of a table of errors by group; None if it would be uninformative."""

    def loss(self, logits: Array, labels: Array) -> Array:
        """Returns the loss of each example in nats, [B]."""

    def is_wrong(self, logits: Array, labels: Array) -> Array:
        """Returns 1.0 where any part of the answer is wrong, else 0.0, [B]."""

    def error_sums(self, logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
        """Returns the sums over a batch with weights [B] that `error_details` needs."""

    def error_details(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns further errors in per cent, by name; the sums may start with [seeds]."""

    def groups(self, labels: np.ndarray) -> np.ndarray:
        """Returns the integers [B] by which reports group the examples."""

    def group_text(self, group: int) -> str:
        """Returns a group as a person would write it."""

    def texts(self, labels: np.ndarray) -> list[str]:
        """Returns the labels as a person would write them."""


@dataclass(frozen=True)
class ClassLabels:
    """One class per image: labels [B], logits [B, classes].

    >>> ClassLabels(("cat", "dog"), "animal").texts(np.array([1, 0]))
    ['dog', 'cat']
    """

    class_names: tuple[str, ...]
    group_name: str
    group_errors_caption: str | None = None

    @property
    def confusion_caption(self) -> str:
        return f"{self.group_name.capitalize()} and answer"

    def loss(self, logits: Array, labels: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)

    def is_wrong(self, logits: Array, labels: Array) -> Array:
        return (logits.argmax(axis=-1) != labels).astype(jnp.float32)

    def error_sums(self, logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
        return {}

    def error_details(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}

    def groups(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def group_text(self, group: int) -> str:
        return self.class_names[group]

    def texts(self, labels: np.ndarray) -> list[str]:
        return [self.class_names[label] for label in labels]
