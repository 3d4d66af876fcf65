"""Reads what trained runs have written, and evaluates their networks on the test set."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.labels import LabelKind
from stn_jax.experiments.report.findings import Findings, examine
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.checkpoints import restore
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.workdir.metrics import read_metrics
from stn_jax.experiments.workdir.result import read_result
from stn_jax.experiments.workdir.run_config import read_config
from stn_jax.experiments.workdir.theta_history import ThetaHistory, read_theta_history


class Run(NamedTuple):
    """One run, finished or not."""

    name: str  # unique among the runs of a report
    config: ConfigDict
    records: Sequence[Mapping]  # from metrics.jsonl
    result: Mapping[str, Any]  # from result.json; {} if training has not finished
    theta_history: ThetaHistory | None
    network: str
    dataset: str
    num_params: int
    step: int  # of the newest checkpoint
    num_steps: int  # of the whole training
    findings: Findings

    @property
    def labels(self) -> LabelKind:
        """Returns the kind of the task's labels."""
        return find_task(self.config).labels(self.config)

    @property
    def published_errors(self) -> Mapping[str, float]:
        """Returns published test errors on such data, in per cent, by network."""
        return find_task(self.config).published_errors(self.config)

    @property
    def published_source(self) -> str | None:
        """Returns the `config.data.source` that published errors are for."""
        return find_task(self.config).PUBLISHED_SOURCE

    @property
    def compares(self) -> bool:
        """Returns whether the test error is measured on the test set of published errors."""
        data = self.config.data
        is_same_source = data.get("source") == self.published_source
        return is_same_source and data.get("evaluate_on", "test") == "test"


def read_runs(workdirs: Sequence[Path]) -> list[Run]:
    """Reads the runs and evaluates their newest checkpoints on their test sets.

    Raises:
        UserError: as in `read_comparable_configs`, or a run has no checkpoint.
    """
    names, configs = short_names(workdirs), read_comparable_configs(workdirs)
    return [_read(*each) for each in zip(names, workdirs, configs, strict=True)]


def read_comparable_configs(workdirs: Sequence[Path]) -> list[ConfigDict]:
    """Reads the configs of runs whose errors can be compared.

    Raises:
        UserError: a folder holds no run; a folder is named twice; or the runs belong to more than
            one task or have different classes, so that their errors are not comparable.
    """
    configs = [read_config(workdir) for workdir in workdirs]
    for place, (workdir, config) in enumerate(zip(workdirs, configs, strict=True)):
        if workdir.resolve() in [other.resolve() for other in workdirs[:place]]:
            raise UserError(f"--workdir={workdir} is named twice: name each run once")
        if config.task != configs[0].task:
            raise UserError(
                f"{workdir} is a run of {config.task}, {workdirs[0]} is one of {configs[0].task}: "
                "their errors are not comparable, write a separate report for each"
            )
        if _class_names(config) != _class_names(configs[0]):
            raise UserError(
                f"{workdir} and {workdirs[0]} have different classes: their errors are not "
                "comparable, write a separate report for each"
            )
    return configs


def _class_names(config: ConfigDict) -> tuple[str, ...]:
    return tuple(find_task(config).labels(config).class_names)


def _read(name: str, workdir: Path, config: ConfigDict) -> Run:
    result, history = read_result(workdir), read_theta_history(workdir)
    model, state = restore(workdir, config)
    print(f"{workdir}: evaluating step {int(state.step)} ...", file=sys.stderr, flush=True)
    setup = make_setup(config)
    return Run(
        name=name,
        config=config,
        records=read_metrics(workdir / "metrics.jsonl"),
        result=result,
        theta_history=history,
        network=setup.model_name,
        dataset=setup.data.name,
        num_params=state.num_params,
        step=int(state.step),
        num_steps=setup.num_steps,
        findings=examine(setup, model, state, config.eval_batch_size),
    )


def short_names(workdirs: Sequence[Path]) -> list[str]:
    """Returns the folders' names, or their paths if two names are the same."""
    names = [workdir.resolve().name for workdir in workdirs]
    return names if len(set(names)) == len(names) else [str(workdir) for workdir in workdirs]
