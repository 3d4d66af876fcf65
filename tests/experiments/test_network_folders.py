"""Folders of networks: what is written is read back bit by bit, and what is damaged is told."""

import json
import shutil

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import stn_jax
from stn_jax.errors import UserError
from stn_jax.experiments.export import export_network
from stn_jax.experiments.pretrained import FOLDER, pretrained_card
from stn_jax.experiments.pretrained.folders import network_files, write_files
from stn_jax.experiments.pretrained.safetensors import read_safetensors, write_safetensors
from stn_jax.experiments.workdir.run_config import settings
from tests.experiments.networks import noisy_network
from tests.experiments.tiny import tiny_config

FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
ARRAYS = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name != "__metadata__"),
    FLOATS.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))),
    max_size=4,
)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@given(ARRAYS)
def test_arrays_are_read_back_also_by_the_library_of_the_format(given_arrays):
    content = write_safetensors(given_arrays)
    assert_same(read_safetensors(content), given_arrays)
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    assert_same(library.load(content), given_arrays)
    assert_same(read_safetensors(library.save(given_arrays)), given_arrays)


@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 200))
def test_whatever_a_file_holds_is_read_or_refused(noise, start, end):
    content = write_safetensors({"a": np.ones((3, 2), np.float32), "b": np.zeros(4, np.float16)})
    for damaged in (noise, content[:start], content[:start] + noise + content[end:]):
        try:
            found = read_safetensors(damaged)
        except ValueError:
            continue
        assert all(isinstance(array, np.ndarray) for array in found.values())


@pytest.fixture(scope="module")
def network():
    return noisy_network(tiny_config("st_cnn_affine", "r", model__features=(4, 6)))


@pytest.fixture
def folder(network, tmp_path):
    export_network(network, "folder", str(tmp_path / "mine"), card="# mine\n")
    return tmp_path / "mine"


def test_a_network_is_read_back_bit_by_bit(network, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in (folder, str(folder), "mine"):
        loaded = stn_jax.load_pretrained(name)
        jax.tree.map(
            np.testing.assert_array_equal, loaded.variables, jax.device_get(network.variables)
        )
        assert loaded.model == network.model.clone(parent=None)
    assert settings(loaded.config) == settings(network.config)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "config.json", "model.safetensors")
    ]


def test_a_network_of_the_package_keeps_its_card_and_its_size(tmp_path):
    network = stn_jax.load_pretrained("cnn")
    export_network(network, "folder", tmp_path, card=pretrained_card("cnn"))
    for name in ("README.md", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (FOLDER / "cnn" / name).read_bytes()


def test_paths_of_this_machine_are_left_out(network):
    config = network.config.copy_and_resolve_references()
    config.data.manual_dir = "/somewhere/of/mine"
    files = network_files(config, network.variables, "")
    assert json.loads(files["config.json"])["data"]["manual_dir"] == ""
    assert config.data.manual_dir == "/somewhere/of/mine"


DAMAGES = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-1]
        ),
        "model.safetensors cannot be read: it is damaged",
    ),
    "config that is no config": (
        lambda f: (f / "config.json").write_text("{}"),
        "config.json cannot be read: it has no task",
    ),
    "weights of another network": (
        lambda f: shutil.copy(FOLDER / "cnn" / "model.safetensors", f),
        "model.safetensors does not fit config.json: ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_loaded_gets_one_line(folder, damage):
    apply, message = DAMAGES[damage]
    apply(folder)
    with pytest.raises(UserError) as told:
        stn_jax.load_pretrained(folder)
    assert message in str(told.value) and str(folder) in str(told.value)
    assert "\n" not in str(told.value)


def test_the_last_file_is_there_only_if_all_are(tmp_path):
    write_files(tmp_path, {"a": "1", "b": "1"})
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="cannot write to"):
        write_files(tmp_path, {"a": "2", "b": "2"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
