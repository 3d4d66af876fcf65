"""Predictions for image files."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from stn_jax.data.examples import label_text
from stn_jax.errors import UserError
from stn_jax.tasks import find_task
from stn_jax.training.evaluation import restore, transform
from stn_jax.workdir import read_config


class Prediction(NamedTuple):
    """What a network says of one image."""

    path: Path
    text: str  # the digit or the number
    probability: float
    thetas: Mapping[str, np.ndarray]  # of each transformer, [params]


def predict_files(workdir: Path, paths: list[Path]) -> list[Prediction]:
    """Reads image files with the newest checkpoint of a run.

    Raises:
        UserError: no file was named, one cannot be read, or there is no trained run in `workdir`.
    """
    if not paths:
        raise UserError("--mode=predict takes image files: name at least one, such as digit.png")
    config = read_config(workdir)
    task = find_task(config)
    images = np.stack([task.read_image(path, config) for path in paths])
    model, state = restore(workdir, config)
    result = transform(model, state, jnp.asarray(images))
    answers, probabilities = most_probable(np.asarray(result.probabilities))
    return [
        Prediction(
            path=path,
            text=label_text(answers[row]),
            probability=float(probabilities[row]),
            thetas={
                name: np.asarray(view.theta[row]).ravel()
                for name, view in result.transformers.items()
            },
        )
        for row, path in enumerate(paths)
    ]


def most_probable(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best labels and the probability that they are all right.

    [B, classes] -> [B], [B]; [B, digits, classes] -> [B, digits], [B].
    """
    best = probabilities.max(axis=-1).reshape(len(probabilities), -1)
    return probabilities.argmax(axis=-1), best.prod(axis=1)
