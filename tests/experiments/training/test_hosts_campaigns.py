"""Campaigns: shapes of several processes, and some that are stopped or killed at random moments."""

import random
import signal

import numpy as np
import pytest

from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import launch_command, read_metrics
from tests.experiments.tiny_numbers import launch_numbers_command
from tests.experiments.training.groups import SILENT, Group
from tests.experiments.training.test_hosts import assert_same_training
from tests.experiments.training.test_interruptions import command as long_command
from tests.experiments.training.test_interruptions import outcome

pytestmark = pytest.mark.stress

SHAPES = [(1, 8), (2, 4), (4, 2)]
SGD = ("--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.01")


def digits(workdir, tmp_path):
    """Returns a command with batch statistics."""
    del tmp_path  # nothing is prepared
    slow = "--config.optimizer.learning_rate=0.001"  # rounding differences grow with the rate
    return launch_command(workdir, SGD[0], slow, variant="st_cnn_affine,modern")


def numbers(workdir, tmp_path):
    """Returns a command with dropout and batch statistics."""
    return [*launch_numbers_command("single", tmp_path / "data", workdir), *SGD]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with ForkedRuns(tmp_path_factory.mktemp("outputs"), **SILENT) as runs:
        yield runs


@pytest.mark.parametrize("command", [digits, numbers])
def test_any_shape_gives_the_same_training(command, tmp_path):
    workdirs = []
    # Compiled as for users: the unoptimised code of the other tests sums less precisely.
    with ForkedRuns(tmp_path, **SILENT, XLA_FLAGS="") as runs:
        for processes, devices in SHAPES:
            workdir = tmp_path / f"{processes}x{devices}"
            ended = Group(runs, processes, devices).launch(command(workdir, tmp_path))
            assert {process.code for process in ended} == {0}, ended
            workdirs.append(workdir)
    for workdir in workdirs[1:]:
        assert_same_training(workdir, workdirs[0])


@pytest.fixture(scope="module")
def group(runs, request):
    return Group(runs, request.param, 1, heartbeat=6)


@pytest.fixture(scope="module")
def undisturbed(group, tmp_path_factory):
    """The outcome of a run that nothing stops, and the processor time that each process takes."""
    for name in ("first", "compiled"):  # the second one finds compiled programs
        workdir = tmp_path_factory.mktemp(name)
        ended = group.launch(long_command(workdir))
        assert {process.code for process in ended} == {0}, ended
    return outcome(workdir), min(process.seconds for process in ended)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize(
    ("group", "case"),
    [*((2, case) for case in range(10)), *((4, case) for case in range(4))],
    indirect=["group"],
)
def test_all_stop_when_one_does_and_the_same_command_resumes(
    group, undisturbed, tmp_path, number, case
):
    expected, seconds = undisturbed
    rng = random.Random(f"{number} {case}")
    which, moment = rng.randrange(group.processes), rng.uniform(0.2, 1.0) * seconds
    ended = group.launch(long_command(tmp_path), signals={which: [(number, moment)]})
    for other in (process for i, process in enumerate(ended) if i != which):
        if number == signal.SIGKILL and other.code != 0:  # otherwise it came after the end
            assert other.stderr.splitlines()[-1].startswith("launch.py: "), ended
    if {process.code for process in ended} != {0}:
        again = group.launch(long_command(tmp_path))
        assert {process.code for process in again} == {0}, again
    assert outcome(tmp_path) == expected


def test_a_run_goes_on_in_another_shape(runs, tmp_path):
    whole, split = tmp_path / "whole", tmp_path / "split"
    one, two = Group(runs, 1, 4), Group(runs, 2, 2)
    (ended,) = one.launch([*long_command(whole), *SGD])
    assert ended.code == 0, ended
    _stopped(one, [*long_command(split), *SGD], ended.seconds / 2)
    _stopped(two, [*long_command(split), *SGD], 3.5)
    (ended,) = one.launch([*long_command(split), *SGD])
    assert ended.code == 0, ended
    # Where a run was stopped, it has logged once more, so only evaluations compare.
    losses = [
        [record["test_loss"] for record in read_metrics(workdir) if "test_loss" in record]
        for workdir in (split, whole)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def _stopped(group, command, seconds):
    ended = group.launch(command, signals={0: [(signal.SIGTERM, seconds)]})
    assert ended[0].code in (0, 128 + signal.SIGTERM), ended
