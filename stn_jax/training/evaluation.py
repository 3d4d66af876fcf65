"""The errors on the fixed test set, and what a network makes of single images."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax import Array
from ml_collections import ConfigDict

from stn_jax.data.loader import evaluation_batches
from stn_jax.errors import UserError
from stn_jax.modules.spatial_transformer import SpatialTransformer
from stn_jax.tasks import find_task
from stn_jax.training.checkpoints import restore_newest
from stn_jax.training.experiment import Experiment, make_experiment
from stn_jax.training.optimizer import make_optimizer
from stn_jax.training.parallel import parallel_eval, replicate
from stn_jax.training.seeds import eval_many
from stn_jax.training.steps import DEVICES, TrainState, create_state, eval_step
from stn_jax.workdir import read_config


class Evaluation(NamedTuple):
    """A network's result on the whole test set, or that of a stack of networks: all are [seeds]."""

    loss: np.ndarray  # [], nats per example
    error_percent: np.ndarray  # []
    details: Mapping[str, np.ndarray]  # more errors in per cent, by name


def make_evaluate(
    experiment: Experiment, batch_size: int, *, stacked: bool = False
) -> Callable[[TrainState], Evaluation]:
    """A function from a replicated state to its result, compiled once.

    Batches are of `batch_size`, rounded up to what the devices divide. `stacked`: the state is that
    of many seeds, as `stn_jax.training.seeds` lays it out.
    """
    devices = jax.device_count()
    step = functools.partial(
        eval_step, model=experiment.model, preprocess=experiment.data.preprocessing.test
    )
    run = parallel_eval(eval_many(step) if stacked else step)

    def evaluate(state: TrainState) -> Evaluation:
        batches = evaluation_batches(
            experiment.data.test, batch_size=-(-batch_size // devices) * devices
        )
        parts = [jax.device_get(run(state, batch)) for batch in batches]
        return _evaluation(
            jax.tree.map(lambda *leaves: np.sum(leaves, axis=0, dtype=float), *parts)
        )

    return evaluate


def _evaluation(sums: Mapping[str, np.ndarray]) -> Evaluation:
    details = {}
    if "digits" in sums:
        details["digit_error_percent"] = 100 * sums["wrong_digits"] / sums["digits"]
        by_length = zip(sums["wrong_by_length"].T, sums["examples_by_length"].T, strict=True)
        for length, (wrong, examples) in enumerate(by_length):
            if examples.any():
                details[f"error_percent_length_{length}"] = 100 * wrong / examples
    loss, error = sums["loss"] / sums["examples"], sums["wrong"] / sums["examples"]
    return Evaluation(loss, 100 * error, details)


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
    task = find_task(config)
    model = task.make_network(config, axis_name=DEVICES)
    optimizer = make_optimizer(config.optimizer, num_steps=1)  # of its state only the shapes count
    template = create_state(model, optimizer, config.seed, task.input_shape(config))
    state, _ = restore_newest(workdir / "checkpoints", template)
    if state is None:
        raise UserError(f"the run in {workdir} has saved no checkpoint yet: train it first")
    return model, state


class TransformerView(NamedTuple):
    """What one spatial transformer did with a batch."""

    inputs: Array  # [B, H, W, C]
    theta: Array  # [B, ...]
    grid: Array  # [B, H', W', 2]
    outputs: Array  # [B, H', W', C]


class Transformed(NamedTuple):
    """What a network makes of images."""

    probabilities: Array  # [B, classes], or [B, digits, classes] for numbers
    transformers: Mapping[str, TransformerView]  # by path, from the input on


@functools.partial(jax.jit, static_argnums=0)
def transform(model: nn.Module, state: TrainState, images: Array) -> Transformed:
    """Runs the network on images as its preprocessing gives them, keeping what is inside."""
    logits, captured = model.apply(
        {"params": state.params, "batch_stats": state.batch_stats},
        images,
        capture_intermediates=lambda module, _: isinstance(module, SpatialTransformer),
        mutable=["intermediates"],
    )
    inner = {
        path: value[0]
        for path, value in flatten_dict(captured.get("intermediates", {}), sep="/").items()
    }
    paths = [name.removesuffix("/theta") for name in inner if name.endswith("/theta")]
    views = {
        path: TransformerView(
            inputs=inner[f"{path}/inputs"],
            theta=inner[f"{path}/theta"],
            grid=inner[f"{path}/grid"],
            outputs=inner[f"{path}/__call__"],
        )
        for path in sorted(paths)
    }
    return Transformed(jax.nn.softmax(logits.astype(jnp.float32)), views)
