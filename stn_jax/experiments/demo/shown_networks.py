"""Which networks the page shows, and what each makes of an image."""

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
"""By task and by what the page calls them, networks that come with the package."""


class Network(NamedTuple):
    """A trained network."""

    name: str  # for people
    config: ConfigDict
    model: nn.Module
    state: TrainState

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of its images."""
        return find_task(self.config).input_shape(self.config)

    @property
    def labels(self) -> LabelKind:
        """The kind of its answers."""
        return find_task(self.config).LABELS


def shipped_networks(task: str) -> list[Network]:
    """Those that come with the package for a task, by its name in a config."""
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
    """The newest state of a user's own run, called by its folder's name.

    Raises:
        UserError: there is no run there, or it has saved nothing that can be read.
    """
    config = read_config(workdir)
    model, state = restore(workdir, config)
    return Network(workdir.resolve().name, config, model, state.replace(opt_state=()))


def look(network: Network, image: np.ndarray) -> Inference:
    """What a network makes of one image [H, W, C], as host arrays without a batch axis."""
    result = infer(network.model, network.state, jnp.asarray(image)[None])
    return jax.tree.map(lambda leaf: leaf[0], jax.device_get(result))
