"""The interface of hooks, which observe a run while it trains, for example to draw pictures.

The training loop depends on this interface only.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ml_collections import ConfigDict

from stn_jax.experiments.training.setup import Setup
from stn_jax.experiments.training.steps import TrainState
from stn_jax.experiments.workdir.metrics import MetricLog


class Hook(Protocol):
    """Observes the states of a single-seed run; the time it takes is not training time."""

    def begin(self, state: TrainState) -> None:
        """Is called before this process takes its first step."""

    def wants(self, start: int, end: int) -> bool:
        """Returns whether `look` should be called after steps start..end-1."""

    def look(self, step: int, state: TrainState) -> None:
        """Is called after `step` steps if `wants` returned True for them."""

    def evaluated(self, step: int, state: TrainState, train_seconds: float) -> None:
        """Is called after each evaluation except the last."""

    def finish(self, state: TrainState) -> None:
        """Is called after the last step, once the result has been written."""


MakeHook = Callable[[ConfigDict, Setup, Path, MetricLog], Hook]
"""Creates the hook of a run from the run's config, setup, workdir and log."""
