"""Evaluation on the fixed test set."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from stn_jax.experiments.data.examples import Batch
from stn_jax.experiments.data.loader import evaluation_batches
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.memory import compile_within_memory
from stn_jax.experiments.training.parallel import parallel_eval, replicate, shard_batch
from stn_jax.experiments.training.seeds import eval_many
from stn_jax.experiments.training.setup import Setup, make_setup
from stn_jax.experiments.training.steps import TrainState, eval_step
from stn_jax.experiments.workdir.run_config import read_config


class Evaluation(NamedTuple):
    """The results of a network on the whole test set.

    For a stack of networks, all fields are [seeds].
    """

    loss: np.ndarray  # [], nats per example
    error_percent: np.ndarray  # []
    details: Mapping[str, np.ndarray]  # further errors in per cent, by name


def make_evaluate(
    setup: Setup, batch_size: int, *, stacked: bool = False
) -> Callable[[TrainState], Evaluation]:
    """Returns a function that evaluates a replicated state; it is compiled once.

    Args:
        setup: provides the data and the network.
        batch_size: the batch size, rounded up to a multiple of the number of devices.
        stacked: whether the state holds many seeds, stacked as described in
            `stn_jax.experiments.training.seeds`.
    """
    step = functools.partial(
        eval_step,
        model=setup.model,
        labels=setup.labels,
        preprocess=setup.data.preprocessing.test,
    )
    return make_evaluate_with(eval_many(step) if stacked else step, setup, batch_size)


def make_evaluate_with(
    step: Callable[[Any, Batch], dict[str, Array]], setup: Setup, batch_size: int
) -> Callable[[Any], Evaluation]:
    """Returns what `make_evaluate` does, for a step of one's own.

    Args:
        step: a function of a state, or of a tree of arrays that holds one, and a batch; it returns
            sums as `eval_step` does.
        setup: provides the data.
        batch_size: as in `make_evaluate`.
    """
    devices = jax.device_count()
    run = parallel_eval(step)
    programs: list[jax.stages.Compiled] = []

    def compiled(state: Any, batch: Batch) -> jax.stages.Compiled:
        if not programs:
            programs.append(compile_within_memory(run, state, batch))
        return programs[0]

    def evaluate(state: Any) -> Evaluation:
        batches = map(
            shard_batch,
            evaluation_batches(setup.data.test, batch_size=-(-batch_size // devices) * devices),
        )
        parts = [jax.device_get(compiled(state, batch)(state, batch)) for batch in batches]
        sums = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=float), *parts)
        return _evaluation(sums, setup.labels)

    return evaluate


def _evaluation(sums: Mapping[str, np.ndarray], labels: LabelKind) -> Evaluation:
    loss, error = sums["loss"] / sums["examples"], sums["wrong"] / sums["examples"]
    return Evaluation(loss, 100 * error, labels.error_details(sums))


def evaluate_workdir(workdir: Path) -> tuple[int, Evaluation]:
    """Returns the step and the test results of the newest checkpoint of a run."""
    config = read_config(workdir)
    _, state = restore(workdir, config)
    setup = make_setup(config)
    evaluate = make_evaluate(setup, config.eval_batch_size)
    return int(state.step), evaluate(replicate(state))
