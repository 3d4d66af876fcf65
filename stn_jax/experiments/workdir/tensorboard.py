"""The TensorBoard events of a run: one file, which a resumed run replaces.

The new file has each value up to the step at which the run is resumed once: the numbers of
`metrics.jsonl`, and the pictures and histograms of the old file.
"""

import io
import itertools
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from stn_jax.errors import one_line
from stn_jax.experiments.workdir.event_format import (
    Event,
    SessionLog,
    Summary,
    histogram,
    masked_crc32c,
)
from stn_jax.files import write_atomically

_PREFIX = "events.out.tfevents."
_TAGS = {
    "loss": ("loss/train", 1),
    "test_loss": ("loss/test", 1),
    "error": ("error_percent/train", 100),
    "test_error_percent": ("error_percent/test", 1),
}
"""The tags of some metrics and their factors, so that TensorBoard shows them side by side."""

_EDGES = 1e-12 * 1.1 ** np.arange(774)  # up to 1e20, as in TensorFlow
_BINS = np.concatenate([-_EDGES[::-1], [0], _EDGES])


class TensorBoardLog:
    """Writes values by step, in the order of the steps; a tag gets one value per step.

    A failure is reported in one line and ends the log, because a run does not need it.

    Args:
        workdir: the run's folder.
        start_step: the step at which training starts; later events are dropped.
        metrics: the records of `metrics.jsonl` up to this step.
        param_names: the names of theta's entries.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        start_step: int,
        metrics: Iterable[Mapping],
        param_names: Sequence[str] = (),
    ):
        self._param_names = param_names
        self._file: BinaryIO | None = None
        self._step, self._tags = start_step, set[str]()
        try:
            old = sorted(workdir.glob(f"{_PREFIX}*"))
            kept = _kept_events(old, start_step, metrics, param_names)
            self._tags = {
                v.tag for event in kept if event.step == start_step for v in event.summary.value
            }
            # TensorBoard reads files in alphabetical order: this one comes after the old ones.
            path = workdir / f"{_PREFIX}{time.time_ns()}.{socket.gethostname()}"
            first = Event(wall_time=time.time(), file_version="brain.Event:2")
            # This makes a running TensorBoard forget what it has read from the old files.
            start = Event(wall_time=time.time(), session_log=SessionLog(status=SessionLog.START))
            write_atomically(path, b"".join(map(_record, [first, start, *kept])))
            for other in old:
                other.unlink()
            self._file = path.open("ab")
        except Exception as error:
            self._fail(error)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def write(self, step: int, metrics: Mapping[str, float | np.ndarray]) -> None:
        """Writes numbers, and arrays entry by entry."""
        self._write(step, _scalars(metrics, self._param_names))

    def write_picture(self, step: int, name: str, png: bytes) -> None:
        """Writes a picture."""
        with Image.open(io.BytesIO(png)) as picture:
            width, height = picture.size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._write(step, [Summary.Value(tag=name, image=image)])

    def write_histogram(self, step: int, name: str, values: np.ndarray) -> None:
        """Writes a histogram of finite values."""
        values = np.clip(values, _BINS[0], _BINS[-1])
        (value,) = histogram("", values, _BINS).value
        value.tag = name  # tensorboardX would replace spaces and brackets
        self._write(step, [value])

    def _write(self, step: int, values: Iterable[Summary.Value]) -> None:
        if self._file is None:
            return
        if step != self._step:
            self._step, self._tags = step, set()
        new = [value for value in values if value.tag not in self._tags]
        self._tags.update(value.tag for value in new)
        try:
            self._file.write(_record(_event(step, time.time(), new)))
            self._file.flush()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._file = None
        print(
            "TensorBoard events are no longer written, but metrics.jsonl is: "
            f"{one_line(error)[:200]}",
            file=sys.stderr,
        )


def read_events(path: Path) -> Iterator[Event]:
    """Yields the events of a file up to the first that is damaged or incomplete."""
    content = memoryview(path.read_bytes())
    while len(content) >= 12:
        length, checksum = struct.unpack("<QI", content[:12])
        data, rest = content[12 : 12 + length], content[12 + length :]
        if checksum != masked_crc32c(bytes(content[:8])) or len(rest) < 4:
            return
        if struct.unpack("<I", rest[:4])[0] != masked_crc32c(bytes(data)):
            return
        yield Event.FromString(bytes(data))
        content = rest[4:]


def _kept_events(
    paths: Iterable[Path], last_step: int, metrics: Iterable[Mapping], param_names: Sequence[str]
) -> list[Event]:
    """Returns an event for each step up to `last_step`."""
    values: dict[tuple[int, str], Summary.Value] = {}
    times: dict[int, float] = {}
    for path in paths:
        for event in read_events(path):
            if event.step <= last_step:
                times.setdefault(event.step, event.wall_time)
                for value in event.summary.value:
                    if not value.HasField("simple_value"):
                        values[event.step, value.tag] = value
    for record in metrics:
        numbers = {name: record[name] for name in record if name != "step"}
        for value in _scalars(numbers, param_names):
            values[record["step"], value.tag] = value
    return [
        _event(step, times.get(step, time.time()), (values[key] for key in keys))
        for step, keys in itertools.groupby(sorted(values), key=lambda key: key[0])
    ]


def _scalars(
    metrics: Mapping[str, float | np.ndarray], param_names: Sequence[str]
) -> Iterator[Summary.Value]:
    for name, numbers in metrics.items():
        tag, factor = _TAGS.get(name, (name, 1))
        values = np.asarray(numbers)
        for place in np.ndindex(values.shape):
            entries = list(map(str, place)) if values.size > 1 else []
            if entries and "theta/" in name:  # [P] or, of many seeds, [seeds, P]
                entries[-1] = theta_entry(place[-1], param_names)
            number = factor * float(values[place])
            yield Summary.Value(tag="/".join([tag, *entries]), simple_value=number)


def theta_entry(place: int, param_names: Sequence[str]) -> str:
    """Returns the name of an entry of theta; the last one of a homography has none."""
    return param_names[place] if place < len(param_names) else str(place)


def _event(step: int, wall_time: float, values: Iterable[Summary.Value]) -> Event:
    return Event(step=step, wall_time=wall_time, summary=Summary(value=values))


def _record(event: Event) -> bytes:
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    return length + next(checksums) + data + next(checksums)
