"""Batching: which examples form each batch, and how they are split over hosts and devices."""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.data.examples import Batch, Examples


def check_batch_size(batch_size: int, name: str) -> None:
    """Raises UserError unless the batch size is a positive multiple of the number of devices."""
    devices = jax.device_count()
    if batch_size < 1 or batch_size % devices:
        nearest = max(devices, round(batch_size / devices) * devices)
        raise UserError(
            f"{name}={batch_size} cannot be divided over {devices} devices: "
            f"use a multiple of {devices}, such as {nearest}"
        )


def batch_order(seed: int, step: int, *, batch_size: int, num_examples: int) -> np.ndarray:
    """Returns the indices [batch_size] of the examples of one global batch.

    They depend on nothing but the arguments, so a run can resume at any step. Each epoch has its
    own random order; a batch may extend past the end of an epoch.
    """
    position = step * batch_size + np.arange(batch_size)
    epochs, place = np.divmod(position, num_examples)
    order = np.empty(batch_size, np.int32)
    for epoch in np.unique(epochs):
        rows = epochs == epoch
        order[rows] = _epoch_order(seed, int(epoch), num_examples)[place[rows]]
    return order


@functools.lru_cache(maxsize=16)  # two epochs for each of several seeds
def _epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(num_examples)


def host_rows(
    order: np.ndarray, *, process_index: int, process_count: int, local_devices: int
) -> np.ndarray:
    """Returns one host's share of N global batches, split over its devices.

    [N, batch] -> [local devices, N, batch / devices].
    """
    share = np.split(order, process_count, axis=1)[process_index]
    return share.reshape(len(order), local_devices, -1).swapaxes(0, 1)


def training_batches(
    examples: Examples, start: int, stop: int, *, seed: int, batch_size: int
) -> Batch:
    """Returns this host's rows of the global batches of steps start..stop-1.

    Returns:
        A Batch whose leaves start with [local devices, stop - start, batch_size / devices].
    """
    order = [
        batch_order(seed, step, batch_size=batch_size, num_examples=len(examples.labels))
        for step in range(start, stop)
    ]
    return _gather(examples, np.stack(order))


def evaluation_batches(examples: Examples, *, batch_size: int) -> Iterator[Batch]:
    """Yields all examples once, in order; the last batch is padded with examples of weight 0.

    Yields:
        Batches whose leaves start with [local devices, batch_size / devices].
    """
    for start in range(0, len(examples.labels), batch_size):
        order = np.arange(start, start + batch_size, dtype=np.int32)
        yield jax.tree.map(lambda leaf: leaf[:, 0], _gather(examples, order[None]))


def _gather(examples: Examples, order: np.ndarray) -> Batch:
    ids = host_rows(
        order,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        local_devices=jax.local_device_count(),
    )
    real = ids < len(examples.labels)
    ids = np.where(real, ids, 0)
    return Batch(
        images=examples.images[ids],
        labels=examples.labels[ids],
        ids=ids,
        weights=real.astype(np.float32),
    )


def prefetch(make: Callable[[int, int], Batch], ranges: Iterable[tuple[int, int]]) -> Generator:
    """Yields (start, stop, make(start, stop)) for each range.

    While the caller uses one batch, another thread makes the next one, so that training does not
    wait for it.
    """
    with ThreadPoolExecutor(1) as pool:
        upcoming = None
        for following in ranges:
            current, upcoming = upcoming, (*following, pool.submit(make, *following))
            if current is not None:
                yield *current[:2], current[2].result()
        if upcoming is not None:
            yield *upcoming[:2], upcoming[2].result()
