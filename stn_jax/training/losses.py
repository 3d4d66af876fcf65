"""Losses and errors: of images with one label, and of numbers, labelled digit by digit.

A number counts as read only if all its digits and its length are right, as in section 4.2.
"""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from stn_jax.data.examples import MAX_DIGITS, NO_DIGIT


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Softmax cross-entropy per example, in nats, summed over a number's digits.

    logits [B, classes] and labels [B], or [B, digits, classes] and [B, digits] -> [B].
    """
    each = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
    return each.reshape(len(each), -1).sum(axis=1)


def is_wrong(logits: Array, labels: Array) -> Array:
    """1.0 where any highest score is not the label's, else 0.0; shapes as for `cross_entropy`."""
    wrong = logits.argmax(axis=-1) != labels
    return wrong.reshape(len(wrong), -1).any(axis=1).astype(jnp.float32)


def number_errors(logits: Array, labels: Array, weights: Array) -> dict[str, Array]:
    """Sums over a batch of numbers, from which errors per digit and per length follow.

    Args:
        logits: [B, MAX_DIGITS, classes].
        labels: [B, MAX_DIGITS], `NO_DIGIT` after the last digit.
        weights: [B], 0 for an example that does not count.

    Returns:
        `digits` and `wrong_digits`, both [], over the digits that are there;
        `examples_by_length` and `wrong_by_length`, both [MAX_DIGITS + 1], by the true length.
    """
    is_digit = (labels != NO_DIGIT) * weights[:, None]
    missed = logits.argmax(axis=-1) != labels
    lengths = jnp.sum(labels != NO_DIGIT, axis=1)
    by_length = weights[:, None] * jax.nn.one_hot(lengths, MAX_DIGITS + 1)
    return {
        "digits": is_digit.sum(),
        "wrong_digits": jnp.sum(is_digit * missed),
        "examples_by_length": by_length.sum(axis=0),
        "wrong_by_length": is_wrong(logits, labels) @ by_length,
    }
