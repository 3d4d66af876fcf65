"""Tests of the tables of settings, and of the check of a whole config."""

import itertools
import math
import runpy

import pytest
from ml_collections import ConfigDict

from stn_jax.errors import UserError
from stn_jax.experiments.config_check import SHARED_FIELDS, check_config, fields_of
from stn_jax.experiments.config_fields import (
    Choice,
    FileName,
    FilePath,
    FolderPath,
    Integer,
    Names,
    Pattern,
    Places,
    Real,
    SideOrShape,
    Switch,
    Text,
    Widths,
)
from stn_jax.experiments.distorted_mnist import config as digits
from stn_jax.experiments.own_pictures import config as own_pictures
from stn_jax.experiments.pretrained import FOLDER, pretrained_names
from stn_jax.experiments.reproduce.paper_tables import find_tables
from stn_jax.experiments.shipped_configs import config_names, config_path
from stn_jax.experiments.street_numbers import config as numbers
from stn_jax.experiments.traffic_signs import config as signs
from stn_jax.experiments.training.setup import make_setup
from stn_jax.experiments.workdir.run_config import read_config
from tests.experiments.tiny import tiny_config
from tests.experiments.tiny_numbers import VARIANTS

KINDS = {
    "digits": tiny_config,
    "numbers": lambda: numbers.make_config("multi", "synthetic"),
    "signs": lambda: signs.make_config("multi", "quick"),
    "pictures": lambda: own_pictures.make_config("multi,quick"),
}


def variants(name):
    if name.startswith("svhn"):
        return VARIANTS
    if name.startswith("mnist"):
        recipes = ("modern", "regularised", "paper")
        return (f"{model},{recipe}" for model in digits.MODELS for recipe in recipes)
    if name.startswith("gtsrb"):
        return signs.EPOCHS
    if name == "image_folder":
        return map(",".join, itertools.product(own_pictures.NUM_TRANSFORMERS, own_pictures.EPOCHS))
    return [None]


def shipped_configs():
    """Yields every config that the package can make or has packed."""
    for name in config_names():
        get_config = runpy.run_path(str(config_path(name)))["get_config"]
        yield from (get_config(*filter(None, [variant])) for variant in variants(name))
    for table in find_tables().values():
        for row, budget in itertools.product(table.rows, table.budgets):
            yield table.config(row.name, budget)


def names(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_shipped_configs_are_valid_and_have_exactly_the_settings_of_the_tables():
    for config in shipped_configs():
        check_config(config)
        assert set(names(config)) == set(fields_of(config)), config.name


def test_packed_networks_have_valid_configs():
    for name in pretrained_names():
        check_config(read_config(FOLDER / name))


def changed(kind, **settings):
    config = KINDS[kind]()
    with config.ignore_type(), config.unlocked():
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in settings.items()})
    return config


def refusal(config):
    with pytest.raises(UserError) as error:
        check_config(config)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


