"""One run in several real processes, connected over the loopback interface."""

import numpy as np
import pytest

from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import launch_command, read_metrics
from tests.experiments.training.groups import SILENT, Group, flags, free_port


def command(workdir, *overrides, variant="st_fcn_affine"):
    # Not Adam: it divides by the gradient's size, which amplifies rounding differences.
    sgd = ("--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.01")
    return launch_command(workdir, *sgd, *overrides, variant=variant)


def records(workdir):
    """Returns what a run has logged, without what depends on time."""
    return [
        {name: value for name, value in record.items() if "seconds" not in name}
        for record in read_metrics(workdir)
    ]


def assert_same_training(workdir, other):
    ours, theirs = records(workdir), records(other)
    assert [record["step"] for record in ours] == [record["step"] for record in theirs]
    for one, two in zip(ours, theirs, strict=True):
        assert one.keys() == two.keys()
        for name in one.keys() - {"examples_per_second"}:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with ForkedRuns(tmp_path_factory.mktemp("outputs"), **SILENT) as runs:
        yield runs


@pytest.fixture(scope="module")
def together(runs, tmp_path_factory):
    """The folder of a run of two processes with a device each, and how these ended."""
    workdir = tmp_path_factory.mktemp("together")
    return workdir, Group(runs, 2, 1).launch(command(workdir))


@pytest.fixture(scope="module")
def alone(runs, tmp_path_factory):
    """The folder of the same run in one process with two devices."""
    workdir = tmp_path_factory.mktemp("alone")
    (ended,) = Group(runs, 1, 2).launch(command(workdir))
    assert ended.code == 0, ended.stderr
    return workdir


def test_two_processes_train_like_one_with_as_many_devices(together, alone):
    workdir, ended = together
    assert [process.code for process in ended] == [0, 0], ended
    assert_same_training(workdir, alone)


def test_only_the_first_process_prints_and_all_files_are_written_once(together, alone):
    workdir, (first, second) = together
    assert "test error" in first.stdout
    assert second.stdout == ""
    steps = [record["step"] for record in read_metrics(workdir) if "loss" in record]
    assert steps == sorted(set(steps))

    def names(folder):
        found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        return {name for name in found if "tfevents" not in name and "/state/" not in name}

    assert names(workdir) == names(alone)
    assert len(list(workdir.glob("*tfevents*"))) == 1


def test_a_finished_run_of_several_processes_is_used_in_one(runs, together):
    workdir, _ = together
    run = runs.launch([*launch_command(workdir)[:2], "--mode=eval", f"--workdir={workdir}"])
    assert run.code == 0, run.stderr
    (error,) = {r["test_error_percent"] for r in read_metrics(workdir)[-1:]}
    assert f"{error:.2f}%" in run.stdout


def test_settings_that_differ_are_noticed_at_the_start(runs, tmp_path):
    ended = Group(runs, 2, 1).launch(
        command(tmp_path / "run"), own=[[], ["--config.optimizer.learning_rate=0.5"]]
    )
    first, second = ended
    assert first.code == 2
    assert second.code in (2, 3)  # 3 if the first one has gone before the second one could tell it
    line = first.stderr.splitlines()[-1]
    assert "optimizer.learning_rate: 0.01 in process 0, 0.5 in process 1" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process_id=0"], "need --coordinator=HOST:PORT too"),
        (["--coordinator=127.0.0.1:9"], "also needs --num_processes and --process_id"),
        (flags(3, 2, 9), "--process_id=3 must be in 0..1"),
        (["--mode=eval", *flags(0, 2, 9)], "--coordinator is for --mode=train"),
    ],
)
def test_flags_that_do_not_fit_get_one_line(runs, tmp_path, arguments, message):
    run = runs.launch([*launch_command(tmp_path / "run"), *arguments])
    assert run.code == 2
    assert message in run.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_coordinator_that_does_not_answer_ends_in_one_line(runs, tmp_path):
    arguments = flags(1, 2, free_port())
    (ended,) = Group(runs, 1, 1, connect=3).launch([*command(tmp_path / "run"), *arguments])
    assert ended.code == 2
    (line,) = ended.stderr.splitlines()
    assert "cannot be reached within 3 s" in line
    assert not (tmp_path / "run").exists()
