"""Tests of whole runs on traffic signs: the files they write, and what reads them."""

import json

import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.predict_files import predict_files
from stn_jax.experiments.report import write_report
from stn_jax.experiments.run_pictures import RunPictures
from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES
from stn_jax.experiments.trained_networks import run_network
from stn_jax.experiments.training.evaluation import evaluate_workdir
from stn_jax.experiments.training.loop import train_and_evaluate
from stn_jax.experiments.workdir.film_frames import read_frames
from tests.experiments.report.html import Parsed
from tests.experiments.tiny_signs import tiny_signs_config
from tests.experiments.traffic_signs.archives import pictures_to_test, training, write_archives

CLASSES = (1, 41, 14)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder, workdir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("single")
    archives = folder / "archives"
    write_archives(archives, training(CLASSES), pictures_to_test(CLASSES, count=20))
    config = tiny_signs_config("single", folder, archives, log__film=True)
    return workdir, train_and_evaluate(config, workdir, RunPictures)


def test_the_result_holds_errors_by_kind_of_sign(finished):
    workdir, result = finished
    assert result == json.loads((workdir / "result.json").read_text())
    assert result["model"] == "st_cnn_single"
    assert result["dataset"] == "traffic signs, 16 px (36 train, 20 test)"
    kinds = ("speed_limits", "derestriction", "unique")
    counts = np.bincount(np.arange(20) % 3)
    errors = [result[f"test_error_percent_{kind}"] for kind in kinds]
    assert np.average(errors, weights=counts) == pytest.approx(result["test_error_percent"])
    assert len([name for name in result if name.startswith("test_error_percent_")]) == 3
    _, evaluation = evaluate_workdir(workdir)
    assert [evaluation.details[f"error_percent_{kind}"] for kind in kinds] == errors


def test_the_film_shows_one_sign_of_each_kind(finished):
    workdir, _ = finished
    frames = read_frames(workdir)
    labels = [CLASS_NAMES[number] for number in CLASSES]
    assert all(frame.labels == labels for frame in frames)
    with Image.open(workdir / "figures" / "training.gif") as gif:
        assert gif.n_frames == len(frames)


def test_a_photograph_is_answered_in_words(finished, tmp_path):
    workdir, _ = finished
    Image.fromarray(np.arange(1500, dtype=np.uint8).reshape(30, 50)).save(tmp_path / "grey.png")
    ((_, prediction),) = predict_files(run_network(workdir), [tmp_path / "grey.png"])
    assert len({answer.text for answer in prediction.answers} & set(CLASS_NAMES)) == 3


def test_the_report_has_errors_by_kind_and_those_that_others_report(finished):
    workdir, _ = finished
    texts = Parsed(write_report([workdir]).read_text()).texts
    assert {"Error, by kind of sign", "speed limits", "unique", "derestriction"} <= set(texts)
    assert "Published test errors" in texts
    assert {"human, average (Stallkamp et al. 2012)", "1.16%"} <= set(texts)
    assert not any("same network" in text for text in texts)
