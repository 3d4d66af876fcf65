"""Losses and errors, one per example."""

import jax.numpy as jnp
import optax
from jax import Array


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Softmax cross-entropy per example, in nats. logits [B, classes], labels [B] -> [B]."""
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)


def is_wrong(logits: Array, labels: Array) -> Array:
    """1.0 where the highest score is not the label's, else 0.0. [B, classes], [B] -> [B]."""
    return (logits.argmax(axis=-1) != labels).astype(jnp.float32)
