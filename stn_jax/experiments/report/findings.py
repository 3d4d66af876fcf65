"""A trained network's answers on its test set, as arrays to draw and to count."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from stn_jax.experiments.data.examples import Data, Examples
from stn_jax.experiments.inference import infer, most_probable
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.training.setup import Setup
from stn_jax.experiments.training.steps import TrainState

NUM_SHOWN = 32
"""The number of examples examined in detail at a time; feature maps of more would fill memory."""

NUM_AVERAGED = 512
"""The most images kept for class means."""


class Shown(NamedTuple):
    """Some examples and what the network does with each, in NumPy arrays that start with [B]."""

    images: np.ndarray  # [B, H, W, C], as the network receives them
    # The inputs, sampling grids and outputs of each transformer, from the network's input on.
    transformers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
    labels: np.ndarray  # [B], or [B, digits]
    answers: np.ndarray  # in the shape of labels
    probabilities: np.ndarray  # [B], of the answers
    losses: np.ndarray  # [B], nats

    def head(self, count: int) -> "Shown":
        """Returns the first `count` examples."""
        return _first(self, count)


class Findings(NamedTuple):
    """A network's answers on its test set of N examples."""

    labels: np.ndarray  # [N], or [N, digits]
    answers: np.ndarray  # in the shape of labels
    losses: np.ndarray  # [N], nats
    first: Shown  # the first examples
    worst: Shown  # the examples of highest loss, wrong answers before right ones
    images: np.ndarray  # [M, H, W, C], the first M <= `NUM_AVERAGED`, as the network receives them
    outputs: np.ndarray | None  # [M, H', W', C], of its first transformer, if it has one

    @property
    def wrong(self) -> np.ndarray:
        """Returns [N] bool: whether any part of the answer is wrong."""
        return _is_wrong(self.answers, self.labels)


def examine(setup: Setup, model: nn.Module, state: TrainState, batch_size: int) -> Findings:
    """Runs the network on the whole test set in batches, and on some examples in detail."""
    data = setup.data
    state = jax.device_put(state.replace(opt_state=()))
    answers, losses = _answer(data, setup.labels, model, state, batch_size)
    look = functools.partial(_look, data, model, state)
    images, outputs = [], []
    for some, result in look(np.arange(min(NUM_AVERAGED, len(losses)))):
        images.append(some)
        outputs += [view.outputs for view in list(result.transformers.values())[:1]]

    def show(ids: np.ndarray) -> Shown:
        ((some, result),) = look(ids)
        views = [(view.inputs, view.grid, view.outputs) for view in result.transformers.values()]
        _, probabilities = most_probable(result.probabilities)
        labels = data.test.labels[ids]
        return Shown(some, views, labels, answers[ids], probabilities, losses[ids])

    return Findings(
        labels=data.test.labels,
        answers=answers,
        losses=losses,
        first=show(np.arange(min(NUM_SHOWN, len(losses)))),
        worst=show(np.lexsort((-losses, ~_is_wrong(answers, data.test.labels)))[:NUM_SHOWN]),
        images=np.concatenate(images),
        outputs=np.concatenate(outputs) if outputs else None,
    )


def _is_wrong(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (answers != labels).reshape(len(labels), -1).any(axis=1)


def _answer(
    data: Data, kind: LabelKind, model: nn.Module, state: TrainState, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the answers, in the shape of the labels, and the losses [N]."""

    @jax.jit
    def run(state: TrainState, images: Array, labels: Array, ids: Array) -> tuple[Array, Array]:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        logits: Any = model.apply(variables, data.preprocessing.test(images, ids))
        return logits.argmax(axis=-1), kind.loss(logits, labels)

    parts = [
        _first(jax.device_get(run(state, *batch)), len(ids))
        for ids, batch in _batches(data.test, np.arange(len(data.test.labels)), batch_size)
    ]
    answers, losses = zip(*parts, strict=True)
    return np.concatenate(answers), np.concatenate(losses)


def _look(
    data: Data, model: nn.Module, state: TrainState, ids: np.ndarray
) -> Iterator[tuple[np.ndarray, Any]]:
    """Yields images as the network receives them and its `Inference`, a batch at a time."""
    for some, (stored, _, places) in _batches(data.test, ids, NUM_SHOWN):
        images = data.preprocessing.test(jnp.asarray(stored), jnp.asarray(places))
        seen = jax.device_get((images, infer(model, state, images)))
        yield _first(seen, len(some))


def _batches(
    examples: Examples, ids: np.ndarray, size: int
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Yields parts of `ids` with their images, labels and ids, repeated up to `size` entries."""
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        full = np.resize(part, size)
        yield part, (examples.images[full], examples.labels[full], full.astype(np.int32))


def _first(arrays: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[:count], arrays)
