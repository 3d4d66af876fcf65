import numpy as np
import pytest

from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.progress import MetricLog, Progress, StepRecorder
from tests.experiments.tiny import read_metrics


def metrics(*losses):
    return {
        "loss": np.array(losses),
        "error": np.array(losses) / 10,
        "gradient_norm": np.ones(len(losses)),
    }


def record(workdir, log_every, dispatches):
    """Records dispatches with the given losses and returns the logged losses by step."""
    with (
        MetricLog(workdir, start_step=0) as log,
        Progress(start_step=0, num_steps=100) as progress,
    ):
        recorder = StepRecorder(
            log, progress, batch_size=2, log_every=log_every, learning_rate=float
        )
        step = 0
        for losses in dispatches:
            recorder.dispatched(step, step + len(losses), metrics(*losses, 0.0))
            step += len(losses)
        recorder.finish()
    return {entry["step"]: entry["loss"] for entry in read_metrics(workdir)}


def test_a_dispatch_is_logged_as_its_mean(tmp_path):
    assert record(tmp_path, 1, [[1.0, 2.0, 6.0], [5.0]]) == {3: 3.0, 4: 5.0}


def test_short_dispatches_are_logged_together(tmp_path):
    logged = record(tmp_path, 3, [[1.0], [2.0], [6.0], [4.0], [8.0]])
    assert logged == {3: 3.0, 5: 6.0}


def test_every_step_is_checked_however_seldom_one_is_logged(tmp_path):
    with pytest.raises(TrainingDivergedError, match="loss of step 2 is nan"):
        record(tmp_path, 50, [[1.0], [float("nan")], [1.0]])


@pytest.mark.parametrize("name", ["error", "gradient_norm", "theta/mean"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_every_metric_is_checked(tmp_path, name, value):
    with (
        MetricLog(tmp_path, start_step=0) as log,
        Progress(start_step=0, num_steps=100) as progress,
    ):
        recorder = StepRecorder(log, progress, batch_size=2, log_every=1, learning_rate=float)
        values = metrics(1.0, 2.0, 3.0) | {"theta/mean": np.ones((3, 6))}
        values[name][1] = value
        recorder.dispatched(4, 7, values)
        with pytest.raises(TrainingDivergedError, match=f"the {name} of step 6 is {value}"):
            recorder.finish()


def test_of_many_seeds_each_is_checked_and_logged(tmp_path):
    """With many seeds, metrics are [steps, seeds], and theta's are [steps, seeds, params]."""
    nan = float("nan")
    with (
        MetricLog(tmp_path, start_step=0) as log,
        Progress(start_step=0, num_steps=100) as progress,
    ):
        recorder = StepRecorder(log, progress, batch_size=2, log_every=1, learning_rate=float)
        good = metrics([1.0, 2.0], [3.0, 6.0]) | {"theta/mean": np.ones((2, 2, 6))}
        recorder.dispatched(0, 2, good | {"gradient_norm": np.ones((2, 2))})
        recorder.dispatched(2, 4, metrics([1.0, 1.0], [1.0, nan]))
        with pytest.raises(TrainingDivergedError, match="loss of step 4 is nan"):
            recorder.finish()
    [entry] = read_metrics(tmp_path)
    assert entry["loss"] == [2.0, 4.0]
    assert np.shape(entry["theta/mean"]) == (2, 6)
