"""Loads trained networks: a user's run, or one that comes with the package."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.pretrained import load_pretrained
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.run_config import read_config


class Network(NamedTuple):
    """A trained network."""

    name: str
    config: ConfigDict
    model: nn.Module
    state: TrainState  # without the optimiser's

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Returns (height, width, channels) of its images."""
        return find_task(self.config).input_shape(self.config)

    @property
    def labels(self) -> LabelKind:
        """Returns the kind of its answers."""
        return find_task(self.config).LABELS


def pretrained_network(name: str) -> Network:
    """Loads a network that comes with the package.

    Raises:
        UserError: no network has that name.
    """
    model, variables, config = load_pretrained(name)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=(),
    )
    return Network(name, config, model, state)


def run_network(workdir: Path) -> Network:
    """Loads the newest state of a run; the network is named after the run's folder.

    Raises:
        UserError: the folder holds no run, or no checkpoint that can be read.
    """
    config = read_config(workdir)
    model, state = restore(workdir, config)
    return Network(workdir.resolve().name, config, model, state.replace(opt_state=()))
