"""Tests of whole runs: the files they write, stopping anywhere, any number of devices."""

import json
import os
import re
import signal

import chex
import jax
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.locks import LOCK_FILE, locked
from stn_jax.experiments.run_pictures import RunPictures
from stn_jax.experiments.training import progress
from stn_jax.experiments.training.checkpoints import Checkpoints, restore
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.evaluation import evaluate_workdir
from stn_jax.experiments.training.loop import train_and_evaluate
from stn_jax.experiments.training.optimizer import make_schedule
from stn_jax.experiments.workdir.run_config import read_config
from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import launch_command, read_metrics, tiny_config


def final_state(workdir):
    config = read_config(workdir)
    _, state = restore(workdir, config)
    return state


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with ForkedRuns(tmp_path_factory.mktemp("forked")) as runs:
        yield runs


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished")
    compilations, at_evaluation = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: "backend_compile" in name and compilations.append(name)
    )
    with pytest.MonkeyPatch.context() as patch:
        record = progress.StepRecorder.evaluated

        def count(self, *arguments):
            at_evaluation.append(len(compilations))
            record(self, *arguments)

        patch.setattr(progress.StepRecorder, "evaluated", count)
        result = train_and_evaluate(tiny_config(num_epochs=6.0), workdir, RunPictures)
    return workdir, result, at_evaluation


def test_a_run_writes_all_its_files(finished):
    workdir, result, _ = finished
    assert result == json.loads((workdir / "result.json").read_text())
    assert result["steps"] == 30
    assert result["epochs"] == 6
    assert result["num_params"] == sum(x.size for x in jax.tree.leaves(final_state(workdir).params))
    assert result["dataset"] == "mnist r (embedded: 160 train, 1000 test)"
    assert result["model"] == "st_fcn_affine"
    assert result["versions"]["jax"] == jax.__version__
    assert result["train_seconds"] > 0
    assert result["examples_per_second"] > 0
    assert (workdir / "figures" / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert list(workdir.glob("events.out.tfevents.*"))
    assert read_config(workdir).to_dict() == json.loads(tiny_config(num_epochs=6.0).to_json())
    assert not list(workdir.rglob(".*"))


def test_metrics_hold_loss_error_theta_gradient_and_speed(finished):
    workdir, result, _ = finished
    records = read_metrics(workdir)
    training = [record for record in records if "loss" in record]
    assert [record["step"] for record in training] == [3, 6, 9, 10, 13, 16, 19, 20, 23, 26, 29, 30]
    rate = make_schedule(tiny_config().optimizer, 30)
    for record in training:
        assert len(record["transformer/theta/mean"]) == 6
        assert min(record["transformer/theta/spread"]) >= 0
        assert record["gradient_norm"] > 0
        assert record["examples_per_second"] > 0
        assert 0 <= record["error"] <= 1
        assert record["learning_rate"] == pytest.approx(float(rate(record["step"] - 1)))
    evaluations = [record for record in records if "test_error_percent" in record]
    assert [record["step"] for record in evaluations] == [10, 20, 30]
    assert evaluations[-1]["test_error_percent"] == result["test_error_percent"]
    np.testing.assert_allclose(training[0]["transformer/theta/mean"], [1, 0, 0, 0, 1, 0], atol=0.1)


def test_nothing_is_compiled_after_the_first_evaluation_and_its_picture(finished):
    _, _, compilations_at_evaluation = finished
    assert len(compilations_at_evaluation) == 3
    assert compilations_at_evaluation[0] > 0
    assert compilations_at_evaluation[-1] == compilations_at_evaluation[1]


def test_training_learns(finished):
    workdir, _, _ = finished
    losses = [record["loss"] for record in read_metrics(workdir) if "loss" in record]
    assert losses[-1] < 0.8 * losses[0]


def test_evaluating_a_finished_run_gives_its_result(finished):
    workdir, result, _ = finished
    step, evaluation = evaluate_workdir(workdir)
    assert step == 30
    assert evaluation.error_percent == result["test_error_percent"]


def test_a_finished_run_is_not_trained_again(finished):
    workdir, result, _ = finished
    before = read_metrics(workdir)
    again = train_and_evaluate(tiny_config(num_epochs=6.0), workdir, RunPictures)
    assert again["test_error_percent"] == result["test_error_percent"]
    assert again["train_seconds"] == pytest.approx(result["train_seconds"])
    assert again["examples_per_second"] == pytest.approx(result["examples_per_second"])
    assert read_metrics(workdir) == before


def test_another_config_is_refused_and_nothing_destroyed(finished):
    workdir, _, _ = finished
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"another config \(seed: 0 there, 1 now\).*--workdir"):
        train_and_evaluate(tiny_config(num_epochs=6.0, seed=1), workdir)
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_the_newest_and_the_best_checkpoint_are_kept(tmp_path):
    config = tiny_config("fcn", num_epochs=6.0, eval_every_epochs=1.0, keep_checkpoints=2)
    train_and_evaluate(config, tmp_path)
    errors = {
        record["step"]: record["test_error_percent"]
        for record in read_metrics(tmp_path)
        if "test_error_percent" in record
    }
    best = min(errors, key=lambda step: (errors[step], -step))
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()}
    assert {25, 30} <= kept
    assert min(errors[step] for step in kept) == errors[best]
    assert len(kept) <= 3


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    config = tiny_config("fcn,paper", optimizer__learning_rate=1e-3, num_epochs=2.0)
    config.eval_every_epochs = 1.0
    train_and_evaluate(config, tmp_path)
    exploding = config.copy_and_resolve_references()
    exploding.num_epochs = 6.0
    exploding.optimizer.learning_rate = 1e30
    (tmp_path / "config.json").write_text(exploding.to_json())
    with pytest.raises(TrainingDivergedError, match=r"(loss|gradient_norm) of step 1\d is"):
        train_and_evaluate(exploding, tmp_path)
    state = final_state(tmp_path)
    assert state.step == 10
    chex.assert_tree_all_finite(state.params)


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    """A step's loss is that of the parameters before it, so the last step shows no NaN."""
    config = tiny_config(
        "fcn,paper", optimizer__learning_rate=1e38, num_epochs=0.2, data__subset=16
    )
    with pytest.raises(TrainingDivergedError, match="test loss of step 1 is"):
        train_and_evaluate(config, tmp_path)
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()]
    assert not (tmp_path / "result.json").exists()


