import ast
import json
import re
import runpy
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import stn_jax
import stn_jax.experiments.pretrained
from stn_jax import load_pretrained
from stn_jax.errors import UserError
from stn_jax.experiments.pretrained import FOLDER, packing, pretrained_names
from stn_jax.experiments.pretrained.__main__ import main
from stn_jax.experiments.pretrained.packing import pack
from stn_jax.experiments.street_numbers.drawn.drawing import draw_picture
from stn_jax.experiments.tasks import TASKS, find_task
from stn_jax.experiments.training.checkpoints import Checkpoints
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.workdir.run_config import settings
from tests.experiments.tiny import REPOSITORY, tiny_config

EMBEDDED = {"source": "embedded", "manual_dir": "/somewhere/of/mine"}
NAMES = ("cnn", "st_cnn_affine", "st_cnn_tps", "street_numbers_single", "traffic_signs_single")


def wrong_percent(name, images, labels):
    model, variables, _ = load_pretrained(name)
    logits = jax.jit(model.apply)(variables, images)
    right = np.asarray(logits.argmax(axis=-1)) == labels
    return 100 * (1 - right.reshape(len(labels), -1).all(axis=1).mean())


@pytest.fixture(scope="module")
def distorted_digits():
    config = load_pretrained("cnn").config
    config.data.update(EMBEDDED)
    data = find_task(config).load_data(config)
    images = data.preprocessing.test(jnp.asarray(data.test.images[:200]), jnp.arange(200))
    return images, data.test.labels[:200]


def test_all_that_the_documentation_names_is_there():
    assert pretrained_names() == sorted(NAMES)
    for name in NAMES:
        assert f'"{name}"' in load_pretrained.__doc__


@pytest.mark.parametrize("name", ["cnn", "st_cnn_affine", "st_cnn_tps"])
def test_digits_that_were_turned_scaled_and_shifted_are_read(name, distorted_digits):
    assert wrong_percent(name, *distorted_digits) < 6


def test_drawn_numbers_are_read():
    drawn = [draw_picture(np.random.default_rng((77, i)), "wide") for i in range(40)]
    labels = np.full((40, 5), 10)
    for row, (_, boxes) in zip(labels, drawn, strict=True):
        row[: len(boxes)] = [box.digit for box in boxes]
    pictures = np.stack([picture for picture, _ in drawn])[:, 8:-8, 8:-8] / np.float32(255)
    images = pictures - pictures.mean(axis=(1, 2, 3), keepdims=True)
    assert wrong_percent("street_numbers_single", images, labels) < 30


def test_the_list_has_the_facts_of_the_cards_and_of_the_files():
    cards = stn_jax.list_pretrained()
    assert [card.name for card in cards] == sorted(NAMES)
    for card in cards:
        network = load_pretrained(card.name)
        assert card.num_params == network.state.num_params
        shape = ", ".join(map(str, network.input_shape))
        assert card.input.startswith(f"[B, {shape}] float32, ")
        assert card.network == find_task(network.config).model_name(network.config)
        assert 0 < card.error_percent < 10 and 0 < card.megabytes < 2
        assert card.licence == "Apache-2.0"
        assert "\n" not in str(card) and f"{card.error_percent:.2f}%" in str(card)


@pytest.mark.parametrize(
    "given",
    [
        lambda pixels, path: path,
        lambda pixels, path: str(path),
        lambda pixels, path: Image.fromarray(pixels),
        lambda pixels, path: Image.fromarray(pixels).convert("RGB"),
        lambda pixels, path: pixels,
        lambda pixels, path: pixels[..., None],
        lambda pixels, path: jnp.asarray(pixels / 255),
        lambda pixels, path: np.stack([pixels] * 3, axis=-1).astype(float) / 255,
    ],
)
def test_a_picture_is_preprocessed_alike_whatever_it_is_given_as(given, tmp_path):
    network = load_pretrained("st_cnn_affine")
    pixels = np.zeros((100, 120), np.uint8)
    pixels[20:80, 55:62] = 200
    Image.fromarray(pixels).save(tmp_path / "one.png")
    image = network.preprocess(given(pixels, tmp_path / "one.png"))
    np.testing.assert_allclose(image, network.preprocess(tmp_path / "one.png"), atol=1e-6)
    (prediction,) = network.predict(image[None])
    assert prediction.answers[0].text == "1" and prediction.answers[0].probability > 0.5


@pytest.mark.parametrize("name", ["cnn", "st_cnn_affine", "traffic_signs_single"])
def test_answers_are_those_of_the_model(name):
    network = load_pretrained(name)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), np.uint8)
    images = np.stack(
        [network.preprocess(picture.repeat(20, 0).repeat(20, 1)) for picture in pictures]
        if name.endswith("single")
        else [np.eye(42, dtype=np.float32)[..., None], np.tri(42, dtype=np.float32)[..., None]]
    )
    logits = network.model.apply(network.variables, images)
    expected = network.labels.texts(np.asarray(logits.argmax(axis=-1)))
    predictions = network.predict(images)
    assert [prediction.answers[0].text for prediction in predictions] == expected
    assert len({prediction.description for prediction in predictions}) == 2 - (name == "cnn")
    assert network.predict(images[:0]) == []


