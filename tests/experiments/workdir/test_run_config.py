import json

import pytest

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.distorted_mnist.config import make_config
from stn_jax.experiments.street_numbers.config import make_config as make_numbers_config
from stn_jax.experiments.workdir.run_config import claim_workdir, read_config
from stn_jax.files import write_atomically
from tests.experiments.tiny import tiny_config


def test_the_config_is_written_and_read_back(tmp_path):
    config = tiny_config()
    claim_workdir(tmp_path / "new" / "run", config)
    assert read_config(tmp_path / "new" / "run").to_dict() == json.loads(config.to_json())


def test_where_data_lie_and_what_is_drawn_may_change_but_nothing_else(tmp_path):
    claim_workdir(tmp_path, tiny_config())
    claim_workdir(tmp_path, tiny_config(data__data_dir="elsewhere", data__manual_dir="there"))
    claim_workdir(tmp_path, tiny_config(log__film=True))
    with pytest.raises(UserError, match=r"data.subset: 16 there, 5 now"):
        claim_workdir(tmp_path, tiny_config(data__subset=5))


def test_a_run_from_before_films_is_gone_on_with(tmp_path):
    claim_workdir(tmp_path, tiny_config())
    old = json.loads((tmp_path / "config.json").read_text())
    del old["log"]
    (tmp_path / "config.json").write_text(json.dumps(old))
    claim_workdir(tmp_path, tiny_config())
    assert "log" not in read_config(tmp_path)


def test_a_run_from_before_dropout_and_warps_had_none_of_either(tmp_path):
    config = make_config("r", "st_fcn_affine")
    claim_workdir(tmp_path, config)
    old = json.loads((tmp_path / "config.json").read_text())
    del old["model"]["dropout"]
    del old["data"]["augment"]["deformation"], old["data"]["augment"]["linear"]
    (tmp_path / "config.json").write_text(json.dumps(old))
    claim_workdir(tmp_path, config)
    assert read_config(tmp_path).to_dict() == json.loads(config.to_json())
    config.model.dropout = 0.5
    with pytest.raises(UserError, match=r"model.dropout: 0.0 there, 0.5 now"):
        claim_workdir(tmp_path, config)


def test_a_run_on_numbers_from_before_real_ones_had_the_papers_network_and_crops(tmp_path):
    config = make_numbers_config("multi", "synthetic")
    claim_workdir(tmp_path, config)
    old = json.loads((tmp_path / "config.json").read_text())
    for name in ("aspect", "letterbox", "standardise", "composed", "drawn"):
        del old["data"][name]
    for name in ("linear", "shift", "invert"):
        del old["data"]["augment"][name]
    for name in ("kernel_size", "poolings", "attention"):
        del old["model"][name]
    (tmp_path / "config.json").write_text(json.dumps(old))
    claim_workdir(tmp_path, config)
    assert read_config(tmp_path).to_dict() == json.loads(config.to_json())


def test_settings_that_were_removed_are_dropped_if_they_changed_nothing(tmp_path):
    config = tiny_config()
    claim_workdir(tmp_path, config)
    old = json.loads((tmp_path / "config.json").read_text())
    old["data"]["augment"] |= {"shift": 0, "brightness": 0.0, "contrast": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(old))
    claim_workdir(tmp_path, config)
    assert read_config(tmp_path).to_dict() == json.loads(config.to_json())
    old["data"]["augment"]["shift"] = 2
    (tmp_path / "config.json").write_text(json.dumps(old))
    with pytest.raises(UserError, match=r"has data.augment.shift=2, .* removed after version"):
        claim_workdir(tmp_path, config)


def test_checkpoints_of_unknown_origin_are_left_alone(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"no config.json"):
        claim_workdir(tmp_path, tiny_config())


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"task": "distorted_mnist", "data": {}}',
        '{"task": "distorted_mnist", "data": {}, "model": 3}',
        '{"task": ["distorted_mnist"], "data": {}, "model": {}}',
    ],
)
def test_a_damaged_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json cannot be read"):
        read_config(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to --workdir"):
        claim_workdir(tmp_path / "file" / "run", tiny_config())


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, 5)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_nearest_choice_is_named():
    with pytest.raises(UserError, match=r"unknown fruit 'aple': did you mean 'apple'\?"):
        check_choice("aple", ["pear", "apple"], "fruit")
    check_choice("pear", ["pear", "apple"], "fruit")
