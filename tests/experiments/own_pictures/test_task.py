import json
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.config_check import check_config
from stn_jax.experiments.own_pictures.config import EPOCHS, NUM_TRANSFORMERS, make_config
from stn_jax.experiments.own_pictures.labels import PictureLabels
from stn_jax.experiments.own_pictures.task import completed, input_shape, model_name
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.trained_networks import run_network
from stn_jax.experiments.training.loop import train_and_evaluate
from stn_jax.experiments.workdir.run_config import read_config
from tests.experiments.tiny import launch
from tests.experiments.tiny_pictures import (
    launch_pictures_flags,
    tiny_pictures_config,
    write_pictures,
)

COUNTS = {"train/Kühe & <b>": 12, "train/$x^2$ 漢字": 12, "train/n02085620-Chihuahua": 12}
COUNTS |= {name.replace("train", "test"): 6 for name in COUNTS}
SHAPE = (16, 20)
NAMES = sorted({name.partition("/")[2] for name in COUNTS})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns the folder of pictures, that of decoded ones, a run's folder, and its output."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "zoo", COUNTS)
    (folder / "zoo" / "train" / "n02085620-Chihuahua" / "text.png").write_text("no picture")
    flags = launch_pictures_flags(folder / "zoo", folder / "data")
    flags.append(f"--config.data.size={SHAPE}")
    run = launch([sys.executable, "launch.py", *flags, f"--workdir={folder / 'run'}"])
    assert run.returncode == 0, run.stderr
    return folder, run


def test_one_command_trains_and_says_what_was_left_out(trained):
    folder, run = trained
    reason = "left out, use a PNG or JPEG file: n02085620-Chihuahua/text.png"
    assert f"note: train: 1 of 37 pictures {reason}\n" in run.stdout
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["dataset"] == "zoo, 16x20 px (36 train, 18 test)"
    assert result["model"] == "st_cnn_affine"
    assert 0 <= result["test_error_percent_mean_of_classes"] <= 100
    assert not run.stderr


def test_a_run_is_used_without_its_pictures(trained):
    folder, _ = trained
    picture = folder / "cow.png"
    Image.effect_noise((50, 30), 90).save(picture)
    (folder / "zoo").rename(folder / "away")
    try:
        network = run_network(folder / "run")
        assert network.input_shape == (*SHAPE, 3)
        (prediction,) = network.predict(network.preprocess(picture)[None])
        assert sorted(answer.text for answer in prediction.answers) == NAMES
        data = find_task(network.config).load_data(network.config)
        assert np.bincount(data.test.labels).tolist() == [6, 6, 6]
    finally:
        (folder / "away").rename(folder / "zoo")


def test_a_run_goes_on_with_the_same_pictures_only(trained):
    folder, _ = trained
    settings = {"name": "image_folder_single-modern", "data__size": SHAPE}
    same = tiny_pictures_config(folder / "zoo", folder / "data", **settings)
    assert train_and_evaluate(same, folder / "run")["steps"] == 9  # of a copy of the folder too
    write_pictures(folder / "zoo", {"train/another": 3, "test/another": 1})
    decoded = sorted((folder / "data").rglob("*"))
    with pytest.raises(UserError, match=r"another config \(data.classes: .*; data.digest: "):
        train_and_evaluate(same, folder / "run")
    assert sorted((folder / "data").rglob("*")) == decoded  # it is told before they are decoded


def test_every_variant_is_a_run_of_its_own():
    configs = [make_config(f"{n},{r}") for n in NUM_TRANSFORMERS for r in EPOCHS]
    assert len({config.name for config in configs}) == len(configs)
    for config in configs:
        check_config(config)
    assert make_config(None).to_dict() == make_config("modern,single").to_dict()
    with pytest.raises(UserError, match="at most one network and one recipe"):
        make_config("cnn,multi")


@pytest.mark.parametrize("colours", ["grey", "rgb"])
@pytest.mark.parametrize(
    ("transformers", "family", "name"),
    [(0, "affine", "cnn"), (1, "tps", "st_cnn_tps"), (5, "attention", "st_cnn_attention_x5")],
)
def test_any_number_of_transformers_of_any_family_fits(transformers, family, name, colours):
    config = make_config(None)
    config.data.update({"classes": ("a", "b", "c"), "colours": colours, "size": 40})
    config.model.update({"transformers": transformers, "family": family})
    check_config(config)
    assert model_name(config) == name
    images = jax.ShapeDtypeStruct((2, *input_shape(config)), "float32")
    network = find_task(config).make_network(config)
    scores, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), images)
    assert scores.shape == (2, 3)
    assert sum("transformers" in name for name in variables["params"]) == transformers


def test_the_classes_are_kept_with_the_config(tmp_path, monkeypatch):
    write_pictures(tmp_path / "zoo", COUNTS)
    monkeypatch.chdir(tmp_path)
    config = completed(tiny_pictures_config("zoo", tmp_path))
    assert config.data.dir == str(tmp_path / "zoo")
    assert tuple(config.data.classes) == tuple(NAMES)
    assert find_task(config).labels(config).texts(np.array([1, 0])) == [NAMES[1], NAMES[0]]
    (tmp_path / "config.json").write_text(config.to_json())
    assert completed(read_config(tmp_path)).to_json() == config.to_json()
    config.data.digest = "0" * 16
    with pytest.raises(UserError, match="digest is 0000000000000000, but that of"):
        completed(config)


def test_the_mean_of_the_classes_counts_each_class_once():
    labels = PictureLabels(["a", "b", "never"])
    right, answers = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 0, 1])
    weights = np.array([1, 1, 1, 1, 1, 0], np.float32)  # the last only pads the batch
    sums = jax.device_get(labels.error_sums(np.eye(3)[answers], right, weights))
    error = labels.error_details(sums)["error_percent_mean_of_classes"]
    assert error == pytest.approx((25 + 100) / 2)
    two = {name: np.stack([value, 0 * value + value]) for name, value in sums.items()}
    np.testing.assert_allclose(labels.error_details(two)["error_percent_mean_of_classes"], error)
