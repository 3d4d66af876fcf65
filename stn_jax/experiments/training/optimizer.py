"""Optimisers and learning-rate schedules, built from `config.optimizer`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("staircase", "one_cycle")

_BLOCK = 100_000  # steps


def make_schedule(config: ConfigDict, num_steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step.

    - staircase: starts at `learning_rate` and is divided by 10 at `drops` steps that split the
      training into equal parts (the paper's schedules: every 50k of 150k steps, every 80k of 400k).
      With no drops it is constant.
    - one_cycle: rises to `learning_rate` over the first 30% of the training, then falls to almost
      0.
    """
    if config.schedule == "one_cycle":
        return optax.cosine_onecycle_schedule(num_steps, config.learning_rate)
    parts = config.drops + 1
    drops = {num_steps * part // parts: 0.1 for part in range(1, parts)}
    return optax.piecewise_constant_schedule(config.learning_rate, drops)


def learning_rates(config: ConfigDict, num_steps: int) -> Callable[[int], float]:
    """Returns the schedule as a function on the host, which need not wait for steps in flight."""
    schedule = jax.vmap(make_schedule(config, num_steps))

    @functools.lru_cache(maxsize=1)
    def block(number: int) -> np.ndarray:
        return np.asarray(schedule(np.arange(number * _BLOCK, (number + 1) * _BLOCK)))

    return lambda step: float(block(step // _BLOCK)[step % _BLOCK])


def make_optimizer(config: ConfigDict, num_steps: int) -> optax.GradientTransformation:
    """Returns the optimiser of `config.optimizer`, which scales the rate of localisation networks.

    The parameters below any module named `localisation` are trained at `localisation_multiplier`
    times the learning rate: a transformer that changes too fast zooms out and never recovers.
    """
    schedule = make_schedule(config, num_steps)
    # Biases do not decay: theta's bias holds the identity, and its decay would blank the image.
    decay = optax.add_decayed_weights(
        config.weight_decay, mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)
    )
    if config.name == "adam":
        direction = optax.chain(optax.scale_by_adam(), decay)
    else:
        direction = optax.chain(decay, optax.trace(config.momentum))
    return optax.chain(
        direction,
        optax.scale_by_learning_rate(schedule),
        optax.masked(optax.scale(config.localisation_multiplier), is_localisation),
    )


def is_localisation(params: Any) -> Any:
    """Returns a tree of booleans like `params`, True for the leaves of localisation networks."""

    def below_localisation(path, _) -> bool:
        return any(getattr(entry, "key", None) == "localisation" for entry in path)

    return jax.tree_util.tree_map_with_path(below_localisation, params)
