"""Builds the parts of a run from a config: data, preprocessing, model, optimiser."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict
from optax import GradientTransformation

from stn_jax.errors import UserError
from stn_jax.experiments.config_check import check_config
from stn_jax.experiments.data.examples import Data
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.steps import DEVICES, TrainState, create_state, train_step

_MOST_STEPS = 2**31 - 1  # steps are counted in int32


class Setup(NamedTuple):
    """The parts of the run that a config describes."""

    data: Data
    input_shape: tuple[int, int, int]
    labels: LabelKind
    model: nn.Module
    model_name: str
    optimizer: GradientTransformation
    num_steps: int
    eval_every: float  # steps

    def next_evaluation(self, step: int) -> int:
        """Returns the first step after `step` that is followed by an evaluation.

        Evaluation n is due after n times `eval_every` steps, rounded; the last one after the end.
        """
        number = int(step / self.eval_every)
        while (due := round(round(number * self.eval_every, 6))) <= step:
            number += 1
        return min(due, self.num_steps)

    def initial_state(self, seed: int) -> TrainState:
        """Returns the state before the first step."""
        return create_state(self.model, self.optimizer, seed, self.input_shape)

    def train_step(self) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
        """Returns `steps.train_step` with these parts; it takes a state, a batch and a seed."""
        return functools.partial(
            train_step,
            model=self.model,
            optimizer=self.optimizer,
            labels=self.labels,
            preprocess=self.data.preprocessing.train,
        )


def make_setup(config: ConfigDict) -> Setup:
    """Loads the data and builds the other parts of the run.

    Raises:
        UserError: if a setting is unknown or invalid, or the data cannot be used.
    """
    check_config(config)
    task = find_task(config)
    input_shape = task.input_shape(config)
    model = task.make_network(config, axis_name=DEVICES)
    data = task.load_data(config)
    if config.batch_size > len(data.train.labels):
        raise UserError(
            f"config.batch_size={config.batch_size} is more than all {len(data.train.labels)} "
            "training examples: use at most that many"
        )
    steps_per_epoch = len(data.train.labels) / config.batch_size
    num_steps = max(1, round(config.num_epochs * steps_per_epoch))
    if num_steps > _MOST_STEPS:
        raise UserError(
            f"config.num_epochs={config.num_epochs} is {num_steps} steps of config.batch_size="
            f"{config.batch_size}: use at most {_MOST_STEPS / steps_per_epoch:.0f} epochs"
        )
    return Setup(
        data=data,
        input_shape=input_shape,
        labels=task.labels(config),
        model=model,
        model_name=task.model_name(config),
        optimizer=make_optimizer(config.optimizer, num_steps),
        num_steps=num_steps,
        eval_every=max(1.0, config.eval_every_epochs * steps_per_epoch),
    )
