"""What may look at a run while it trains, such as pictures: the loop knows no more than this."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ml_collections import ConfigDict

from stn_jax.experiments.training.experiment import Experiment
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.metrics import MetricLog


class Hook(Protocol):
    """Reads the states of a run of one seed; the time it takes is not training time."""

    def begin(self, state: TrainState) -> None:
        """Is called before the first step of this process."""

    def wants(self, start: int, end: int) -> bool:
        """Returns whether `look` is to be called after steps start..end-1."""

    def look(self, step: int, state: TrainState) -> None:
        """Is called after `step` steps, if `wants` said so."""

    def evaluated(self, step: int, state: TrainState, train_seconds: float) -> None:
        """Is called after each evaluation but the last."""

    def finish(self, state: TrainState) -> None:
        """Is called after the last step, when the result is written."""


MakeHook = Callable[[ConfigDict, Experiment, Path, MetricLog], Hook]
"""Makes the hook of a run from its config, its experiment, its workdir and its log."""
