"""Runs a network on images: computes probabilities, and captures what its transformers do."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax import Array

from stn_jax.experiments.training.steps import TrainState
from stn_jax.linen import SpatialTransformer


class TransformerView(NamedTuple):
    """The inputs, theta, grid and outputs of one spatial transformer for a batch."""

    inputs: Array  # [B, H, W, C]
    theta: Array  # [B, ...]
    grid: Array  # [B, H', W', 2]
    outputs: Array  # [B, H', W', C]


class Inference(NamedTuple):
    """A network's answers for B images, and what its transformers did."""

    probabilities: Array  # [B, classes], or [B, digits, classes] for numbers
    transformers: Mapping[str, TransformerView]  # by path, in order from the input


@functools.partial(jax.jit, static_argnums=0)
def infer(model: nn.Module, state: TrainState, images: Array) -> Inference:
    """Runs the network on images that are already preprocessed."""
    logits, captured = model.apply(
        {"params": state.params, "batch_stats": state.batch_stats},
        images,
        capture_intermediates=lambda module, _: isinstance(module, SpatialTransformer),
        mutable=["intermediates"],
    )
    inner = {
        path: value[0]
        for path, value in flatten_dict(captured.get("intermediates", {}), sep="/").items()
    }
    paths = [name.removesuffix("/theta") for name in inner if name.endswith("/theta")]
    views = {
        path: TransformerView(
            inputs=inner[f"{path}/inputs"],
            theta=inner[f"{path}/theta"],
            grid=inner[f"{path}/grid"],
            outputs=inner[f"{path}/__call__"],
        )
        for path in sorted(paths)
    }
    return Inference(jax.nn.softmax(logits.astype(jnp.float32)), views)


def most_probable(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the most probable labels and the probability that all of their parts are right.

    [B, classes] -> [B], [B]; [B, digits, classes] -> [B, digits], [B].
    """
    answers, chances = best_answers(probabilities, 1)
    return answers[:, 0], chances[:, 0]


def best_answers(probabilities: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `count` most probable labels of each image, best first, and their probabilities.

    The digits of a number are independent of each other. There may be fewer than `count` labels.

    [B, classes] -> [B, count], [B, count]; [B, digits, classes] -> [B, count, digits], [B, count].
    """
    batch, *digits, classes = probabilities.shape
    places = np.asarray(probabilities).reshape(batch, -1, classes).swapaxes(0, 1)
    answers = np.zeros((batch, 1, 0), int)
    chances = np.ones((batch, 1), probabilities.dtype)
    for place in places:
        # The beginnings of the best labels are the best beginnings.
        longer = (chances[:, :, None] * place[:, None]).reshape(batch, -1)
        order = np.argsort(-longer, axis=1, kind="stable")[:, :count]
        beginning, label = np.divmod(order, classes)
        answers = np.concatenate(
            [np.take_along_axis(answers, beginning[..., None], axis=1), label[..., None]], axis=2
        )
        chances = np.take_along_axis(longer, order, axis=1)
    return answers.reshape(*chances.shape, *digits), chances
