"""Predictions for image files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.inference import best_answers, infer
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network

NUM_ANSWERS = 3


class Answer(NamedTuple):
    """A possible answer for an image."""

    text: str  # as a person would write it
    probability: float


class Prediction(NamedTuple):
    """A network's answers for one image."""

    path: Path
    answers: Sequence[Answer]  # the most probable ones, best first
    thetas: Mapping[str, np.ndarray]  # of each transformer, [params]


def predict_files(network: Network, paths: Sequence[Path]) -> Iterator[Prediction | UserError]:
    """Classifies image files in batches of at most `config.eval_batch_size`.

    Yields:
        The predictions for the files that can be read, and an error for each of the others, both in
        the order of `paths`.
    """
    task = find_task(network.config)
    batch_size = min(network.config.eval_batch_size, len(paths))
    read: list[tuple[Path, np.ndarray]] = []
    for path in paths:
        try:
            read.append((path, task.read_image(path, network.config)))
        except UserError as error:
            yield error
        if len(read) == batch_size:
            yield from _predict(network, read, batch_size)
            read = []
    if read:
        yield from _predict(network, read, batch_size)


def _predict(
    network: Network, read: Sequence[tuple[Path, np.ndarray]], batch_size: int
) -> Iterator[Prediction]:
    paths, images = zip(*read, strict=True)
    # A smaller batch repeats its images, so that one program does for all batches.
    batch = np.resize(images, (batch_size, *network.input_shape))
    result = infer(network.model, network.state, jnp.asarray(batch))
    answers, chances = best_answers(np.asarray(result.probabilities), NUM_ANSWERS)
    thetas = jax.device_get({name: view.theta for name, view in result.transformers.items()})
    for row, path in enumerate(paths):
        texts = network.labels.texts(answers[row])
        yield Prediction(
            path=path,
            answers=[Answer(*each) for each in zip(texts, chances[row].tolist(), strict=True)],
            thetas={name: theta[row].ravel() for name, theta in thetas.items()},
        )
