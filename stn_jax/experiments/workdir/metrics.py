"""The metrics of a run: `metrics.jsonl`, and TensorBoard events."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.workdir.json_files import NUMBER, Kind, check_entries
from stn_jax.experiments.workdir.tensorboard import TensorBoardLog, theta_entry
from stn_jax.files import write_atomically


class MetricLog:
    """Writes metrics by step to `metrics.jsonl` and TensorBoard. Use it as a context manager.

    Args:
        workdir: the run's folder.
        start_step: the step at which training starts. Records of later steps are dropped, because
            those steps will be repeated.
        param_names: the names of theta's entries for TensorBoard.

    Attributes:
        train_seconds: the training time of the steps up to `start_step`.

    Raises:
        UserError: if `metrics.jsonl` is damaged.
    """

    def __init__(self, workdir: Path, *, start_step: int, param_names: Sequence[str] = ()):
        path = workdir / "metrics.jsonl"
        records = [r for r in read_metrics(path) if r["step"] <= start_step]
        if path.exists():
            write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))
        self.train_seconds = max((r.get("train_seconds", 0.0) for r in records), default=0.0)
        self._lines = path.open("a")
        self._param_names = param_names
        self._tensorboard = TensorBoardLog(
            workdir, start_step=start_step, metrics=records, param_names=param_names
        )

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, *exception) -> None:
        self._lines.close()
        self._tensorboard.close()

    def write(self, step: int, metrics: Mapping[str, float | np.ndarray]) -> None:
        """Writes metrics after `step` steps."""
        record = {name: np.asarray(value).tolist() for name, value in metrics.items()}
        self._lines.write(json.dumps({"step": step, **record}) + "\n")
        self._lines.flush()
        self._tensorboard.write(step, metrics)

    def write_picture(self, step: int, name: str, png: bytes) -> None:
        """Writes a picture after `step` steps to TensorBoard."""
        self._tensorboard.write_picture(step, name, png)

    def write_histogram(self, step: int, path: str, entry: int, values: np.ndarray) -> None:
        """Writes a histogram of an entry of a transformer's theta to TensorBoard."""
        name = f"{path}/theta/{theta_entry(entry, self._param_names)}"
        self._tensorboard.write_histogram(step, name, values)


def read_metrics(path: Path) -> list[dict]:
    """Reads the records of a `metrics.jsonl`; returns [] if there is none.

    A last line that a killed run left incomplete is skipped.

    Raises:
        UserError: if another line is damaged.
    """
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    records = []
    for number, line in enumerate([*lines, last], 1):
        try:
            if line.strip():
                records.append(_record(line))
        except (ValueError, RecursionError) as error:
            if number <= len(lines):
                raise UserError(
                    f"{path} cannot be read: line {number} is damaged ({error}): remove that line "
                    "to continue without it"
                ) from error
    return records


_STEP = Kind("a step", lambda value: type(value) is int and 0 <= value < 2**31)


def _record(line: bytes) -> dict:
    record = json.loads(line)
    check_entries(record, {"step": _STEP})
    check_entries(record, {"train_seconds": NUMBER} if "train_seconds" in record else {})
    check_entries(record, dict.fromkeys(record, Kind("a number or numbers", _are_numbers)))
    return record


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list):
        np.shape(value)  # raises ValueError unless all rows are of equal length
        return all(map(_are_numbers, value))
    return type(value) is float or NUMBER.accepts(value)  # of a run that diverged: also NaN
