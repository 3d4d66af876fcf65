"""Networks that need no training, and pictures for them."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import Network


def noisy_network(config: ConfigDict) -> Network:
    """Returns a network with random variables, so that its transformers move what they see."""
    task = find_task(config)
    model = task.make_network(config)
    image = jnp.zeros((1, *task.input_shape(config)))
    rng = np.random.default_rng(0)

    def noisy(x):
        return np.asarray(x * rng.uniform(0.8, 1.2, x.shape) + rng.normal(0, 0.1, x.shape), "f4")

    return Network(model, jax.tree.map(noisy, model.init(jax.random.key(0), image)), config)


def random_pixels(network: Network, count: int) -> np.ndarray:
    """Returns smooth pictures of the network's size, uint8."""
    height, width, channels = network.input_shape
    coarse = np.random.default_rng(1).uniform(0, 255, (count, 5, 5, channels))
    shape = (count, height, width, channels)
    return np.asarray(jax.image.resize(coarse, shape, "linear")).astype(np.uint8)