NEVER = (
    None,
    float("nan"),
    math.inf,
    -math.inf,
    -1,
    -0.5,
    10**40,
    1e300,
    [],
    {},
    (),
    object(),
    b"",
)
NO_NAMES = (*(value for value in NEVER if value not in ([], ())), True)
WRONG = {
    Integer: (*NEVER, True, 1.0, "1", (1,)),
    SideOrShape: (*NEVER, True, 32.0, "32", (32,), (32, 32, 3), (32, 32.0), (32, True), (1, 32)),
    Real: (*NEVER, "0.5", (0.5,)),  # a ConfigDict would turn True into 1.0
    Switch: (*NEVER, 0, 1, "true"),
    Choice: (*NEVER, "", "unknown", True, ["tfds"]),
    Widths: (*NEVER, 8, "8", (0,), (-8, 8), (8.0, 8), (True, 8), ("8", 8), (8,) * 99, (10**12, 8)),
    Places: (*NEVER, 1, (0, 1), (2, 1), (1, 1), (1.0, 2), (1, 99), "1"),
    FileName: (
        *NEVER,
        "",
        "..",
        "../../x",
        "a/b",
        "a\\b",
        "a\nb",
        "\x1b[31m",
        "~x",
        "\udcff",
        "a" * 999,
    ),
    FolderPath: (*NEVER, "a\nb", "\x1b[31m", "\udcff", True),
    FilePath: (*NEVER, "a\nb", "\x1b[31m", "\udcff", True),
    Text: (*NEVER, "a\nb", "\x1b[31m", "\udcff", True, "a" * 999),
    Pattern: (*NEVER, "(", "[", "*", "(?P<a", "a{9999999999}", "(" * 99, "a" * 999),
    Names: (*NO_NAMES, "cat", (1,), ("a", "a"), ("a", ""), ("a\nb",), ("a" * 999,), ("a",) * 10**5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_refuses_what_it_cannot_be_and_names_itself(kind):
    for name, field in fields_of(KINDS[kind]()).items():
        for value in WRONG[type(field)]:
            assert f"config.{name}" in refusal(changed(kind, **{name: value})), (name, value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_a_range_are_as_the_message_says(kind):
    for name, field in fields_of(KINDS[kind]()).items():
        if isinstance(field, Integer):
            assert field.accepts(field.least) and field.accepts(field.most)
            for value in (field.least - 1, field.most + 1):
                message = refusal(changed(kind, **{name: value}))
                assert f" in {field.least}..{field.most}" in message
                assert message.endswith(f", got {value}")
        elif isinstance(field, Real):
            assert field.accepts(field.least) != field.above and not field.accepts(True)
            assert field.accepts(field.most) != field.below
            assert not field.accepts(math.nextafter(field.most, math.inf))
            assert not field.accepts(math.nextafter(-field.least, -math.inf))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("digits", {"optimizer.name": "adamw"}, "did you mean 'adam'"),
        ("digits", {"optimizer.schedule": "one_cicle"}, "did you mean 'one_cycle'"),
        ("digits", {"optimizer.momentum": 1.0}, "at least 0 and below 1, got 1.0"),
        ("digits", {"num_epochs": math.nan}, "above 0 and at most 1e+06, got nan"),
        ("digits", {"model.classifier": "cnnn"}, "did you mean 'cnn'"),
        ("digits", {"model.family": "afine"}, "did you mean 'affine'"),
        ("digits", {"data.distortion": "rst"}, "did you mean 'rts'"),
        ("digits", {"data.augment.deformation": 28}, "at least 0 and below 28, got 28"),
        ("digits", {"data.augment.linear": 1.01}, "at most 1, got 1.01"),
        ("digits", {"model.features": (8, 8, 8)}, "2 positive widths with config.model.classifier"),
        ("digits", {"model.pool": 30}, "output_size must be at least 30 pixels"),
        ("digits", {"batch_size": 200_000, "steps_per_dispatch": 50}, "steps_per_dispatch=50, is"),
        ("digits", {"model": 3}, "config.model is a group of settings"),
        ("digits", {"model.famly": 3}, "famly does not exist .* did you mean config.model.family?"),
        ("numbers", {"model.filters": (8, 8)}, "must be 8 positive widths"),
        ("numbers", {"data.context": 0.5}, "0 or a number at least 1 and at most 100, got 0.5"),
        ("numbers", {"data.crop": 65}, "crop must be at most 64 pixels"),
        ("numbers", {"data.augment.brightness": 1.5}, "at most 1, got 1.5"),
        ("numbers", {"eval_batch_size": 2**18, "data.size": 512, "data.crop": 512}, "at most 2730"),
    ],
)  # fmt: skip
def test_the_message_says_what_to_change(kind, settings, message):
    told = refusal(changed(kind, **settings))
    for part in message.split(" .* "):
        assert part in told


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_setting_is_named(kind):
    for name in fields_of(KINDS[kind]()):
        config = KINDS[kind]()
        group = config
        *parents, last = name.split(".")
        for parent in parents:
            group = group[parent]
        del group[last]
        if name == "log.film":  # configs of older runs lack it
            config = ConfigDict({key: value for key, value in config.items() if key != "log"})
            check_config(config)
        else:
            assert f"config.{name} is missing" in refusal(config) or not group


def test_more_steps_than_can_be_counted_are_refused_once_the_data_are_known():
    config = tiny_config(data__subset=0, batch_size=1, num_epochs=1e6)
    with pytest.raises(UserError, match=r"4000000000 steps .* use at most 536871 epochs"):
        make_setup(config)


def test_the_shared_settings_are_those_of_no_task_alone():
    for task_fields in (digits.FIELDS, numbers.FIELDS, signs.FIELDS, own_pictures.FIELDS):
        assert not task_fields.keys() & SHARED_FIELDS.keys()
