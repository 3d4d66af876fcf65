"""Tests of whole runs on street numbers: the files they write, any number of devices."""

import json
import re
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.predict_files import predict_files
from stn_jax.experiments.run_pictures import RunPictures
from stn_jax.experiments.trained_networks import run_network
from stn_jax.experiments.training.evaluation import evaluate_workdir
from stn_jax.experiments.training.loop import train_and_evaluate
from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import PATIENCE, REPOSITORY, environment, read_metrics
from tests.experiments.tiny_numbers import launch_numbers_command, tiny_numbers_config


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("multi")
    config = tiny_numbers_config("multi", data_dir, model__dtype="bfloat16")
    return workdir, train_and_evaluate(config, workdir, RunPictures)


def test_the_result_holds_errors_per_number_digit_and_length(finished):
    workdir, result = finished
    assert result == json.loads((workdir / "result.json").read_text())
    assert result["model"] == "st_cnn_multi"
    assert result["dataset"] == "street numbers, 64 px (synthetic: 48 train, 20 test)"
    by_length = {n: e for n, e in result.items() if n.startswith("test_error_percent_length_")}
    assert by_length and 0 < result["test_digit_error_percent"] <= 100
    assert min(by_length.values()) <= result["test_error_percent"] <= max(by_length.values())


def test_every_transformers_theta_is_logged(finished):
    workdir, _ = finished
    records = [record for record in read_metrics(workdir) if "loss" in record]
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    for number in range(4):
        identity = records[0][f"transformers_{number}/theta/mean"]
        np.testing.assert_array_equal(identity, [1, 0, 0, 0, 1, 0])
        assert max(records[-1][f"transformers_{number}/theta/spread"]) > 0


def test_the_picture_shows_every_transformer(finished):
    workdir, _ = finished
    with Image.open(workdir / "figures" / "samples.png") as picture:
        width, height = picture.size
        rows = np.array_split(np.asarray(picture.convert("L"), float), 9)
    assert height > 0.9 * width  # the input, four grids and four outputs, of eight numbers
    assert min(row.std() for row in rows) > 10


def test_a_picture_of_a_number_is_read(finished, tmp_path):
    workdir, _ = finished
    Image.fromarray(np.arange(1500, dtype=np.uint8).reshape(30, 50)).save(tmp_path / "grey.png")
    ((_, prediction),) = predict_files(run_network(workdir), [tmp_path / "grey.png"])
    texts, chances = zip(*prediction.answers, strict=True)
    assert all(re.fullmatch("-|[0-9_]{1,5}", text) for text in texts)
    assert len(set(texts)) == 3
    assert 1 >= chances[0] >= chances[1] >= chances[2] > 0
    assert [view.theta.shape for view in prediction.transformers.values()] == [(2, 3)] * 4


def test_evaluating_a_finished_run_gives_its_result(finished):
    workdir, result = finished
    step, evaluation = evaluate_workdir(workdir)
    assert step == 6
    assert evaluation.error_percent == result["test_error_percent"]
    assert evaluation.details["digit_error_percent"] == result["test_digit_error_percent"]


def test_one_and_eight_devices_give_the_same_losses(data_dir, tmp_path):
    """Covers dropout, batch statistics and crops; runs from the command line."""
    runs = {}
    # Compile as for users: the unoptimised code of the other tests sums less precisely.
    with ForkedRuns(tmp_path, XLA_FLAGS="") as forked:
        for devices in (1, 8):
            workdir = tmp_path / str(devices)
            # Not Adam: it divides by the gradient's size, which amplifies rounding differences.
            settings = "--config.optimizer.name=sgd", "--config.optimizer.learning_rate=0.01"
            command = launch_numbers_command("single", data_dir, workdir, *settings)
            (run,) = forked.launch_all([command], devices=devices)
            assert run.code == 0, run.stderr
            runs[devices] = read_metrics(workdir)
    assert len(runs[1]) == len(runs[8]) == 8
    for one, eight in zip(runs[1], runs[8], strict=True):
        assert one.keys() == eight.keys()
        names = ("loss", "gradient_norm", "transformers_0/theta/spread")
        for name in ("test_loss",) if "test_loss" in one else names:
            np.testing.assert_allclose(one[name], eight[name], rtol=1e-3, atol=1e-5)


def test_sigterm_while_data_are_made_leaves_nothing_half_made(tmp_path):
    command = launch_numbers_command("cnn", tmp_path / "data", tmp_path / "run")
    process = subprocess.Popen(
        [*command, "--config.data.synthetic.train=20000"],
        cwd=REPOSITORY,
        env=environment(1),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not list(tmp_path.glob("data/synthetic_street_numbers/*/.drawing-*/.train*")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not (tmp_path / "run").exists()