def test_a_run_that_learned_nothing_but_finite_nonsense_is_a_divergence(tmp_path):
    config = tiny_config("fcn,paper", optimizer__learning_rate=1e3, num_epochs=0.4)
    with pytest.raises(TrainingDivergedError, match=r"test loss of step 2 is .* Try a lower"):
        train_and_evaluate(config, tmp_path)
    assert not (tmp_path / "result.json").exists()


DAMAGES = {
    "truncated": lambda content: content[: len(content) // 2],
    "altered": lambda content: bytes(64).join(
        [content[: len(content) // 2], content[len(content) // 2 + 64 :]]
    ),
    "no metrics": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_newest_checkpoint_is_passed_over(tmp_path, capsys, damage):
    config = tiny_config("fcn")
    first = train_and_evaluate(config, tmp_path)
    whole = final_state(tmp_path)
    checkpoint = tmp_path / "checkpoints" / "20"
    if damage == "no metrics":
        broken = checkpoint / "metrics" / "metrics"
    else:
        files = [path for path in checkpoint.rglob("*") if path.is_file()]
        broken = max(files, key=lambda path: path.stat().st_size)
    broken.write_bytes(DAMAGES[damage](broken.read_bytes()))
    capsys.readouterr()
    again = train_and_evaluate(config, tmp_path)
    printed = capsys.readouterr()
    assert re.search(r"checkpoint .*20 is broken", printed.err)
    assert "resuming at step 10" in printed.out
    assert again["test_error_percent"] == first["test_error_percent"]
    chex.assert_trees_all_equal(final_state(tmp_path), whole)


def test_a_checkpoint_that_finds_no_room_is_an_os_error_and_leaves_nothing(finished, tmp_path):
    resource = pytest.importorskip("resource")
    state = final_state(finished[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(tmp_path, keep_newest=1) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                checkpoints.save(state)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_no_readable_checkpoint_is_an_error(tmp_path):
    config = tiny_config("fcn", num_epochs=2.0)
    train_and_evaluate(config, tmp_path)
    for path in (tmp_path / "checkpoints" / "10").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(UserError, match="none of the checkpoints"):
        train_and_evaluate(config, tmp_path)


def test_one_and_eight_devices_give_the_same_losses_and_error(tmp_path, forked):
    runs = {}
    for devices in (1, 8):
        workdir = tmp_path / str(devices)
        # Not Adam: it divides by the gradient's size, which amplifies rounding differences.
        settings = "--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.002"
        (run,) = forked.launch_all([launch_command(workdir, *settings)], devices=devices)
        assert run.code == 0, run.stderr
        runs[devices] = read_metrics(workdir)
        assert f"{devices} x cpu" in (workdir / "result.json").read_text()
    assert len(runs[1]) == len(runs[8])
    for one, eight in zip(runs[1], runs[8], strict=True):
        assert one["step"] == eight["step"]
        for name in ("loss", "gradient_norm", "transformer/theta/spread", "test_loss"):
            np.testing.assert_allclose(one.get(name, 0), eight.get(name, 0), rtol=1e-4, atol=1e-5)
        assert one.get("error", 0) == pytest.approx(eight.get("error", 0), abs=0.02)


LONGER = ("--config.num_epochs=40", "--config.eval_every_epochs=8")  # 200 steps, saved every 40


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, forked):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    run = forked.launch(launch_command(workdir, *LONGER))
    assert run.code == 0, run.stderr
    return final_state(workdir)


INTERRUPTED = """
import os, sys
from stn_jax.experiments.cli import flags
from stn_jax.experiments.training.progress import StepRecorder

after_step, send = int(sys.argv[1]), int(sys.argv[2])
record = StepRecorder._record

def record_and_signal(self, begin, end, metrics):
    record(self, begin, end, metrics)
    if begin < after_step <= end:
        os.kill(os.getpid(), send)

StepRecorder._record = record_and_signal
flags.launch(["launch.py", *sys.argv[3:]])
"""


def interrupt(forked, workdir, *, after_step, send):
    """Runs the training, which sends itself a signal once it has recorded `after_step`."""
    python, _, *flags = launch_command(workdir, *LONGER)
    run = forked.launch([python, "-c", INTERRUPTED, str(after_step), str(int(send)), *flags])
    return run.code, run.stdout + run.stderr


@pytest.mark.parametrize(
    "send",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.stress),
        pytest.param(signal.SIGINT, marks=pytest.mark.stress),
    ],
)
def test_a_run_that_was_stopped_ends_as_one_that_never_was(tmp_path, forked, uninterrupted, send):
    code, output = interrupt(forked, tmp_path, after_step=55, send=send)
    assert not (tmp_path / "result.json").exists()
    assert code == 128 + send, output
    if send != signal.SIGKILL:
        assert "stopped at step" in output
        assert "Traceback" not in output
    run = forked.launch(launch_command(tmp_path, *LONGER))
    assert run.code == 0, run.stderr
    assert "resuming at step" in run.stdout
    chex.assert_trees_all_equal(final_state(tmp_path), uninterrupted)
    steps = [record["step"] for record in read_metrics(tmp_path) if "loss" in record]
    assert steps == sorted(set(steps))


STOPPED_TWICE = """
import os, signal, sys
from orbax.checkpoint import v1 as ocp
from stn_jax.experiments.cli import flags

def interrupted(*arguments, save=ocp.save, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    return save(*arguments, **options)

ocp.save = interrupted
flags.launch(["launch.py", *sys.argv[1:]])
"""


def test_a_second_signal_while_a_checkpoint_is_written_ends_the_run_at_once(tmp_path, forked):
    python, _, *flags = launch_command(tmp_path, *LONGER)
    run = forked.launch([python, "-c", STOPPED_TWICE, *flags])
    assert run.code == 128 + signal.SIGINT, run.stderr
    assert run.stderr == "launch.py: stopped at once\n"
    assert not (tmp_path / "checkpoints" / "40").exists()


def test_a_folder_in_which_a_run_trains_is_refused_and_not_changed(tmp_path, forked):
    workdir = tmp_path / "run"
    workdir.mkdir()
    with locked(workdir):
        before = (workdir / LOCK_FILE).read_bytes()
        run = forked.launch(launch_command(workdir, *LONGER))
        assert run.code == 2
        assert re.fullmatch(
            rf"launch.py: {workdir} is in use by process {os.getpid()} on .+ since .+\n", run.stderr
        )
        assert [path.name for path in workdir.iterdir()] == [LOCK_FILE]
        assert (workdir / LOCK_FILE).read_bytes() == before
