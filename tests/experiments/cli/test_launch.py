"""Tests of the command line: wrong input ends with one clear line and exit code 2."""

import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import REPOSITORY, launch, launch_command


@pytest.fixture(scope="module")
def trained():
    """Yields the relative path of a run's folder, as in the README, and the finished process."""
    with tempfile.TemporaryDirectory(dir=REPOSITORY, prefix=".test_run_") as folder:
        workdir = Path(folder).relative_to(REPOSITORY) / "run"
        run = launch(launch_command(workdir))
        assert run.returncode == 0, run.stderr
        yield workdir, run


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with ForkedRuns(tmp_path_factory.mktemp("forked")) as runs:
        yield runs


def launch_py(*arguments):
    return [sys.executable, "launch.py", *arguments]


def test_training_says_where_how_far_and_how_well(trained):
    workdir, run = trained
    assert f"workdir: {workdir}" in run.stdout
    assert "compiled the training step in" in run.stdout
    assert "step 10/20: test loss" in run.stdout
    assert re.search(r"step 10/20: test loss .* left$", run.stdout, re.MULTILINE)
    result = run.stdout.partition("\ntest error ")[2].splitlines()
    assert result[0].endswith("of training)")
    assert result[1:] == [
        f"{what}: {workdir / name}"
        for what, name in [
            *(("checkpoints", "checkpoints"), ("metrics", "metrics.jsonl")),
            *(("result", "result.json"), ("picture", "figures/samples.png")),
        ]
    ]
    assert "Traceback" not in run.stderr


def test_a_finished_run_is_resumed_at_its_end(trained, forked):
    workdir, _ = trained
    run = forked.launch(launch_command(workdir))
    assert run.code == 0, run.stderr
    assert "resuming at step 20 of 20" in run.stdout


def test_eval_prints_the_result_of_the_run(trained, forked):
    workdir, training = trained
    run = forked.launch(launch_py("--mode=eval", f"--workdir={workdir}"))
    assert run.code == 0, run.stderr
    error = training.stdout.rpartition("test error ")[2].split("%")[0]
    assert f"step 20: test error {error}%" in run.stdout


def test_predict_prints_the_best_three_classes_and_what_the_transformer_did(
    trained, forked, tmp_path
):
    workdir, _ = trained
    paths = [tmp_path / "digit.png", tmp_path / "page.jpg"]
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 12:16] = 255
    Image.fromarray(digit).save(paths[0])
    Image.fromarray(255 - np.stack([np.kron(digit, np.ones((9, 7), np.uint8))] * 3, -1)).save(
        paths[1]
    )
    run = forked.launch(launch_py("--mode=predict", f"--workdir={workdir}", *map(str, paths)))
    assert run.code == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if "; then " in line]
    assert len(lines) == 2
    for path, line in zip(paths, lines, strict=True):
        name, rest = line.split(": ")
        assert name == str(path)
        best, motion = re.fullmatch(r"(.*\)); (.*)", rest).groups()
        answers = re.fullmatch(r"(\d) \((.*); then (\d) (.*), (\d) (.*)\)", best).groups()
        assert len(set(answers[::2])) == 3
        chances = list(map(float, answers[1::2]))
        assert chances == sorted(chances, reverse=True)
        assert 0.1 <= chances[0] <= sum(chances) <= 1.002
        assert re.search("turned|scale|moved|slanted|unchanged", motion)


WRONG = {
    "no such config": (["--config=configs/mnist_rst.py"], "configs/mnist_rst.py"),
    "unknown variant": (["--config=configs/mnist_r.py:st_cnn_afine"], "did you mean 'st_cnn_aff"),
    "variant of quickstart": (["--config=configs/quickstart.py:cnn"], "takes no variant"),
    "unknown key": (
        ["--config=configs/mnist_r.py", "--config.model.famly=tps"],
        "did you mean config.model.family?",
    ),
    "setting without config": (["--seed=1"], "unknown flag --seed: did you mean --config.seed?"),
    "unknown flag": (["--workdri=x"], "Did you mean: workdir"),
    "wrong type": (["--config=configs/mnist_r.py", "--config.seed=many"], "config.seed"),
    "unknown mode": (["--mode=test"], "train|eval|predict|export|report"),
    "two networks": (["--config=configs/mnist_r.py:cnn,fcn"], "one network and one recipe"),
    "not an experiment": (["--config=configs/table_mnist.py"], "get_config"),
    "empty workdir": (["--config=configs/mnist_r.py", "--workdir="], "--workdir is empty"),
    "eval of a pretrained network": (["--mode=eval", "--pretrained=cnn"], "for --mode=predict"),
    "table of eval": (["--mode=eval", "--out=x"], "--out is for --mode=predict"),
    "format of report": (["--mode=report", "--format=jax"], "--format is for --mode=export"),
    "crops of eval": (["--mode=eval", "--save-crops"], "--save-crops is for --mode=predict"),
    "no answers": (["--mode=predict", "--top=0"], "not a positive integer"),
    "eval of nothing": (["--mode=eval", "--workdir=nowhere"], "no run in --workdir=nowhere"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_reported_in_one_line(case, forked):
    arguments, message = WRONG[case]
    assert_one_clear_line(forked.launch(launch_py(*arguments)), message)


def test_a_batch_that_the_devices_do_not_divide_is_reported_in_one_line(forked, tmp_path):
    command = launch_command(tmp_path, "--config.batch_size=30")
    (run,) = forked.launch_all([command], devices=8)
    assert_one_clear_line(run, "multiple of 8, such as 32")


def test_a_workdir_of_another_config_is_reported_in_one_line(trained, forked):
    workdir, _ = trained
    run = forked.launch(launch_command(workdir, "--config.seed=5"))
    assert_one_clear_line(run, "seed: 0 there, 5 now")


def test_images_that_cannot_be_read_are_reported_after_the_others_were_answered(trained, tmp_path):
    workdir, _ = trained
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 12:16] = 255
    folder = os.fsencode(tmp_path)
    red, latin, blank, text = (
        os.path.join(folder, name) for name in (b"\x1b[31m.png", b"\xe9.png", b"0.png", b"1.png")
    )
    for path, pixels in ((red, digit), (latin, digit), (blank, 0 * digit)):
        Image.fromarray(pixels).save(os.fsdecode(path))
    (tmp_path / "1.png").write_text("no picture")
    missing = os.path.join(folder, b"\x1b[2J.png")
    run = launch(
        launch_py("--mode=predict", f"--workdir={workdir}", missing, red, blank, latin, text)
    )
    assert run.returncode == 2
    lines = [line for line in run.stdout.splitlines() if "; then " in line]
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines] == [
        "\\x1b[31m.png", "\\udce9.png",
    ]  # fmt: skip
    said = [line for line in run.stderr.splitlines() if line.startswith("launch.py: ")]
    assert len(said) == 3
    for line, part in zip(said, (r"\x1b[2J.png", "0.png is blank", "1.png cannot be"), strict=True):
        assert part in line
    assert "Traceback" not in run.stderr
    assert "\x1b" not in run.stdout + run.stderr


def assert_one_clear_line(run, message):
    assert run.code == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("launch.py: ")]
    assert len(lines) == 1
    assert message in lines[0]
