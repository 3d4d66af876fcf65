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


def predict_files(workdir: Path, paths: list[Path]) -> tuple[list[Prediction], list[UserError]]:
    """Classifies image files with the newest checkpoint of a run.

    Returns:
        The predictions for the files that can be read, and an error for each of the others, both in
        the order of `paths`.

    Raises:
        UserError: if no file is named, or `workdir` has no trained run.
    """
    if not paths:
        raise UserError("--mode=predict takes image files: name at least one, such as digit.png")
    config = read_config(workdir)
    task = find_task(config)
    read, images, errors = [], [], []
    for path in paths:
        try:
            images.append(task.read_image(path, config))
            read.append(path)
        except UserError as error:
            errors.append(error)
    if not images:
        return [], errors
    model, state = restore(workdir, config)
    result = infer(model, state, jnp.asarray(np.stack(images)))
    answers, probabilities = most_probable(np.asarray(result.probabilities))
    texts = task.LABELS.texts(answers)
    predictions = [
        Prediction(
            path=path,
            text=texts[row],
            probability=float(probabilities[row]),
            thetas={
                name: np.asarray(view.theta[row]).ravel()
                for name, view in result.transformers.items()
            },
        )
        for row, path in enumerate(read)
    ]
    return predictions, errors
