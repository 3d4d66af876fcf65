"""The TensorBoard events of a run: one file, which a resumed run writes anew.

The new file has each value once: what was written before, up to the step at which the run is
resumed, and what `metrics.jsonl` has in addition.
"""

import io
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import histogram

from stn_jax.files import write_atomically

_PREFIX = "events.out.tfevents."
_EDGES = 1e-12 * 1.1 ** np.arange(774)  # up to 1e20, as in TensorFlow
_BINS = np.concatenate([-_EDGES[::-1], [0], _EDGES])


class TensorBoardLog:
    """Writes values by step, in the order of the steps; a tag gets one value per step.

    A failure is reported in one line and ends the log, because a run does not need it.

    Args:
        workdir: the run's folder.
        start_step: the step at which training starts; later events are dropped.
        metrics: the records of `metrics.jsonl` up to this step.
    """

    def __init__(self, workdir: Path, *, start_step: int, metrics: Iterable[Mapping]):
        self._file: BinaryIO | None = None
        self._step, self._tags = start_step, set[str]()
        try:
            old = sorted(workdir.glob(f"{_PREFIX}*"))
            values = _values(old, start_step, metrics)
            self._tags = {tag for step, tag in values if step == start_step}
            # The name is later than the old ones, also in TensorBoard's alphabetical order.
            path = workdir / f"{_PREFIX}{time.time_ns()}.{socket.gethostname()}"
            first = Event(wall_time=time.time(), file_version="brain.Event:2")
            # This makes a TensorBoard that is open forget what it has read from the old files.
            start = Event(wall_time=time.time(), session_log=SessionLog(status=SessionLog.START))
            events = [first, start, *(values[key] for key in sorted(values))]
            write_atomically(path, b"".join(map(_record, events)))
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
        self._write(step, _scalars(metrics))

    def write_picture(self, step: int, name: str, png: bytes) -> None:
        """Writes a picture."""
        with Image.open(io.BytesIO(png)) as picture:
            width, height = picture.size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._write(step, [Summary.Value(tag=name, image=image)])

    def write_histogram(self, step: int, name: str, values: np.ndarray) -> None:
        """Writes a histogram of finite values."""
        values = np.clip(values, _BINS[0], _BINS[-1])
        self._write(step, histogram(name, values, _BINS).value)

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
        text = " ".join(str(error).split())[:200]
        print(f"TensorBoard gets no more values, but metrics.jsonl: {text}", file=sys.stderr)


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


def _values(
    paths: Iterable[Path], last_step: int, metrics: Iterable[Mapping]
) -> dict[tuple[int, str], Event]:
    """Returns an event for each value up to `last_step`, by step and tag."""
    found = {}
    for path in paths:
        for event in read_events(path):
            if event.step <= last_step:
                for value in event.summary.value:
                    found[event.step, value.tag] = _event(event.step, event.wall_time, [value])
    for record in metrics:
        step = record["step"]
        for value in _scalars({name: record[name] for name in record if name != "step"}):
            found.setdefault((step, value.tag), _event(step, time.time(), [value]))
    return found


def _scalars(metrics: Mapping[str, float | np.ndarray]) -> Iterator[Summary.Value]:
    for name, numbers in metrics.items():
        entries = np.ravel(numbers)
        for entry, number in enumerate(entries):
            tag = name if len(entries) == 1 else f"{name}/{entry}"
            yield Summary.Value(tag=tag, simple_value=float(number))


def _event(step: int, wall_time: float, values: Iterable[Summary.Value]) -> Event:
    return Event(step=step, wall_time=wall_time, summary=Summary(value=values))


def _record(event: Event) -> bytes:
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    return length + next(checksums) + data + next(checksums)
