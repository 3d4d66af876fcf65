"""Many seeds of one network side by side in one program, to fill a device that one leaves idle.

Their states are stacked: all leaves start with [seeds], except for `step`, which they share. Every
seed has its own order of examples, so that batches for training have [seeds] before B.
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
    """States of one step, made one state as host arrays."""
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    return stacked.replace(step=np.asarray(states[0].step))


def stack_batches(batches: Sequence[Batch]) -> Batch:
    """Each seed's batches [devices, steps, B, ...] -> [devices, steps, seeds, B, ...]."""
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=2), *batches)


def train_many(
    train_step: Callable[..., tuple[TrainState, dict[str, Array]]], seeds: Sequence[int]
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """A step of every seed at once; metrics start with [seeds].

    Args:
        train_step: of a state, a batch and, by name, its seed.
        seeds: each in 0..2^32-1.
    """

    def one(state: TrainState, batch: Batch, seed: Array) -> tuple[TrainState, dict[str, Array]]:
        return train_step(state, batch, seed=seed)

    many = jax.vmap(one, in_axes=(_AXES, 0, 0), out_axes=(_AXES, 0))
    return lambda states, batches: many(states, batches, jnp.array(seeds, jnp.uint32))


def eval_many(
    eval_step: Callable[[TrainState, Batch], dict[str, Array]],
) -> Callable[[TrainState, Batch], dict[str, Array]]:
    """Evaluates every seed's network on the same batch; sums start with [seeds]."""
    return jax.vmap(eval_step, in_axes=(_AXES, None))
