"""Tests of what `--help` prints."""

import functools
import inspect
import runpy
import sys

import pytest

from stn_jax.experiments.cli.config_flag import Override
from stn_jax.experiments.cli.usage import USAGE, config_help, configs_help
from stn_jax.experiments.config_check import fields_of
from stn_jax.experiments.shipped_configs import config_names, config_path
from stn_jax.experiments.tasks import find_task
from tests.experiments.tiny import launch


def get_config_of(name):
    return runpy.run_path(str(config_path(name)))["get_config"]


@pytest.mark.parametrize("name", config_names())
def test_the_help_of_a_config_has_its_variants_and_settings(name):
    text = config_help(str(config_path(name)), [Override("seed", "17")])
    get_config = get_config_of(name)
    config = get_config()
    assert text.startswith(get_config.__globals__["__doc__"].strip())
    assert "  seed = 17: an integer in 0..4294967295\n" in text
    for setting in fields_of(config):
        assert f"\n  {setting} = " in text
    takes_variants = bool(inspect.signature(get_config).parameters)
    assert ("variants" in text.partition("settings")[0]) == takes_variants
    for words in find_task(config).VARIANTS if takes_variants else ():
        assert f"\n  {', '.join(words)}\n" in text
        for word in words:
            get_config(word)


def test_the_variants_are_all_that_there_are():
    for name in ("mnist_r", "svhn_multi", "gtsrb_cnn", "image_folder"):
        get_config = get_config_of(name)
        with pytest.raises(ValueError, match="unknown variant 'x': ") as told:
            get_config("x")
        choices = str(told.value).partition("choices: ")[2].removesuffix(")").split(", ")
        words = functools.reduce(tuple.__add__, find_task(get_config()).VARIANTS)
        assert set(choices) == {part for word in words for part in word.split(",")}


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (["launch.py", "-h"], ["--mode=predict", configs_help()]),
        (["-m", "stn_jax.experiments.cli"], [USAGE, configs_help()]),
        (["-m", "stn_jax.experiments.cli", "train", "--help"], [USAGE, configs_help()]),
        (["-m", "stn_jax.experiments.cli", "train", "quickstart", "--help"], ["\n  seed = 0: "]),
    ],
)
def test_help_is_no_failure(command, parts):
    run = launch([sys.executable, *command])
    assert (run.returncode, run.stderr) == (0, "")
    assert all(part in run.stdout for part in parts)
