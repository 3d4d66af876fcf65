"""The metrics of a run: `metrics.jsonl` and TensorBoard events."""

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from stn_jax.files import write_atomically


class MetricLog:
    """Writes metrics by step to `metrics.jsonl` and TensorBoard. Use it as a context manager.

    Args:
        workdir: the run's folder.
        start_step: the step at which training starts. Records of later steps are dropped, because
            those steps will be repeated.

    Attributes:
        train_seconds: the training time of the steps up to `start_step`.
    """

    def __init__(self, workdir: Path, *, start_step: int):
        path = workdir / "metrics.jsonl"
        records = [r for r in read_metrics(path) if r["step"] <= start_step]
        if path.exists():
            write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))
        self.train_seconds = max((r.get("train_seconds", 0.0) for r in records), default=0.0)
        self._lines = path.open("a")
        self._tensorboard = SummaryWriter(str(workdir), purge_step=start_step + 1)

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, *exception) -> None:
        self._lines.close()
        self._tensorboard.close()

    def write(self, step: int, metrics: Mapping[str, float | np.ndarray]) -> None:
        """Writes metrics after `step` steps; TensorBoard receives arrays entry by entry."""
        record = {name: np.asarray(value).tolist() for name, value in metrics.items()}
        self._lines.write(json.dumps({"step": step, **record}) + "\n")
        self._lines.flush()
        for name, value in metrics.items():
            entries = np.ravel(value)
            for entry, number in enumerate(entries):
                tag = name if len(entries) == 1 else f"{name}/{entry}"
                self._tensorboard.add_scalar(tag, number, step)

    def write_picture(self, step: int, name: str, png: bytes) -> None:
        """Writes a picture after `step` steps to TensorBoard."""
        with Image.open(io.BytesIO(png)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._tensorboard.add_image(name, pixels, step, dataformats="HWC")

    def write_histogram(self, step: int, name: str, values: np.ndarray) -> None:
        """Writes a histogram of values after `step` steps to TensorBoard."""
        self._tensorboard.add_histogram(name, values, step)


def read_metrics(path: Path) -> list[dict]:
    """Reads the records of a `metrics.jsonl`; skips a line that a killed run left incomplete."""
    records = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                records.append(record)
    return records
