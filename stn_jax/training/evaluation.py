"""The error on the fixed test set, and predictions for single images."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from stn_jax.data.distortions import CANVAS
from stn_jax.data.loader import evaluation_batches
from stn_jax.errors import UserError
from stn_jax.training.checkpoints import restore_newest
from stn_jax.training.experiment import Experiment, make_experiment, make_network
from stn_jax.training.optimizer import make_optimizer
from stn_jax.training.parallel import parallel_eval, replicate
from stn_jax.training.steps import TrainState, create_state, eval_step, thetas
from stn_jax.workdir import read_config


class Evaluation(NamedTuple):
    """A network's result on the whole test set."""

    loss: float  # nats per example
    error_percent: float


def make_evaluate(experiment: Experiment, batch_size: int) -> Callable[[TrainState], Evaluation]:
    """A function from a replicated state to its result, compiled once.

    Batches are of `batch_size`, rounded up to what the devices divide.
    """
    devices = jax.device_count()
    batches = evaluation_batches(experiment.test, batch_size=-(-batch_size // devices) * devices)
    run = parallel_eval(
        functools.partial(
            eval_step, model=experiment.model, preprocess=experiment.preprocessing.test
        )
    )

    def evaluate(state: TrainState) -> Evaluation:
        sums = jax.device_get(run(state, batches))
        examples = sums["examples"].item()
        return Evaluation(sums["loss"].item() / examples, 100 * sums["wrong"].item() / examples)

    return evaluate


def evaluate_workdir(workdir: Path) -> tuple[int, Evaluation]:
    """The step and the test result of the newest checkpoint of a run."""
    config = read_config(workdir)
    _, state = restore(workdir, config)
    experiment = make_experiment(config)
    evaluate = make_evaluate(experiment, config.eval_batch_size)
    return int(state.step), evaluate(replicate(state))


def restore(workdir: Path, config: ConfigDict) -> tuple[nn.Module, TrainState]:
    """The network and the newest state of the run in `workdir`.

    Raises:
        UserError: nothing was saved there.
    """
    model = make_network(config)
    optimizer = make_optimizer(config.optimizer, num_steps=1)  # of its state only the shapes count
    template = create_state(model, optimizer, config.seed, CANVAS[config.data.distortion])
    state, _ = restore_newest(workdir / "checkpoints", template)
    if state is None:
        raise UserError(f"the run in {workdir} has saved no checkpoint yet: train it first")
    return model, state


class Transformed(NamedTuple):
    """What a network makes of images, with the transformer's inner values where there is one."""

    probabilities: Array  # [B, classes]
    theta: Array | None  # [B, params]
    grid: Array | None  # [B, H', W', 2]
    output: Array | None  # [B, H', W', C]


@functools.partial(jax.jit, static_argnums=0)
def transform(model: nn.Module, state: TrainState, images: Array) -> Transformed:
    """Runs the network on images [B, canvas, canvas, 1] in 0..1, keeping what is inside."""
    logits, captured = model.apply(
        {"params": state.params, "batch_stats": state.batch_stats},
        images,
        capture_intermediates=lambda module, _: module.name == "transformer",
        mutable=["intermediates"],
    )
    inner = captured.get("intermediates", {})
    transformer = inner.get("transformer")
    probabilities = jax.nn.softmax(logits)
    if transformer is None:
        return Transformed(probabilities, None, None, None)
    return Transformed(
        probabilities,
        theta=thetas(inner)["transformer/theta"],
        grid=transformer["grid"][0],
        output=transformer["__call__"][0],
    )
