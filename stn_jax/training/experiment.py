"""From a config to the pieces of a run: data, preprocessing, model, optimiser."""

from typing import NamedTuple

from flax import linen as nn
from ml_collections import ConfigDict
from optax import GradientTransformation

from stn_jax.data.loader import check_batch_size
from stn_jax.data.pipeline import Preprocessing, make_preprocessing
from stn_jax.data.sources import Examples, load_mnist
from stn_jax.errors import UserError
from stn_jax.models.distorted_mnist import make_model
from stn_jax.training.optimizer import make_optimizer
from stn_jax.training.steps import DEVICES, TrainState, create_state


class Experiment(NamedTuple):
    """What a config stands for."""

    train: Examples
    test: Examples
    preprocessing: Preprocessing
    model: nn.Module
    optimizer: GradientTransformation
    num_steps: int
    eval_every: int  # steps

    def initial_state(self, seed: int) -> TrainState:
        """The state before the first step."""
        return create_state(self.model, self.optimizer, seed, self.preprocessing.canvas)


def make_experiment(config: ConfigDict) -> Experiment:
    """Loads the data and builds the rest.

    Raises:
        UserError: something in the config is unknown or does not fit.
    """
    for name in ("num_epochs", "eval_every_epochs", "steps_per_dispatch", "keep_checkpoints"):
        if config[name] <= 0:
            raise UserError(f"config.{name} must be positive, got {config[name]}")
    for name in ("batch_size", "eval_batch_size"):
        check_batch_size(config[name], f"config.{name}")
    data = config.data
    train, test = load_mnist(
        data.source, data_dir=data.data_dir, manual_dir=data.manual_dir, subset=data.subset
    )
    preprocessing = make_preprocessing(data, train)
    model = make_model(config.model, preprocessing.canvas, axis_name=DEVICES)
    steps_per_epoch = len(train.labels) / config.batch_size
    num_steps = max(1, round(config.num_epochs * steps_per_epoch))
    return Experiment(
        train=train,
        test=test,
        preprocessing=preprocessing,
        model=model,
        optimizer=make_optimizer(config.optimizer, num_steps),
        num_steps=num_steps,
        eval_every=max(1, round(config.eval_every_epochs * steps_per_epoch)),
    )
