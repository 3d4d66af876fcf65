"""Trains many seeds of a network in one program, to fill a device that one seed leaves idle.

The states are stacked: all leaves start with [seeds], except for `step`, which the seeds share.
Every seed has a different order of examples, so training batches have [seeds] before B.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.training.steps import TrainState

_AXES = TrainState(step=cast(Any, None), params=0, batch_stats=0, opt_state=0)


def stack_states(states: Sequence[TrainState]) -> TrainState:
    """Stacks states of the same step into one state of host arrays."""
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    return stacked.replace(step=np.asarray(states[0].step))


def stack_batches(batches: Sequence[Batch]) -> Batch:
    """Stacks batches of the seeds: [devices, steps, B, ...] -> [devices, steps, seeds, B, ...]."""
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=2), *batches)


def train_many(
    train_step: Callable[..., tuple[TrainState, dict[str, Array]]], seeds: Sequence[int]
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Returns a training step for all seeds at once; its metrics start with [seeds].

    Args:
        train_step: a function of a state, a batch and the keyword argument `seed`.
        seeds: the seeds, each in 0..2^32-1.
    """

    def one(state: TrainState, batch: Batch, seed: Array) -> tuple[TrainState, dict[str, Array]]:
        return train_step(state, batch, seed=seed)

    many = jax.vmap(one, in_axes=(_AXES, 0, 0), out_axes=(_AXES, 0))
    return lambda states, batches: many(states, batches, jnp.array(seeds, jnp.uint32))


def eval_many(
    eval_step: Callable[[TrainState, Batch], dict[str, Array]],
) -> Callable[[TrainState, Batch], dict[str, Array]]:
    """Returns a step that evaluates all seeds on the same batch; its sums start with [seeds]."""
    return jax.vmap(eval_step, in_axes=(_AXES, None))
