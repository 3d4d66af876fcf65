"""Exported programs give what the library gives, where the library cannot be imported."""

import functools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax
from stn_jax.errors import UserError
from stn_jax.experiments.classification.preprocessing import CONTRASTS
from stn_jax.experiments.data.examples import of_each
from stn_jax.experiments.export import export_network
from stn_jax.experiments.export.programs import PLATFORMS, classifier, onnx_model
from stn_jax.experiments.pretrained import pretrained_names
from stn_jax.experiments.pretrained.cards import run_card
from stn_jax.experiments.tasks import find_task
from tests.experiments.networks import noisy_network, random_pixels
from tests.experiments.tiny import tiny_config
from tests.experiments.tiny_numbers import tiny_numbers_config
from tests.experiments.tiny_signs import tiny_signs_config

FAMILIES = ("translation", "attention", "similarity", "affine", "projective", "tps")
RUNS = {
    "no transformer": lambda path: tiny_config("fcn"),
    "numbers": lambda path: tiny_numbers_config("multi", path),
    "signs": lambda path: tiny_signs_config("single", path),
}
MORE_RUNS = {
    **{
        f"{family} fcn": lambda path, f=family: tiny_config("st_fcn_affine", model__family=f)
        for family in FAMILIES
    },
    "cnn": lambda path: tiny_config("st_cnn_affine", model__features=(4, 6)),
    "numbers, one transformer": lambda path: tiny_numbers_config("single", path),
    "numbers, standardised": lambda path: tiny_numbers_config("cnn", path, data__standardise=True),
    "signs, three transformers": lambda path: tiny_signs_config("multi", path),
    "signs, no contrast": lambda path: tiny_signs_config("cnn", path, data__contrast="none"),
    "signs, standardised": lambda path: tiny_signs_config(
        "cnn", path, data__contrast="standardise"
    ),
}

# Other tests compile without optimisation, which leaves roundings out of sums.
AS_FOR_USERS = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 3})

CONSUMER = """
import sys
sys.modules["stn_jax"] = None  # cannot be imported
import pathlib, jax, numpy as np
for name in sys.argv[1:]:
    folder = pathlib.Path(name)
    program = jax.export.deserialize((folder / "model.jax").read_bytes())
    pixels = np.load(folder / "pixels.npy")
    np.save(folder / "found.npy", program.call(pixels))
    np.save(folder / "first.npy", program.call(pixels[:1]))
    platforms = ",".join(program.platforms)
    print(platforms, b"stn_jax_" in program.mlir_module_serialized, flush=True)
"""


def assert_exports(networks, folder):
    """Checks the programs of some networks, by their names."""
    pytest.importorskip("flatbuffers", reason="the extra export is not installed")
    for name, network in networks.items():
        export_network(network, "jax", folder / name, card="")
        np.save(folder / name / "pixels.npy", random_pixels(network, 3))
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, *(str(folder / name) for name in networks)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{','.join(PLATFORMS)} False"] * len(networks)
    for name, network in networks.items():
        expected = np.asarray(jax.jit(classifier(network))(random_pixels(network, 3)))
        assert np.ptp(expected, axis=0).max() > 1e-3, name  # the pictures matter
        found = np.load(folder / name / "found.npy")
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(np.load(folder / name / "first.npy"), found[:1], atol=1e-5)