WRONG = {
    "another size": (
        np.zeros((8, 28, 28, 1), np.float32),
        r"\(B, 42, 42, 1\), got \(8, 28, 28, 1\)",
    ),
    "one image": (np.zeros((42, 42, 1), np.float32), r"pass image\[None\]"),
    "0..255": (np.full((1, 42, 42, 1), 255.0), r"at most 1, got float64 in 255\.0\.\.255"),
    "uint8": (np.zeros((1, 42, 42, 1), np.uint8), "floating-point .* uint8"),
    "NaN": (np.full((1, 42, 42, 1), np.nan), "nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_images_that_are_not_prepared_are_refused(case):
    images, message = WRONG[case]
    with pytest.raises(UserError, match=message) as told:
        load_pretrained("cnn").predict(images)
    assert "pass image[None]" in str(told.value) or ".preprocess(picture)" in str(told.value)


@pytest.mark.parametrize("name", ["street_numbers_single", "traffic_signs_single"])
def test_pixels_in_0_to_255_are_refused_by_networks_for_photographs(name):
    network = load_pretrained(name)
    with pytest.raises(UserError, match=r"\.preprocess\(picture\)"):
        network.predict(np.full((1, *network.input_shape), 200.0))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((2, 3, 4)), "got \\(2, 3, 4\\)"),
        (np.zeros((2, 30, 30, 1)), "one by one"),
        (np.full((30, 30), 255.0), "convert 0..255 to uint8"),
        (np.full((30, 30), np.nan), "0..1"),
        (np.zeros((0, 3)), "got"),
        (np.zeros((30, 30)), "blank"),
        ("nowhere.png", "no image file nowhere.png"),
    ],
)
def test_what_is_no_picture_is_refused(picture, message):
    with pytest.raises(UserError, match=message):
        load_pretrained("cnn").preprocess(picture)


def test_an_unknown_name_gets_one_line_with_the_names():
    with pytest.raises(UserError, match="did you mean 'st_cnn_affine'") as error:
        load_pretrained("st_cnn_afine")
    assert all(name in str(error.value) for name in NAMES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_what_ships_is_small_and_says_where_it_comes_from(name):
    folder = FOLDER / name
    assert (folder / "model.safetensors").stat().st_size < 2_000_000
    config = load_pretrained(name).config
    assert config.data.data_dir == config.data.manual_dir == ""
    card = (folder / "README.md").read_text()
    assert re.search(r"\| commit \| `[0-9a-f]{7,40}`", card)
    assert re.search(r"\*\*\d+\.\d\d%\*\* with these weights", card)
    # The command on the card must give exactly the config that trained the network.
    path, variant = re.search(r"--config=(configs/\w+\.py):([\w,]+)", card).groups()
    named = runpy.run_path(str(REPOSITORY / path))["get_config"](variant)
    flags = re.findall(r'--config\.([\w.]+)="?([^\s"`]+)', card)
    named.update_from_flattened_dict({key: ast.literal_eval(value) for key, value in flags})
    assert settings(named) == settings(config)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """Returns a run's folder as training leaves it, but untrained, and its parameters."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    config = tiny_config("fcn")
    config.data.update(EMBEDDED)
    workdir.mkdir()
    (workdir / "config.json").write_text(config.to_json())
    state = make_setup(config).initial_state(seed=3)
    with Checkpoints(workdir / "checkpoints", keep_newest=1) as checkpoints:
        checkpoints.save(state)
    result = {
        **{"model": "fcn", "num_params": 1234, "dataset": "some digits", "device": "1 x cpu"},
        **{"epochs": 4.0, "steps": 20, "train_seconds": 2.0},
        "versions": {"jax": "1.2.3", "flax": "4.5.6"},
    }
    (workdir / "result.json").write_text(json.dumps(result))
    return workdir, state.params


@pytest.fixture
def package_folder(tmp_path, monkeypatch):
    for module in (packing, stn_jax.experiments.pretrained):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    return tmp_path


def test_a_run_is_packed_by_the_command_and_loaded_by_its_name(
    finished_run, package_folder, capsys
):
    workdir, params = finished_run
    main([str(workdir), "mine", "--command=python launch.py", "--commit=abc1234"])
    assert str(package_folder / "mine") in capsys.readouterr().out

    model, variables, config = load_pretrained("mine")
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=2**-11, atol=2**-25),
        variables["params"],
        dict(params),
    )
    assert model.apply(variables, jnp.zeros((2, 28, 28, 1))).shape == (2, 10)
    assert config.data.manual_dir == ""
    assert "/somewhere" not in (package_folder / "mine" / "README.md").read_text()


def test_a_card_can_be_written_for_every_task_whose_data_others_have():
    names = TASKS.keys() - {"own_pictures"}
    assert packing._OUTPUTS.keys() == packing._RANGES.keys() == names
    for name in names:
        source = TASKS[name].FIELDS.get("data.source")
        names = ["traffic_signs"] if source is None else source.choices
        assert set(names) <= packing._LIMITS_AND_LICENCE.keys()


def test_a_run_that_has_not_ended_and_a_path_for_a_name_get_one_line(
    finished_run, package_folder, tmp_path
):
    workdir, _ = finished_run
    unfinished = tmp_path / "unfinished"
    shutil.copytree(workdir, unfinished)
    (unfinished / "result.json").unlink()
    with pytest.raises(UserError, match="is not finished"):
        pack(unfinished, "mine", command="", commit="")
    with pytest.raises(UserError, match="letters, digits and underscores"):
        pack(workdir, "../mine", command="", commit="")
    assert not (package_folder / "mine").exists()
    assert not Path(package_folder.parent / "mine").exists()
