"""Loads the networks that the page shows, and runs them on an image."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from stn_jax.experiments.inference import Inference, infer
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.pretrained import load_pretrained
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.run_config import read_config

SHIPPED = {
    "distorted_mnist": {
        "ST-CNN affine": "st_cnn_affine",
        "ST-CNN TPS": "st_cnn_tps",
        "CNN": "cnn",
    },
    "street_numbers": {"ST-CNN Single": "street_numbers_single"},
}
"""The networks that come with the package, by task and by their name on the page."""


class Network(NamedTuple):
    """A trained network."""

    name: str  # on the page
    config: ConfigDict
    model: nn.Module
    state: TrainState

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Returns (height, width, channels) of its images."""
        return find_task(self.config).input_shape(self.config)

    @property
    def labels(self) -> LabelKind:
        """Returns the kind of its answers."""
        return find_task(self.config).LABELS


def shipped_networks(task: str) -> list[Network]:
    """Loads the networks that come with the package for a task, given its name in a config."""
    networks = []
    for name, pretrained_name in SHIPPED[task].items():
        model, variables, config = load_pretrained(pretrained_name)
        state = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            opt_state=(),
        )
        networks.append(Network(name, config, model, state))
    return networks


def run_network(workdir: Path) -> Network:
    """Loads the newest state of a user's run; the network is named after the run's folder.

    Raises:
        UserError: the folder holds no run, or no checkpoint that can be read.
    """
    config = read_config(workdir)
    model, state = restore(workdir, config)
    return Network(workdir.resolve().name, config, model, state.replace(opt_state=()))


def look(network: Network, image: np.ndarray) -> Inference:
    """Runs a network on one image [H, W, C]; returns host arrays without a batch axis."""
    result = infer(network.model, network.state, jnp.asarray(image)[None])
    return jax.tree.map(lambda leaf: leaf[0], jax.device_get(result))
