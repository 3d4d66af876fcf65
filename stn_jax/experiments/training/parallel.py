"""Runs steps on all devices, and many steps per dispatch. Only this module calls `jax.pmap`.

The state is the same on every device and has no device axis; batches are split along their first
axis. A loop on the device runs the steps of a dispatch, so that the dispatch time does not limit
small networks.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.training.steps import DEVICES, TrainState

Metrics = dict[str, Array]


def parallel_train(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]], steps_per_dispatch: int
) -> jax.stages.Wrapped:
    """Wraps a training step to run up to `steps_per_dispatch` times on all devices.

    Returns:
        A function of a state, a Batch whose leaves start with [local devices, steps_per_dispatch]
        and the number of steps to take. It returns the next state and metrics [steps_per_dispatch,
        ...], which are 0 for the steps that were not taken. It is compiled once for any number of
        steps. The input state is donated: the next state reuses its memory.
    """

    def run(state: TrainState, batches: Batch, num_steps: Array) -> tuple[TrainState, Metrics]:
        def body(step, carry):
            state, history = carry
            batch = jax.tree.map(lambda leaf: leaf[step], batches)
            state, metrics = train_step(state, batch)
            history = jax.tree.map(lambda past, now: past.at[step].set(now), history, metrics)
            return state, history

        first = jax.tree.map(lambda leaf: leaf[0], batches)
        if steps_per_dispatch == 1:
            state, metrics = train_step(state, first)
            return state, jax.tree.map(lambda metric: metric[None], metrics)
        _, shapes = jax.eval_shape(train_step, state, first)
        history = jax.tree.map(
            lambda metric: jnp.zeros((steps_per_dispatch, *metric.shape), metric.dtype), shapes
        )
        return lax.fori_loop(0, num_steps, body, (state, history))

    return jax.pmap(
        run, axis_name=DEVICES, in_axes=(None, 0, None), out_axes=None, donate_argnums=0
    )


def parallel_eval(
    eval_step: Callable[[TrainState, Batch], Metrics],
) -> jax.stages.Wrapped:
    """Wraps an evaluation step to run on all devices.

    Returns:
        A function of a state and a Batch whose leaves start with [local devices]. It returns the
        sums over all devices.
    """

    def run(state: TrainState, batch: Batch) -> Metrics:
        return lax.psum(eval_step(state, batch), DEVICES)

    return jax.pmap(run, axis_name=DEVICES, in_axes=(None, 0), out_axes=None)


def replicate(state: TrainState) -> TrainState:
    """Copies a state to all devices, with the layout that the wrapped steps return."""
    mesh = jax.sharding.Mesh(jax.devices(), (DEVICES,))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.device_put(state, everywhere, may_alias=False)


def shard_batch(batch: Batch) -> Batch:
    """Starts sending a batch, whose leaves start with [local devices], one row to each device."""
    mesh = jax.sharding.Mesh(jax.local_devices(), (DEVICES,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(DEVICES))
    return jax.device_put(batch, rows)
