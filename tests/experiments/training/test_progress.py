"""Tests of what is said about the progress of a run, with a clock that stands still."""

from types import SimpleNamespace

import numpy as np
import pytest

from stn_jax.experiments.training import progress
from stn_jax.experiments.training.evaluation import Evaluation
from stn_jax.experiments.training.progress import Progress, StepRecorder
from stn_jax.experiments.workdir.metrics import MetricLog

HUNDRED = {"loss": np.ones(100), "error": np.ones(100), "gradient_norm": np.ones(100)}


class Clock:
    """A run of 1000 steps, in dispatches of 100, whose time passes when it is told to."""

    def __init__(self, monkeypatch, workdir):
        self.now, self.step = 50.0, 0
        clock = SimpleNamespace(monotonic=lambda: self.now, perf_counter=lambda: self.now)
        monkeypatch.setattr(progress, "time", clock)
        self._log = MetricLog(workdir, start_step=0)
        self._progress = Progress(start_step=0, num_steps=1000)
        self._recorder = StepRecorder(
            self._log, self._progress, batch_size=1, log_every=100, learning_rate=float
        )

    def dispatch(self, seconds):
        self._recorder.dispatched(self.step, self.step + 100, HUNDRED)
        self.now += seconds
        self.step += 100

    def evaluate(self, seconds):
        self._recorder.finish()
        self.now += seconds
        evaluation = Evaluation(np.array(1.0), np.array(5.0), {})
        self._recorder.evaluated(self.step, evaluation)


@pytest.fixture
def clock(monkeypatch, tmp_path):
    return Clock(monkeypatch, tmp_path)


def test_the_time_left_counts_neither_what_is_compiled_first_nor_what_was_slow_long_ago(
    clock, capsys
):
    clock.now += 300  # compiling the step
    for _ in range(2):
        clock.dispatch(2.0)
    clock.evaluate(500)  # compiling the evaluation
    for _ in range(3):
        clock.dispatch(2.0)
    clock.evaluate(4)
    assert capsys.readouterr().out.splitlines() == [
        "step 200/1000: test loss 1.0000, test error 5.00%, 50 examples/s, 16 s left",
        "step 500/1000: test loss 1.0000, test error 5.00%, 50 examples/s, 10 s left",
    ]


def test_later_evaluations_are_part_of_the_time_left(clock, capsys):
    for _ in range(3):
        clock.dispatch(2.0)
        clock.evaluate(4.0)
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 28 s left")  # (2 + 6) / 200 * 700


def test_a_line_each_minute_and_never_two_of_one_step(clock, capsys):
    for _ in range(10):
        clock.dispatch(45.0)
    clock.evaluate(1.0)
    lines = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["step 200/1000", *(f"step {n}00/1000" for n in (4, 6, 8)), "step 1000/1000"]


def test_nothing_is_left_at_the_end(clock, capsys):
    for _ in range(10):
        clock.dispatch(1.0)
    clock.evaluate(1.0)
    assert "left" not in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [390.0, 4500.0])
def test_a_run_of_hours_is_announced_once(clock, capsys, seconds):
    for _ in range(5):
        clock.dispatch(seconds)
    told = [line for line in capsys.readouterr().out.splitlines() if "takes about" in line]
    assert len(told) == (seconds > 400)
    assert all(line.startswith("at this speed, the run takes about 10 h: Ctrl-C") for line in told)
