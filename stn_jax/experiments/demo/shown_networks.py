"""The networks that the page shows, and what they make of an image."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from stn_jax.experiments.inference import Inference, infer
from stn_jax.experiments.pretrained import load_pretrained, pretrained_names
from stn_jax.experiments.trained_networks import Network

SHIPPED: dict[str, dict[str, str]] = {
    "own_pictures": {},
    "distorted_mnist": {
        "ST-CNN affine": "st_cnn_affine",
        "ST-CNN TPS": "st_cnn_tps",
        "CNN": "cnn",
    },
    "street_numbers": {"ST-CNN Single": "street_numbers_single"},
    "traffic_signs": {"ST-CNN Single": "traffic_signs_single"},
}
"""The networks that come with the package, by task and by their name on the page."""


Named = tuple[str, Network]
"""A network, after its name on the page."""


def shown_networks(task: str, runs: Sequence[Named]) -> list[Named]:
    """Returns the networks for a task: those that come with the package, then the user's runs."""
    shipped = [
        (name, load_pretrained(pretrained_name))
        for name, pretrained_name in SHIPPED[task].items()
        if pretrained_name in pretrained_names()
    ]
    return [*shipped, *(run for run in runs if run[1].config.task == task)]


def look(network: Network, image: np.ndarray) -> Inference:
    """Runs a network on one image [H, W, C]; returns host arrays without a batch axis."""
    result = infer(network.model, network.state, jnp.asarray(image)[None])
    return jax.tree.map(lambda leaf: leaf[0], jax.device_get(result))
