"""Labels of traffic signs, whose errors are also counted by kind of sign."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stn_jax.experiments.labels import ClassLabels
from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES, GROUPS

_GROUP_NAMES = tuple(GROUPS)
_GROUP_OF_CLASS = np.array(
    [
        next(place for place, classes in enumerate(GROUPS.values()) if number in classes)
        for number in range(len(CLASS_NAMES))
    ]
)


class SignLabels(ClassLabels):
    """One of the 43 classes of signs per image: labels [B], logits [B, 43]."""

    def __init__(self) -> None:
        super().__init__(CLASS_NAMES, "kind of sign", "Error, by kind of sign")

    @property
    def confusion_caption(self) -> str:
        return "Sign and answer"

    def error_sums(self, logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
        """Returns `examples_by_group` and `wrong_by_group` of a batch, [len(GROUPS)]."""
        groups = jnp.asarray(_GROUP_OF_CLASS)[labels]
        by_group = weights[:, None] * jax.nn.one_hot(groups, len(GROUPS))
        return {
            "examples_by_group": by_group.sum(axis=0),
            "wrong_by_group": self.is_wrong(logits, labels) @ by_group,
        }

    def error_details(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the error of each kind of sign that occurs, in per cent."""
        by_group = zip(sums["wrong_by_group"].T, sums["examples_by_group"].T, strict=True)
        return {
            f"error_percent_{name.replace(' ', '_')}": 100 * wrong / examples
            for name, (wrong, examples) in zip(_GROUP_NAMES, by_group, strict=True)
            if examples.any()
        }

    def groups(self, labels: np.ndarray) -> np.ndarray:
        """Returns the kind of each sign as its place in `GROUPS`, [B]."""
        return _GROUP_OF_CLASS[labels]

    def group_text(self, group: int) -> str:
        return _GROUP_NAMES[group]
