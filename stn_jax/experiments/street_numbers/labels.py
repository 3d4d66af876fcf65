"""Labels of whole numbers, digit by digit.

A number counts as correct only if all its digits and its length are right, as in section 4.2.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

MAX_DIGITS = 5
NO_DIGIT = 10
"""The class of the unused places after a number's last digit, up to `MAX_DIGITS`."""


class NumberLabels:
    """Numbers of up to five digits: labels [B, MAX_DIGITS], logits [B, MAX_DIGITS, classes]."""

    class_names = (*map(str, range(10)), "none")
    group_name = "number of digits"
    confusion_caption = f"True and predicted digits, at each of the {MAX_DIGITS} places of a number"
    group_errors_caption = "Sequence error, by number of digits"

    def loss(self, logits: Array, labels: Array) -> Array:
        """Returns the softmax cross-entropy [B] in nats, summed over a number's places."""
        each = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
        return each.sum(axis=1)

    def is_wrong(self, logits: Array, labels: Array) -> Array:
        """Returns 1.0 where any place is wrong, and 0.0 elsewhere, [B]."""
        return (logits.argmax(axis=-1) != labels).any(axis=1).astype(jnp.float32)

    def error_sums(self, logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
        """Returns sums over a batch of numbers.

        `digits` and `wrong_digits`, [], count only the digits that exist. `examples_by_length` and
        `wrong_by_length`, [MAX_DIGITS + 1], are indexed by the true length.
        """
        is_digit = (labels != NO_DIGIT) * weights[:, None]
        missed = logits.argmax(axis=-1) != labels
        lengths = jnp.sum(labels != NO_DIGIT, axis=1)
        by_length = weights[:, None] * jax.nn.one_hot(lengths, MAX_DIGITS + 1)
        return {
            "digits": is_digit.sum(),
            "wrong_digits": jnp.sum(is_digit * missed),
            "examples_by_length": by_length.sum(axis=0),
            "wrong_by_length": self.is_wrong(logits, labels) @ by_length,
        }

    def error_details(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the error per digit and per length, in per cent."""
        details = {"digit_error_percent": 100 * sums["wrong_digits"] / sums["digits"]}
        by_length = zip(sums["wrong_by_length"].T, sums["examples_by_length"].T, strict=True)
        for length, (wrong, examples) in enumerate(by_length):
            if examples.any():
                details[f"error_percent_length_{length}"] = 100 * wrong / examples
        return details

    def groups(self, labels: np.ndarray) -> np.ndarray:
        """Returns the number of digits of each label, [B]."""
        return np.sum(labels != NO_DIGIT, axis=1)

    def group_text(self, group: int) -> str:
        return str(group)

    def texts(self, labels: np.ndarray) -> list[str]:
        """Returns the numbers in the way people write them.

        "-" stands for a number without digits, "_" for a gap, which only a network produces.
        """
        return [
            "".join("_" if digit == NO_DIGIT else str(digit) for digit in label).rstrip("_") or "-"
            for label in labels
        ]
