"""Predictions for image files."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.inference import infer, most_probable
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.workdir.run_config import read_config


class Prediction(NamedTuple):
    """A network's answer for one image."""

    path: Path
    text: str  # the answer, as a person would write it
    probability: float
    thetas: Mapping[str, np.ndarray]  # of each transformer, [params]


def predict_files(workdir: Path, paths: list[Path]) -> list[Prediction]:
    """Classifies image files with the newest checkpoint of a run.

    Raises:
        UserError: if no file is named, a file cannot be read, or `workdir` has no trained run.
    """
    if not paths:
        raise UserError("--mode=predict takes image files: name at least one, such as digit.png")
    config = read_config(workdir)
    task = find_task(config)
    images = np.stack([task.read_image(path, config) for path in paths])
    model, state = restore(workdir, config)
    result = infer(model, state, jnp.asarray(images))
    answers, probabilities = most_probable(np.asarray(result.probabilities))
    texts = task.LABELS.texts(answers)
    return [
        Prediction(
            path=path,
            text=texts[row],
            probability=float(probabilities[row]),
            thetas={
                name: np.asarray(view.theta[row]).ravel()
                for name, view in result.transformers.items()
            },
        )
        for row, path in enumerate(paths)
    ]
