"""Tests of `--config=FILE` and `--config.KEY=VALUE`."""

from pathlib import Path

import pytest

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.cli.config_flag import Override, read_config_flag, take_overrides
from tests.experiments.tiny import REPOSITORY

CONFIG = str(REPOSITORY / "configs" / "mnist_r.py")


def read(*arguments, config=CONFIG):
    rest, overrides = take_overrides(list(arguments))
    assert rest == []
    return read_config_flag(config, overrides)


def test_overrides_are_split_from_other_arguments():
    rest, overrides = take_overrides(
        [
            "launch.py",
            "--config=a.py",
            "--config.seed=3",
            "--workdir",
            "x",
            "-config.name",
            "n",
            "--config.data.subset",
            "-1",
            "--noconfig.a",
            "--config.b",
            "--",
            "--config.c=1",
        ]
    )
    assert rest == ["launch.py", "--config=a.py", "--workdir", "x", "--", "--config.c=1"]
    assert overrides == [
        *(Override("seed", "3"), Override("name", "n"), Override("data.subset", "-1")),
        *(Override("a", "false"), Override("b", None)),
    ]


def test_every_kind_of_setting_can_be_changed():
    config = read(
        *("--config.seed=7", "--config.num_epochs=2", "--config.data.source=embedded"),
        *("--config.model.features=(16, 12)", "--config.model.batch_norm=false"),
        *("--config.log.film", "--config.data.data_dir=~/data", "--config.seed=8"),
    )  # fmt: skip
    assert (config.seed, config.num_epochs, config.data.source) == (8, 2.0, "embedded")
    assert type(config.num_epochs) is float
    assert config.model.features == (16, 12)
    assert config.model.batch_norm is False and config.log.film is True
    assert not config.data.data_dir.startswith("~") and config.data.data_dir.endswith("/data")
    assert read("--noconfig.model.batch_norm").model.batch_norm is False
    assert read("--config.model.features=[16,12]", config=f"{CONFIG}:fcn").model.features == (
        16,
        12,
    )


def test_without_changes_it_is_what_get_config_returns():
    from configs import mnist_r

    assert read(config=f"{CONFIG}:fcn,paper").to_dict() == mnist_r.get_config("fcn,paper").to_dict()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("learning_rate=1e-3", "did you mean config.optimizer.learning_rate?"),
        ("data_dir=x", "did you mean config.data.data_dir?"),
        ("model.famly=tps", "did you mean config.model.family?"),
        ("batch_size=abc", "config.batch_size must be an integer in 1..262144, got 'abc'"),
        ("batch_size=1e3", "got '1e3'"),
        ("batch_size=" + "9" * 5000, "config.batch_size must be an integer"),
        ("num_epochs=1e30", "at most 1e+06, got 1e+30"),
        ("model.features=(8,", "positive widths, such as (32, 64), each at most 16384, got '(8,'"),
        ("model.batch_norm=maybe", "must be True or False, got 'maybe'"),
        ("seed", "config.seed needs a value: --config.seed=VALUE"),
        ("task=street_numbers", "name another --config instead"),
        ("name=../../x", "no separators such as /"),
        ("name=", "config.name must be the name of a folder"),
        ("model=3", "config.model is a group of settings"),
        ("data.source=\x1b[31mred", r"'\x1b[31mred'"),
        ("\x1b[31m=\n", r"config.\x1b[31m does not exist"),
        ("data.data_dir=\x1b[31m", "cannot be printed"),
        ("=3", "does not exist"),
    ],
)
def test_a_wrong_setting_is_told(flag, message):
    with pytest.raises(UserError) as error:
        read(f"--config.{flag}")
    line = one_line(error.value)
    assert message in line and line.isprintable()


FILES = {
    "a syntax error": ("x = 1\ndef get_config(:\n", "config.py, line 2: SyntaxError: "),
    "binary": ("\0\1\2", "SyntaxError"),
    "no get_config": ("x = 1", "has no function get_config()"),
    "get_config = 3": ("get_config = 3", "has no function get_config()"),
    "its own flags": (
        "from absl import flags\nfor _ in 'ab':\n    flags.DEFINE_bool('odd', True, '')",
        "line 3: DuplicateFlagError",
    ),
    "an exception": ("def get_config():\n    return {}['a\x1b[31m']", r"line 2: KeyError: 'a\x1b["),
    "an exception below": (
        "def get_config():\n    import json\n    return json.loads('{')",
        "line 3: JSONDecodeError",
    ),
    "an exit": ("raise SystemExit(0)", "line 1: SystemExit: 0"),
    "None": ("def get_config(): pass", "must return a ConfigDict, got None"),
    "no task": ("def get_config(): return {'seed': 1}", "config.task is missing"),
    "another task": ("def get_config(): return {'task': 'digit'}", "unknown config.task 'digit'"),
    "odd keys": ("def get_config(): return {'task': 'x', 3: 4}", "TypeError"),
    "little": ("def get_config(): return {'task': 'distorted_mnist'}", "config.name is missing"),
    "a UserError": (
        "from stn_jax.errors import UserError\nraise UserError('say this')",
        "say this",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_config_is_told_where_it_fails(case, tmp_path):
    text, message = FILES[case]
    path = tmp_path / "config.py"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read(config=str(path))
    line = one_line(error.value)
    assert message in line and line.isprintable()


def test_paths_that_are_no_files_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "mine.py").write_text("")
    for config, message in [
        (str(tmp_path), "is not a file"),
        (str(tmp_path / "nothing.py"), "nothing.py does not exist: (in "),
        (str(tmp_path / "min.py"), f"min.py does not exist: did you mean {tmp_path / 'mine.py'}?"),
        ("quickstrat", f"did you mean {Path('configs', 'quickstart.py')}? (in configs: gtsrb_cnn,"),
        ("quickstart", f"did you mean {Path('configs', 'quickstart.py')}?"),
        ("", "--config is empty"),
        ("/dev/null", "is not a file"),
        ("a\nb.py", "cannot be printed"),
        (f"{CONFIG}:fcn:x", "unknown variant 'fcn:x'"),
        (str(REPOSITORY / "configs" / "table_mnist.py"), "has no function get_config()"),
    ]:
        with pytest.raises(UserError) as error:
            read(config=config)
        assert message in str(error.value)


def test_a_variant_that_a_config_does_not_take_or_needs_is_told(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("def get_config(): return {}")
    with pytest.raises(UserError, match="takes no variant: leave out what follows the colon"):
        read(config=f"{path}:cnn")
    path.write_text("def get_config(variant): return {}")
    with pytest.raises(UserError, match=r"needs a variant: --config=.*config.py:VARIANT"):
        read(config=str(path))


def test_types_of_another_config_do_not_matter(tmp_path):
    """A config may say 8 where it means 8.0; a flag then says 0.5."""
    path = tmp_path / "config.py"
    path.write_text(
        "from configs.mnist_r import get_config as base\n"
        "def get_config():\n"
        "    config = base().to_dict()\n"
        "    return config | {'num_epochs': 8}\n"
    )
    assert read("--config.num_epochs=0.5", config=str(path)).num_epochs == 0.5
