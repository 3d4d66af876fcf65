"""One run in several real processes, connected over the loopback interface."""

import json
import sys
from pathlib import Path

import chex
import numpy as np
import pytest
from PIL import Image

from stn_jax import load_pretrained
from stn_jax.experiments.demo.shown_networks import look, shown_networks
from stn_jax.experiments.trained_networks import run_network
from stn_jax.experiments.training.setup import make_setup
from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import launch_command, read_metrics, tiny_config
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
    assert "Gloo" not in first.stdout  # printed by JAX's collectives on CPUs
    assert second.stdout == ""
    steps = [record["step"] for record in read_metrics(workdir) if "loss" in record]
    assert steps == sorted(set(steps))

    def names(folder):
        found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        return {name for name in found if "tfevents" not in name and "/state/" not in name}

    assert names(workdir) == names(alone)
    assert len(list(workdir.glob("*tfevents*"))) == 1


def test_a_finished_run_of_several_processes_is_used_in_one(runs, together, tmp_path):
    workdir, _ = together
    picture, page = tmp_path / "digit.png", tmp_path / "report.html"
    Image.fromarray(np.tri(28, dtype=np.uint8) * 255).save(picture)

    def run(mode, *arguments):
        ended = runs.launch(
            [sys.executable, "launch.py", f"--mode={mode}", f"--workdir={workdir}", *arguments]
        )
        assert ended.code == 0, ended
        return ended.stdout

    error = read_metrics(workdir)[-1]["test_error_percent"]
    assert f"test error {error:.2f}%" in run("eval")
    assert run("predict", str(picture)).startswith(f"{picture}: ")
    run("report", f"--output={page}")
    assert f"{error:.2f}" in page.read_text()
    run("export", "--format=folder", f"--out={tmp_path / 'exported'}")
    chex.assert_trees_all_equal(
        load_pretrained(tmp_path / "exported").variables, run_network(workdir).variables
    )


def test_the_demo_shows_a_run_of_several_processes_like_one_of_one(together, alone):
    runs = [("together", run_network(together[0])), ("alone", run_network(alone))]
    shown = dict(shown_networks("distorted_mnist", runs))
    image = np.tri(28, dtype=np.float32)[..., None]
    ours, theirs = (look(shown[name], image) for name, _ in runs)
    chex.assert_trees_all_close(ours, theirs, atol=1e-3)


TEST_SIZES = [(1, 4), (5, 4), (9, 5)]
"""Numbers of test examples, and batch sizes: of one batch, the second process has only padding."""


def test_evaluation_counts_each_example_once(runs):
    found = found_in(Group(runs, 2, 1), f"evaluate({TEST_SIZES})")
    assert_evaluations(found, TEST_SIZES)


def found_in(group, call):
    """Returns what each process has found with a function of `in_a_group`."""
    code = f"from tests.experiments.training import in_a_group; in_a_group.{call}"
    ended = group.launch([sys.executable, "-c", code])
    assert {process.code for process in ended} == {0}, ended
    return json.loads(ended[0].stdout.splitlines()[-1])


def assert_evaluations(found, cases):
    """Compares with the mean over the examples, whose losses are computed one by one."""
    setup = make_setup(tiny_config())
    state, count = setup.initial_state(0), max(number for number, _ in cases)
    test = setup.data.test
    labels, ids = test.labels[:count], np.arange(count)
    logits = setup.model.apply(
        {"params": state.params, "batch_stats": state.batch_stats},
        setup.data.preprocessing.test(test.images[:count], ids),
    )
    losses = setup.labels.loss(logits, labels)
    wrong = setup.labels.is_wrong(logits, labels)
    for process in found:
        for (number, _), (loss, error) in zip(cases, process, strict=True):
            np.testing.assert_allclose(loss, np.mean(losses[:number]), rtol=1e-5)
            np.testing.assert_allclose(error, 100 * np.mean(wrong[:number]))


@pytest.mark.parametrize("folders", [["shared"], ["of process 0", "of process 1"]])
def test_data_are_prepared_once_in_each_folder(runs, tmp_path, folders):
    paths = [str(tmp_path / folder) for folder in folders]
    found = found_in(Group(runs, 2, 1), f"prepare({paths})")
    assert sorted(str(Path(drawn).parents[1]) for process in found for drawn in process) == paths
    assert not list(tmp_path.rglob("*incomplete*")) + list(tmp_path.rglob(".lock"))


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_nothing_listens_but_the_coordinator_and_the_collectives_of_cpus(runs):
    first, second = found_in(Group(runs, 2, 1), "listen()")
    assert len(second) == 1  # at the address of this host's name
    coordinator, collectives = sorted(first, key=len, reverse=True)
    assert coordinator.startswith("0000000000000000FFFF00000100007F:")  # 127.0.0.1 and no other
    assert len(collectives) == len(second[0])


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
