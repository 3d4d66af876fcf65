"""From a config to the pieces of a run: data, preprocessing, model, optimiser."""

import math
from typing import NamedTuple

from flax import linen as nn
from ml_collections import ConfigDict
from optax import GradientTransformation

from stn_jax.data.distortions import CANVAS
from stn_jax.data.pipeline import Preprocessing, make_preprocessing
from stn_jax.data.sources import Examples, first_per_class, load_mnist
from stn_jax.errors import UserError, check_choice
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


def make_network(config: ConfigDict) -> nn.Module:
    """The network alone, which needs no data.

    Raises:
        UserError: a name is unknown or a size does not fit.
    """
    check_choice(config.data.distortion, CANVAS, "config.data.distortion")
    return make_model(config.model, CANVAS[config.data.distortion], axis_name=DEVICES)


def make_experiment(config: ConfigDict) -> Experiment:
    """Loads the data and builds the rest.

    Raises:
        UserError: something in the config is unknown or does not fit.
    """
    for name in (
        *("num_epochs", "eval_every_epochs", "batch_size", "eval_batch_size"),
        *("steps_per_dispatch", "keep_checkpoints"),
    ):
        if not 0 < config[name] < math.inf:
            raise UserError(f"config.{name} must be a positive number, got {config[name]}")
    if not 0 <= config.seed < 2**32:
        raise UserError(f"config.seed must be in 0..2^32-1, got {config.seed}")
    model = make_network(config)
    make_optimizer(config.optimizer, num_steps=1)  # finds what is wrong before data are loaded
    data = config.data
    all_train, test = load_mnist(data.source, data_dir=data.data_dir, manual_dir=data.manual_dir)
    # Clutter comes from the whole set, so that a subset leaves the test images as they are.
    preprocessing = make_preprocessing(data, all_train)
    train = first_per_class(all_train, data.subset)
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