def assert_exports_to_onnx(networks):
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for name, network in networks.items():
        pixels = random_pixels(network, 3)
        expected = AS_FOR_USERS(classifier(network))(pixels)
        session = runtime.InferenceSession(onnx_model(network))
        for count in (1, 3):
            (found,) = session.run(["probabilities"], {"pixels": pixels[:count]})
            np.testing.assert_allclose(found, expected[:count], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_normalised_pixels_agree_in_onnxruntime(contrast):
    """Among few levels of grey, many pixels have the same luminance up to rounding."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from stn_jax.onnx import to_onnx

    def normalised(pixels):
        return of_each(CONTRASTS[contrast])(pixels, jnp.zeros(0, int))

    pixels = np.random.default_rng(0).integers(0, 20, (5, 32, 32, 3)).astype(np.uint8)
    session = runtime.InferenceSession(to_onnx(normalised, ("b", 32, 32, 3), np.uint8))
    (found,) = session.run(None, {"input": pixels})
    np.testing.assert_allclose(found, AS_FOR_USERS(normalised)(pixels), atol=1e-5)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    return {name: noisy_network(make(path)) for name, make in RUNS.items()}


def test_programs_for_jax_agree_without_the_library(networks, tmp_path):
    assert_exports(networks, tmp_path)
    for name, network in networks.items():
        described = json.loads((tmp_path / name / "model.json").read_text())
        assert described["input"]["shape"] == ["b", *network.input_shape]
        assert described["classes"] == list(network.labels.class_names)
        assert described["output"]["shape"][-1] == len(described["classes"])


def test_onnx_models_agree_in_onnxruntime(networks):
    assert_exports_to_onnx(networks)


@pytest.mark.stress
@pytest.mark.parametrize("name", pretrained_names())
def test_programs_of_the_networks_of_the_package_agree(name, tmp_path):
    networks = {name: stn_jax.load_pretrained(name)}
    assert_exports(networks, tmp_path)
    assert_exports_to_onnx(networks)


@pytest.mark.stress
@pytest.mark.parametrize("name", MORE_RUNS)
def test_programs_of_all_families_and_networks_agree(name, tmp_path):
    networks = {name: noisy_network(MORE_RUNS[name](tmp_path))}
    assert_exports(networks, tmp_path)
    assert_exports_to_onnx(networks)


def test_pixels_become_what_a_picture_becomes(networks):
    for name in ("signs", "numbers"):
        network = networks[name]
        pixels = random_pixels(network, 1)
        if name == "numbers":  # its picture is larger than the crop
            margin = (network.config.data.size - network.input_shape[0]) // 2
            picture = np.pad(pixels[0], ((margin,) * 2, (margin,) * 2, (0, 0)), "edge")
        else:
            picture = pixels[0]
        images = find_task(network.config).from_pixels(pixels, network.config)
        np.testing.assert_allclose(images[0], network.preprocess(picture), atol=1e-5)


def test_half_precision_becomes_float32_in_onnx(networks, tmp_path):
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    config = tiny_signs_config("single", tmp_path, model__dtype="bfloat16")
    half = networks["signs"]._replace(config=config, model=find_task(config).make_network(config))
    assert onnx_model(half) == onnx_model(networks["signs"])


def test_what_cannot_be_exported_gets_one_line(networks, tmp_path, monkeypatch):
    network = networks["no transformer"]
    with pytest.raises(UserError, match=r"unknown format 'onx': did you mean 'onnx'\?"):
        export_network(network, "onx", tmp_path, card="")
    broken = network._replace(variables=jax.tree.map(lambda x: x * np.nan, network.variables))
    with pytest.raises(UserError, match="the weights are not finite, because training diverged"):
        export_network(broken, "folder", tmp_path, card="")
    for to, module in (("jax", "flatbuffers"), ("onnx", "onnx")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UserError, match=r"which is not installed: pip install 'stn_jax\["):
            export_network(network, to, tmp_path / "new", card="")
    assert not list(tmp_path.iterdir())


def test_the_card_of_a_run_says_what_is_known(networks, tmp_path):
    card = run_card(networks["signs"], tmp_path)
    assert card.startswith("---\nlibrary_name: stn_jax\n")
    assert "unknown: training had not ended" in card
    result = {"model": "x", "num_params": 1, "dataset": "my signs", "device": "1 x cpu"}
    result |= {"epochs": 4.0, "steps": 20, "train_seconds": 120.0, "test_error_percent": 1.25}
    result["versions"] = {"jax": "1.2.3", "flax": "4.5.6"}
    (tmp_path / "result.json").write_text(json.dumps(result))
    card = run_card(networks["signs"], tmp_path)
    assert "| test error | 1.25% |" in card and "| data | my signs |" in card
