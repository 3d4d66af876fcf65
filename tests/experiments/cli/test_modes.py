"""Tests of the errors of `launch.py` that need no process; `test_launch.py` tests the others."""

import functools

import pytest

from configs import mnist_r
from stn_jax.errors import UserError
from stn_jax.experiments.cli import modes
from tests.experiments.tiny import tiny_config

_PREDICT_CNN = functools.partial(modes.predict, pretrained="cnn")
WRONG_USE = {
    "no config": (modes.train, None, [], [], "--config is missing"),
    "stray argument": (modes.train, mnist_r.get_config(), [], ["a.png"], "--mode=predict"),
    "config for eval": (modes.evaluate, mnist_r.get_config(), [], [], "--config is for"),
    "eval without workdir": (modes.evaluate, None, [], [], "--workdir is missing"),
    "eval of two runs": (modes.evaluate, None, ["a", "b"], [], "only --mode=report"),
    "report of nothing": (modes.report, None, ["nowhere"], [], "no run in --workdir=nowhere"),
    "run and pretrained": (_PREDICT_CNN, None, ["a"], ["a.png"], "choose one of them"),
    "export without a format": (modes.export, None, ["nowhere"], [], "--format is missing"),
    "export of nothing": (
        functools.partial(modes.export, to="jax"),
        None,
        ["nowhere"],
        [],
        "no run in --workdir",
    ),
    "crops without a folder": (
        functools.partial(_PREDICT_CNN, save_crops=True),
        None,
        [],
        ["a.png"],
        "needs --out=DIR",
    ),
    "crops in a file": (
        functools.partial(_PREDICT_CNN, save_crops=True, out="a.csv"),
        *(None, [], ["a.png"], "a.csv is a file: name a folder"),
    ),
    "nothing to predict": (modes.predict, None, ["nowhere"], [], "name at least one"),
}


@pytest.mark.parametrize("case", WRONG_USE)
def test_wrong_use_is_reported_in_one_line(case):
    command, config, workdirs, arguments, message = WRONG_USE[case]
    assert_told(message, command, config, workdirs, arguments)


WRONG_CONFIGS = {
    "family": ({"model__family": "afine"}, "did you mean 'affine'"),
    "classifier": ({"model__classifier": "cnnn"}, "did you mean 'cnn'"),
    "source": ({"data__source": "embeded"}, "did you mean 'embedded'"),
    "widths": ({"model__features": (3,)}, "must be 2 positive widths"),
    "epochs": ({"num_epochs": float("nan")}, "num_epochs must be a number above 0"),
    "seed": ({"seed": -1}, "config.seed"),
    "distortion": ({"data__distortion": "rtz"}, "did you mean 'rts'"),
}


@pytest.mark.parametrize("case", WRONG_CONFIGS)
def test_wrong_names_in_a_config_are_reported_in_one_line(case, tmp_path):
    overrides, message = WRONG_CONFIGS[case]
    workdir = tmp_path / "run"
    assert_told(message, modes.train, tiny_config(**overrides), [str(workdir)], [])
    assert not workdir.exists()


def assert_told(message, command, *arguments):
    with pytest.raises(UserError) as told:
        command(*arguments)
    assert message in str(told.value)
    assert len(str(told.value).splitlines()) == 1
