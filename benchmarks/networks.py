"""The library's training steps of the paper's networks, on a batch that stays on the device."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict
from optax import GradientTransformation

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.distorted_mnist import config as distorted_mnist
from stn_jax.experiments.street_numbers import config as street_numbers
from stn_jax.experiments.street_numbers import network as street_numbers_network
from stn_jax.experiments.street_numbers.labels import MAX_DIGITS
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.parallel import parallel_train, replicate, shard_batch
from stn_jax.experiments.training.steps import DEVICES, TrainState, create_state, train_step

NUM_STEPS = 1000
"""The number of steps that the learning rate schedule is made for."""


class Network(NamedTuple):
    """A network to train, and its config."""

    config: ConfigDict
    model: nn.Module
    optimizer: GradientTransformation
    input_shape: tuple[int, int, int]

    def initial_state(self) -> TrainState:
        return create_state(self.model, self.optimizer, 0, self.input_shape)


def section_4_1(name: str, recipe: str) -> ConfigDict:
    """Returns a config for RTS; `name` is a key of `distorted_mnist.config.MODELS`."""
    return distorted_mnist.make_config("rts", f"{name},{recipe}")


def section_4_2(name: str, size: int, recipe: str) -> ConfigDict:
    """Returns a config for `name` "cnn", "single" or "multi" at `size` 64 or 128 pixels."""
    return street_numbers.make_config(name, f"{size},{recipe}")


def shrink(config: ConfigDict) -> None:
    """Makes layers narrow and images small, so that the network compiles and runs quickly."""
    if config.task == "street_numbers":
        config.model.filters = (4,) * street_numbers_network.NUM_CONVOLUTIONS
        config.model.features = (8,)
        config.model.localisation_filters = (3, 3)
        config.data.crop = 20
    else:
        config.model.features = (4, 6, 5, 7)[: len(config.model.features)]


def make(config: ConfigDict) -> Network:
    """Returns the network of a config, as a run would train it."""
    task = find_task(config)
    return Network(
        config,
        task.make_network(config, axis_name=DEVICES),
        make_optimizer(config.optimizer, NUM_STEPS),
        task.input_shape(config),
    )


def random_batch(network: Network, batch_size: int, steps: int = 1) -> Batch:
    """Returns preprocessed data on the host, [local devices, steps, B / devices, ...]."""
    rng = np.random.default_rng(0)
    devices = jax.local_device_count()
    lead = (devices, steps, batch_size // devices)
    digits = (MAX_DIGITS,) if network.config.task == "street_numbers" else ()
    return Batch(
        images=rng.normal(size=(*lead, *network.input_shape)).astype(np.float32),
        labels=rng.integers(0, 10, (*lead, *digits)).astype(np.int32),
        ids=np.arange(np.prod(lead), dtype=np.int32).reshape(lead),
        weights=np.ones(lead, np.float32),
    )


def training(network: Network, steps: int) -> jax.stages.Wrapped:
    """Returns the library's training loop of `steps` steps, for images that are preprocessed."""
    step = functools.partial(
        train_step,
        model=network.model,
        optimizer=network.optimizer,
        labels=find_task(network.config).labels(network.config),
        preprocess=lambda images, ids, key: images,
        seed=0,
    )
    return parallel_train(step, steps)


def variables_off_identity(state: TrainState) -> dict[str, Any]:
    """Returns variables near those of an initial state.

    With the initial ones, a transformer would be the identity for every input.
    """
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + 0.01 * np.abs(rng.normal(size=leaf.shape)).astype(np.float32),
        {"params": state.params, "batch_stats": state.batch_stats},
    )


def make_step(
    network: Network, state: TrainState, batch: Batch, steps: int
) -> Callable[[], object]:
    """Returns a function that trains for `steps` steps and continues from its last call."""
    train = training(network, steps)
    state = replicate(state)
    batch = shard_batch(batch)

    def run():
        nonlocal state
        state, metrics = train(state, batch, np.int32(steps))
        return state, metrics

    return run
