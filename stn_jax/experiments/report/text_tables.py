"""The numbers of a report as plain-text tables with a column for each run."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stn_jax.experiments.report.runs import Run
from stn_jax.experiments.workdir.run_config import settings

NOTHING = "-"


class TextTable(NamedTuple):
    """A table of plain text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]  # each as long as `head`
    marked: int = 0  # the number of rows, from the first on, to highlight


def results(runs: Sequence[Run]) -> TextTable:
    """Returns the results of each run next to a published error for the same network, if any."""
    rows: dict[str, Callable[[Run], str]] = {
        "test error": lambda run: f"{error_percent(run):.2f}%",
        "published error, same network": _published_error,
        "difference": _difference,
        "test loss": lambda run: f"{run.findings.losses.mean():.4f} nats",
        "network": lambda run: run.network,
        "parameters": lambda run: f"{run.num_params:,}",
        "test set": lambda run: run.dataset,
        "steps": lambda run: f"{run.step:,} of {run.num_steps:,}",
        "training examples seen": lambda run: f"{run.step * run.config.batch_size:,}",
        "training time": _training_time,
        "training speed": _training_speed,
        "device": lambda run: run.result.get("device", NOTHING),
        "versions": lambda run: (
            ", ".join(f"{name} {version}" for name, version in run.result["versions"].items())
            if "versions" in run.result
            else NOTHING
        ),
    }
    if not any(run.compares and run.network in run.published_errors for run in runs):
        del rows["published error, same network"], rows["difference"]
    return TextTable(
        ["", *(run.name for run in runs)],
        [[name, *(text(run) for run in runs)] for name, text in rows.items()],
        marked=1,
    )


def error_percent(run: Run) -> float:
    """Returns the error of the newest checkpoint on the whole test set, in per cent."""
    return 100 * float(run.findings.wrong.mean())


def published(runs: Sequence[Run]) -> TextTable | None:
    """Returns all published errors on such data, or None if there are none."""
    columns: dict[str, Mapping[str, float]] = {}
    for run in runs:
        if run.published_errors not in columns.values():
            columns[run.name] = run.published_errors
    networks = dict.fromkeys(network for errors in columns.values() for network in errors)
    if not networks:
        return None
    head = ["network", *(columns if len(columns) > 1 else ["error"])]
    rows = [
        [network, *(_percent(errors.get(network)) for errors in columns.values())]
        for network in networks
    ]
    return TextTable(head, rows)


def by_group(runs: Sequence[Run]) -> TextTable | None:
    """Returns the test errors by group of examples, or None if the task does not report them."""
    labels = runs[0].labels
    if labels.group_errors_caption is None:
        return None
    groups = [labels.groups(run.findings.labels) for run in runs]
    rows = []
    for group in np.unique(np.concatenate(groups)):
        row = [labels.group_text(group)]
        for run, of_run in zip(runs, groups, strict=True):
            wrong = run.findings.wrong[of_run == group]
            row.append(f"{100 * wrong.mean():.2f}% of {len(wrong):,}" if len(wrong) else NOTHING)
        rows.append(row)
    return TextTable([labels.group_name, *(run.name for run in runs)], rows)


def all_settings(runs: Sequence[Run]) -> TextTable:
    """Returns all settings by dotted key; those that differ between runs come first, marked."""
    configs = [settings(run.config) for run in runs]
    keys = sorted({key for config in configs for key in config})
    values = {key: [_setting(config, key) for config in configs] for key in keys}
    ordered = sorted(keys, key=lambda key: len(set(values[key])) == 1)
    return TextTable(
        ["setting", *(run.name for run in runs)],
        [[key, *values[key]] for key in ordered],
        marked=sum(len(set(texts)) > 1 for texts in values.values()),
    )


def _setting(config: dict[str, object], key: str) -> str:
    if key not in config:
        return NOTHING
    value = config[key]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _published_error(run: Run) -> str:
    return _percent(run.published_errors.get(run.network))


def _difference(run: Run) -> str:
    if run.network not in run.published_errors:
        return NOTHING
    if not run.compares:
        return "other test data"
    return f"{error_percent(run) - run.published_errors[run.network]:+.2f} percentage points"


def _percent(error: float | None) -> str:
    return NOTHING if error is None else f"{error:.2f}".removesuffix("0") + "%"


def _seconds(run: Run) -> float:
    return max((record.get("train_seconds", 0.0) for record in run.records), default=0.0)


def _training_time(run: Run) -> str:
    seconds = _seconds(run)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _training_speed(run: Run) -> str:
    seconds = _seconds(run)
    if not seconds:
        return NOTHING
    return f"{run.step * run.config.batch_size / seconds:,.0f} examples/s"
