"""Labels of the user's pictures, whose errors are also averaged over the classes."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax import Array

from stn_jax.experiments.labels import ClassLabels


class PictureLabels(ClassLabels):
    """One class per picture: labels [B], logits [B, classes]."""

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__(tuple(class_names), "class", "Error, by class")

    @property
    def confusion_caption(self) -> str:
        return "Class and answer"

    def error_sums(self, logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
        """Returns `examples_by_class` and `wrong_by_class` of a batch, [classes]."""
        by_class = weights[:, None] * jax.nn.one_hot(labels, len(self.class_names))
        return {
            "examples_by_class": by_class.sum(axis=0),
            "wrong_by_class": self.is_wrong(logits, labels) @ by_class,
        }

    def error_details(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the mean of the errors of the classes, which all count the same, in per cent."""
        wrong, examples = sums["wrong_by_class"], sums["examples_by_class"]
        occurs = examples > 0
        errors = np.where(occurs, wrong / np.maximum(examples, 1), 0)
        return {"error_percent_mean_of_classes": 100 * errors.sum(axis=-1) / occurs.sum(axis=-1)}
