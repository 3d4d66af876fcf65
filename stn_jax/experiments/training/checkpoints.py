"""Checkpoints of the training state, written with Orbax: the newest few and the best are kept."""

import hashlib
import json
import sys
from pathlib import Path

import jax
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict
from orbax.checkpoint import v1 as ocp

from stn_jax.errors import UserError
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.steps import DEVICES, TrainState, create_state

METRIC = "test_error_percent"


class Checkpoints:
    """Saves the states of one run below `directory`. Use it as a context manager.

    States are stored as host arrays, so that they can be restored on any number of devices. A
    digest of the values is stored with each state, so that damaged checkpoints are detected.
    """

    def __init__(self, directory: Path, *, keep_newest: int):
        policies = ocp.training.preservation_policies
        self._checkpointer = ocp.training.Checkpointer(
            directory.absolute(),  # Orbax requires an absolute path
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(keep_newest),
                    policies.BestN(
                        get_metric_fn=lambda metrics: metrics[METRIC],
                        reverse=True,
                        n=1,
                        keep_checkpoints_without_metrics=False,
                    ),
                ]
            ),
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception) -> None:
        self._checkpointer.close()

    def save(self, state: TrainState, test_error_percent: float | None = None) -> None:
        """Saves the state under its step number, and returns once it is on disk.

        Raises:
            TrainingDivergedError: if the parameters are not finite; nothing is saved.
        """
        host_state = jax.tree.map(np.array, state)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host_state.params)):
            raise TrainingDivergedError(
                f"the parameters after step {int(state.step)} are not finite and were not saved; "
                "earlier checkpoints are kept. Try a lower config.optimizer.learning_rate"
            )
        self._checkpointer.save(
            int(state.step),
            host_state,
            force=True,
            overwrite=True,
            metrics=None if test_error_percent is None else {METRIC: test_error_percent},
            custom_metadata={"sha256": _digest(host_state)},
        )


def restore_newest(directory: Path, template: TrainState) -> tuple[TrainState | None, list[Path]]:
    """Returns the newest readable state (None if nothing was saved yet) and the broken checkpoints.

    Broken checkpoints are reported and skipped; nothing on disk is changed.

    Args:
        directory: the folder with the checkpoints of a run.
        template: a state with the same structure and shapes.

    Returns:
        The state as host arrays, and the folders of the broken checkpoints.

    Raises:
        UserError: if there are checkpoints, but none of them can be read.
    """
    steps = [path for path in directory.glob("*") if path.is_dir() and path.name.isdigit()]
    newest, broken = None, []
    for path in sorted(steps, key=lambda path: int(path.name), reverse=True):
        try:
            state = _load(path, template)
        except (PermissionError, MemoryError):
            raise
        # Orbax does not document which exceptions it raises for damaged files.
        except Exception as error:
            broken.append(path)
            reason = " ".join(str(error).split())[:100]
            print(f"checkpoint {path} is broken and was skipped ({reason})", file=sys.stderr)
        else:
            newest = newest or state
    if broken and newest is None:
        raise UserError(
            f"none of the checkpoints in {directory} can be read: choose another --workdir to "
            "start again"
        )
    return newest, broken


def restore(workdir: Path, config: ConfigDict) -> tuple[nn.Module, TrainState]:
    """Returns the network and the newest state of the run in `workdir`.

    Raises:
        UserError: if nothing has been saved there.
    """
    task = find_task(config)
    model = task.make_network(config, axis_name=DEVICES)
    optimizer = make_optimizer(config.optimizer, num_steps=1)  # only the shapes of its state matter
    template = create_state(model, optimizer, config.seed, task.input_shape(config))
    state, _ = restore_newest(workdir / "checkpoints", template)
    if state is None:
        raise UserError(f"the run in {workdir} has saved no checkpoint yet: train it first")
    return model, state


def _load(path: Path, template: TrainState) -> TrainState:
    path = path.absolute()
    state = ocp.load(path, jax.tree.map(np.array, template), checkpointable_name="state")
    metadata = ocp.metadata(path).custom_metadata
    if metadata is None or metadata["sha256"] != _digest(state):
        raise ValueError("its values differ from those that were saved")
    # The checkpointer reads the metrics when it opens the folder, and would fail on a damaged file.
    metrics = path / "metrics" / "metrics"
    if metrics.exists():
        json.loads(metrics.read_text())[METRIC]
    return state


def _digest(state: TrainState) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
