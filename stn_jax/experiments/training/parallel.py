"""Runs steps on all devices, and many steps per dispatch. Only this module calls `jax.pmap`.

The state is the same on every device and has no device axis; batches are split along their first
axis. A loop on the device runs the steps of a dispatch, so that the dispatch time does not limit
small networks.

Several processes form one mesh: each feeds its own devices, and reductions are over all. `jax.pmap`
works like this in JAX 0.10 to 0.12, where it is `jit` of `shard_map`. Its compiled form, which this
module's callers use, takes global arrays: `replicate` and `shard_batch` make them. Without `pmap`,
`parallel_train` would be `jax.jit(jax.shard_map(run, mesh=_mesh(), in_specs=(P(), P(DEVICES), P()),
out_specs=P()), donate_argnums=0)` for the same global arrays, where `run` removes the axis of
length 1 that its part of the batch starts with; and `jit` alone, with these `NamedSharding`s and
without the axis name, would leave it to the compiler where to reduce.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.training.steps import DEVICES, TrainState

Metrics = dict[str, Array]


def parallel_train(
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]], steps_per_dispatch: int
) -> jax.stages.Wrapped:
    """Wraps a training step to run up to `steps_per_dispatch` times on all devices.

    Returns:
        A function of a state, a Batch whose leaves start with [devices, steps_per_dispatch]
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
        run,
        axis_name=DEVICES,
        axis_size=jax.device_count(),
        in_axes=(None, 0, None),
        out_axes=None,
        donate_argnums=0,
    )


def parallel_eval(
    eval_step: Callable[[TrainState, Batch], Metrics],
) -> jax.stages.Wrapped:
    """Wraps an evaluation step to run on all devices.

    Returns:
        A function of a state and a Batch whose leaves start with [devices]. It returns the sums
        over all devices.
    """

    def run(state: TrainState, batch: Batch) -> Metrics:
        return lax.psum(eval_step(state, batch), DEVICES)

    return jax.pmap(
        run, axis_name=DEVICES, axis_size=jax.device_count(), in_axes=(None, 0), out_axes=None
    )


def replicate(state: TrainState) -> TrainState:
    """Copies a state to all devices, with the layout that the wrapped steps return.

    All processes must pass the same state.
    """
    here = NamedSharding(_mesh().local_mesh, P())
    everywhere = NamedSharding(_mesh(), P())

    def of_all_processes(leaf: Array) -> Array:
        parts = [shard.data for shard in leaf.addressable_shards]
        return jax.make_array_from_single_device_arrays(leaf.shape, everywhere, parts)

    return jax.tree.map(of_all_processes, jax.device_put(state, here, may_alias=False))


def shard_batch(batch: Batch) -> Batch:
    """Starts sending this process's part of a batch, whose leaves start with [local devices].

    Returns:
        The whole batch, with leaves that start with [devices] and have one row on each.
    """
    rows = NamedSharding(_mesh(), P(DEVICES))
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(rows, leaf), batch)


def _mesh() -> Mesh:
    """Returns the mesh that `jax.pmap` uses: all devices, those of a process side by side."""
    processes = range(jax.process_count())
    return Mesh(
        np.array([device for i in processes for device in jax.local_devices(process_index=i)]),
        (DEVICES,),
    )
