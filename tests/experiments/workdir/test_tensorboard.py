"""Tests of TensorBoard's file, which is read as its format's description says."""

import random
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from tensorboardX.proto.event_pb2 import SessionLog

from stn_jax.experiments.workdir import tensorboard
from stn_jax.experiments.workdir.metrics import MetricLog, read_metrics
from stn_jax.visualization import png_bytes
from tests.experiments.workdir.events import checksum, read_events, scalars, values

NAMES = ("scale", "shift x (half widths)")  # the third entry has no name
PNG = png_bytes(Figure(figsize=(0.5, 0.3)))


def record(log, steps):
    for step in steps:
        log.write(step, {"loss": 1 / step, "error": 0.5, "train_seconds": 3.0 * step})
        log.write(step, {"transformer/theta/mean": np.arange(3.0)})
        if step % 10 == 0:
            log.write(step, {"test_loss": 2.0, "train_seconds": 3.0 * step})
            log.write_histogram(step, "transformer", 0, np.array([-1e30, -2.0, 0.0, 5.0, 1e30]))
            log.write_picture(step, "samples", PNG)


@pytest.fixture
def written(tmp_path):
    with MetricLog(tmp_path, start_step=0, param_names=NAMES) as log:
        record(log, range(1, 31))
    return tmp_path


def in_metrics(workdir, names=NAMES):
    """Returns the numbers by step and the tag that they should have."""
    tags = {"loss": "loss/train", "test_loss": "loss/test", "error": "error_percent/train"}
    numbers = {}
    for found in read_metrics(workdir / "metrics.jsonl"):
        step = found.pop("step")
        for place, value in enumerate(found.pop("transformer/theta/mean", ())):
            entry = names[place] if place < len(names) else place
            numbers[step, f"transformer/theta/mean/{entry}"] = value
        for name, value in found.items():
            numbers[step, tags.get(name, name)] = 100 * value if name == "error" else value
    return numbers


def test_the_checksum_is_that_of_the_standard():
    assert checksum(b"123456789") == (((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32)


def test_each_value_is_there_once_as_in_metrics_jsonl(written):
    assert len(values(written)) == len(set(values(written)))
    np.testing.assert_allclose(
        *(
            [found[key] for key in sorted(found)]
            for found in (scalars(written), in_metrics(written))
        )
    )
    assert scalars(written).keys() == in_metrics(written).keys()
    others = set(values(written)) - scalars(written).keys()
    assert others == {
        (n, tag) for n in (10, 20, 30) for tag in ("transformer/theta/scale", "samples")
    }


def test_histograms_and_pictures_are_whole(written):
    histogram, picture = (
        next(v for event in read_events(written) for v in event.summary.value if v.HasField(kind))
        for kind in ("histo", "image")
    )
    assert sum(histogram.histo.bucket) == histogram.histo.num == 5
    assert picture.image.encoded_image_string == PNG
    assert (picture.image.width, picture.image.height) == (50, 30)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_and_resumed_run_has_each_value_once(written, seed):
    """The file ends anywhere, and so does metrics.jsonl, possibly later."""
    rng = random.Random(seed)
    for path in (written / "metrics.jsonl", *written.glob("*tfevents*")):
        content = path.read_bytes()
        path.write_bytes(content[: rng.randrange(len(content) // 2, len(content))])
    before = {key: value for key, value in in_metrics(written).items() if key[0] <= 10}
    with MetricLog(written, start_step=10, param_names=NAMES) as log:
        assert {key for key in scalars(written) if key[1] != "samples"} == before.keys()
        record(log, range(11, 31))
    assert len(values(written)) == len(set(values(written))) == 3 * 2 + 30 * 6 + 3
    assert scalars(written).keys() == in_metrics(written).keys()
    steps = [event.step for event in read_events(written)]
    assert steps == sorted(steps)
    assert [path.name for path in written.iterdir() if path.name.startswith(".")] == []


def test_resumed_at_its_end_a_run_writes_nothing_twice(written):
    before, size = values(written), size_of_events(written)
    with MetricLog(written, start_step=30, param_names=NAMES) as log:
        log.write_histogram(30, "transformer", 0, np.ones(3))
        log.write_picture(30, "samples", PNG)
    assert sorted(values(written)) == sorted(before)
    assert size_of_events(written) <= size


def size_of_events(workdir):
    return sum(path.stat().st_size for path in workdir.glob("*tfevents*"))


def test_the_numbers_of_many_seeds_and_their_thetas_are_named(tmp_path):
    with MetricLog(tmp_path, start_step=0, param_names=NAMES) as log:
        log.write(1, {"loss": np.ones(2), "stn/theta/spread": np.ones((2, 2))})
    tags = {f"stn/theta/spread/{seed}/{name}" for seed in (0, 1) for name in NAMES}
    assert {tag for _, tag in scalars(tmp_path)} == {"loss/train/0", "loss/train/1", *tags}


def test_an_open_tensorboard_forgets_the_file_that_is_gone(written):
    [old] = written.glob("*tfevents*")
    with MetricLog(written, start_step=10):
        [new] = written.glob("*tfevents*")
    assert new.name > old.name  # TensorBoard reads files in this order
    start = read_events(written)[1]
    assert (start.step, start.session_log.status) == (0, SessionLog.START)


def test_a_full_disk_costs_the_events_but_not_the_run(tmp_path, monkeypatch, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("this system cannot pretend that its disk is full")
    with (
        MetricLog(tmp_path, start_step=0) as log,
        Path("/dev/full").open("wb", buffering=0) as log._tensorboard._file,
    ):
        record(log, range(1, 31))
    [line] = capsys.readouterr().err.splitlines()
    assert "TensorBoard" in line
    assert "No space left" in line
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 63


@pytest.mark.parametrize("content", [b"", b"junk", bytes(100), b"\xff" * 100])
def test_a_file_of_something_else_is_replaced(tmp_path, content):
    (tmp_path / "events.out.tfevents.1.host").write_bytes(content)
    with MetricLog(tmp_path, start_step=0) as log:
        record(log, range(1, 3))
    assert scalars(tmp_path).keys() == in_metrics(tmp_path, ()).keys()


def test_a_flipped_bit_ends_what_is_read(written):
    [path] = written.glob("*tfevents*")
    whole = list(tensorboard.read_events(path))
    content = bytearray(path.read_bytes())
    for place in random.Random(0).sample(range(len(content)), 50):
        content[place] ^= 4
        path.write_bytes(content)
        found = list(tensorboard.read_events(path))
        assert found == whole[: len(found)]
        assert len(found) < len(whole)
        content[place] ^= 4
