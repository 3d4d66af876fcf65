"""The compiled parts of a run, for one seed or for many seeds at once."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.data.loader import training_batches
from stn_jax.experiments.training.evaluation import Evaluation, make_evaluate
from stn_jax.experiments.training.parallel import parallel_train, shard_batch
from stn_jax.experiments.training.seeds import stack_batches, stack_states, train_many
from stn_jax.experiments.training.setup import Setup
from stn_jax.experiments.training.steps import TrainState


class Program(NamedTuple):
    """The initial state and the functions that the training loop calls."""

    initial: TrainState  # before the first step, not yet on the devices
    batches: Callable[[int, int], Batch]  # of steps start..stop-1, being sent to devices
    train: jax.stages.Wrapped  # as `parallel_train` returns it
    evaluate: Callable[[TrainState], Evaluation]
    examples_per_step: int


def make_program(config: ConfigDict, setup: Setup, seeds: Sequence[int]) -> Program:
    """Returns the program that trains these seeds; `config.seed` is ignored.

    With one seed, states, batches and results have no seed axis. With many seeds they are stacked
    as described in `stn_jax.experiments.training.seeds`, which takes a tenth longer per seed on a
    CPU.
    """
    many = len(seeds) > 1
    step = setup.train_step()
    print("initialising the network", flush=True)
    states = [setup.initial_state(seed) for seed in seeds]

    def batches(start: int, stop: int) -> Batch:
        each = [_batches(config, setup, seed, start, stop) for seed in seeds]
        return shard_batch(stack_batches(each) if many else each[0])

    return Program(
        initial=stack_states(states) if many else states[0],
        batches=batches,
        train=parallel_train(
            train_many(step, seeds) if many else functools.partial(step, seed=seeds[0]),
            config.steps_per_dispatch,
        ),
        evaluate=make_evaluate(setup, config.eval_batch_size, stacked=many),
        examples_per_step=config.batch_size * len(seeds),
    )


def _batches(config: ConfigDict, setup: Setup, seed: int, start: int, stop: int) -> Batch:
    """Returns one seed's batches, padded to a full dispatch: all have the same shape."""
    missing = config.steps_per_dispatch - (stop - start)
    batches = training_batches(
        setup.data.train, start, stop, seed=seed, batch_size=config.batch_size
    )
    return jax.tree.map(
        lambda leaf: np.pad(leaf, ((0, 0), (0, missing)) + ((0, 0),) * (leaf.ndim - 2)), batches
    )
