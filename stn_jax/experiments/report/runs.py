"""What trained runs have written, and their networks on the test set."""

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
from stn_jax.experiments.training.experiment import make_experiment
from stn_jax.experiments.workdir.metrics import read_metrics
from stn_jax.experiments.workdir.result import read_result
from stn_jax.experiments.workdir.run_config import read_config
from stn_jax.experiments.workdir.theta_history import ThetaHistory, read_theta_history


class Run(NamedTuple):
    """One run, as far as it was trained."""

    name: str  # told apart from the other runs of a report
    config: ConfigDict
    records: Sequence[Mapping]  # of metrics.jsonl
    result: Mapping[str, Any]  # of result.json; {} if training was not finished
    theta_history: ThetaHistory | None
    network: str
    dataset: str
    num_params: int
    step: int  # of the newest checkpoint
    num_steps: int  # of the whole training
    findings: Findings

    @property
    def labels(self) -> LabelKind:
        """The kind of the task's labels."""
        return find_task(self.config).LABELS

    @property
    def paper_errors(self) -> Mapping[str, float]:
        """The paper's test errors on such data in per cent, by network."""
        return find_task(self.config).paper_errors(self.config)

    @property
    def paper_source(self) -> str:
        """`config.data.source` of the data that the paper's errors are of."""
        return find_task(self.config).PAPER_SOURCE

    @property
    def compares(self) -> bool:
        """Whether the test error is on the paper's test set."""
        data = self.config.data
        return data.source == self.paper_source and data.get("evaluate_on", "test") == "test"


def read_runs(workdirs: Sequence[Path]) -> list[Run]:
    """Reads the runs and tries their newest checkpoints on their test sets.

    Raises:
        UserError: a folder holds no run, or one without a checkpoint; it is named twice; or the
            runs are of more than one task, whose errors do not compare.
    """
    configs = [read_config(workdir) for workdir in workdirs]
    for place, (workdir, config) in enumerate(zip(workdirs, configs, strict=True)):
        if workdir.resolve() in [other.resolve() for other in workdirs[:place]]:
            raise UserError(f"--workdir={workdir} is named twice: name each run once")
        if config.task != configs[0].task:
            raise UserError(
                f"{workdir} is a run of {config.task}, {workdirs[0]} one of {configs[0].task}: "
                "their errors do not compare, write a report of each"
            )
    names = short_names(workdirs)
    return [_read(*each) for each in zip(names, workdirs, configs, strict=True)]


def _read(name: str, workdir: Path, config: ConfigDict) -> Run:
    result, history = read_result(workdir), read_theta_history(workdir)
    model, state = restore(workdir, config)
    print(f"{workdir}: step {int(state.step)} on the test set ...", file=sys.stderr, flush=True)
    experiment = make_experiment(config)
    return Run(
        name=name,
        config=config,
        records=read_metrics(workdir / "metrics.jsonl"),
        result=result,
        theta_history=history,
        network=experiment.model_name,
        dataset=experiment.data.name,
        num_params=state.num_params,
        step=int(state.step),
        num_steps=experiment.num_steps,
        findings=examine(experiment, model, state, config.eval_batch_size),
    )


def short_names(workdirs: Sequence[Path]) -> list[str]:
    """The folders' own names, or where two are the same, their paths."""
    names = [workdir.resolve().name for workdir in workdirs]
    return names if len(set(names)) == len(names) else [str(workdir) for workdir in workdirs]
