"""Random flags end in a run or in one clear line, never in a traceback."""

import random
import sys

import jax
import pytest

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.cli.config_flag import read_config_flag, take_overrides
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.optimizer import make_optimizer
from tests.experiments.cli.random_overrides import random_flags
from tests.experiments.tiny import OVERRIDES, launch
from tests.experiments.tiny_numbers import OVERRIDES as NUMBERS
from tests.experiments.tiny_pictures import write_pictures
from tests.experiments.tiny_signs import OVERRIDES as SIGNS
from tests.experiments.traffic_signs.archives import write_archives

pytestmark = pytest.mark.stress


def test_400_random_configs_are_refused_in_one_line_or_can_be_built():
    draw = random.Random(0)
    refused = 0
    for _ in range(400):
        config_flag, *flags = random_flags(draw)
        rest, overrides = take_overrides(flags)
        assert rest == []
        try:
            config = read_config_flag(config_flag.removeprefix("--config="), overrides)
        except UserError as error:
            refused += 1
            line = one_line(error)
            assert line.isprintable() and "config" in line, flags
            assert len(line) < 1000, flags
        else:
            build(config)
    assert 100 < refused < 390


def build(config):
    """Traces the parts of a run that depend on the config and need no data."""
    task = find_task(config)
    images = jax.ShapeDtypeStruct((2, *task.input_shape(config)), "float32")
    variables = jax.eval_shape(task.make_network(config).init, jax.random.key(0), images)
    optimizer = make_optimizer(config.optimizer, 10)
    jax.eval_shape(optimizer.init, variables["params"])
    assert task.model_name(config)


def settings(overrides: dict) -> list[str]:
    return [f"--config.{name}={value}" for name, value in overrides.items()]


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["-OO"], {}),
        (["-W", "error"], {}),
        ([], {"PYTHONIOENCODING": "ascii"}),
        ([], {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}),
    ],
)
def test_messages_are_printed_in_odd_environments(options, environment, tmp_path, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, *options, "launch.py", "--config=configs/mnist_r.py:fcn"]
    refused = launch([*command, "--config.data.source=\x1bé", *settings(OVERRIDES)[2:]])
    assert refused.returncode == 2
    assert refused.stderr.startswith("launch.py: unknown config.data.source '\\x1b")
    assert len(refused.stderr.splitlines()) == 1
    done = launch([*command, f"--workdir={tmp_path / 'rün'}", *settings(OVERRIDES)])
    if "LC_ALL" in environment:  # its file names have no such letter
        assert "has characters that cannot be printed" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "test error" in done.stdout


@pytest.mark.parametrize("seed", range(16))
def test_random_flags_end_in_a_result_or_in_one_line(seed, tmp_path):
    config_flag, *flags = random_flags(random.Random(seed))
    tiny = OVERRIDES
    last = {"num_epochs": 2.0, "data.source": "embedded"}  # short, and without a download
    if "svhn" in config_flag:
        tiny = NUMBERS | {"data.data_dir": tmp_path / "data", "data.held_out": 0}
        last |= {"data.source": "synthetic", "data.synthetic.train": 48, "data.synthetic.test": 20}
    if "gtsrb" in config_flag:
        tiny = SIGNS | {"data.data_dir": tmp_path / "data"}
        last = {"num_epochs": 2.0, "data.manual_dir": write_archives(tmp_path / "archives")}
    if "image" in config_flag:
        tiny = SIGNS | {"data.data_dir": tmp_path / "data"}
        counts = {"train/a": 12, "train/b": 9, "test/a": 3, "test/b": 4}
        last = {"num_epochs": 2.0, "data.dir": write_pictures(tmp_path / "pictures", counts)}
    command = [sys.executable, "launch.py", config_flag, f"--workdir={tmp_path / 'run'}"]
    run = launch([*command, *settings(tiny), *flags, *settings(last)])
    assert run.returncode in (0, 1, 2), run.stderr
    assert "Traceback" not in run.stderr
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.startswith("launch.py: ")]
        assert len(lines) == 1
    if run.returncode == 1:
        assert "diverged" in lines[0]
