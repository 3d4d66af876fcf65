"""What docs/own_photographs.md shows works as written, on a few photographs of drawn signs."""

import glob
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.pretrained import pretrained_names
from stn_jax.experiments.street_numbers.drawn.drawing import draw_picture
from stn_jax.experiments.traffic_signs.classes import CLASS_NAMES
from stn_jax.experiments.traffic_signs.drawn_signs import View, photograph
from tests.experiments import tiny_numbers, tiny_signs
from tests.experiments.tiny import PATIENCE, REPOSITORY, environment

PAGE = (REPOSITORY / "docs" / "own_photographs.md").read_text()
ASK, SIGNS, NUMBERS = re.split("^## ", PAGE, flags=re.MULTILINE)[1:]

LONGER = {"num_epochs": 12.0, "eval_every_epochs": 12.0, "log_every": 100}
TINY = {
    "gtsrb_single": tiny_signs.OVERRIDES | LONGER,
    "svhn_single": {
        key: value for key, value in tiny_numbers.OVERRIDES.items() if "synthetic" not in key
    }
    | {"batch_size": 1},
}
"""Settings that make the runs of the page short, by config."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a working directory with photographs of three signs and of a number."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 3)):
        for sign in (12, 14, 38):
            of_class = folder / "photographs" / split / str(sign)
            of_class.mkdir(parents=True)
            for number in range(count):
                view = View(
                    *rng.uniform([-15, 0.8, -5, -5, 0, 0], [15, 1.1, 5, 5, 0.5, 2]).tolist()
                )
                picture = photograph(sign, view, int(rng.integers(1000)), 32)
                picture.save(of_class / f"{number}.png")
    Image.open(of_class / "0.png").save(folder / "sign.jpg")
    Image.open(of_class / "1.png").save(folder / "other_sign.png")
    house = Image.fromarray(draw_picture(rng, "close", [4, 2])[0]).resize((80, 64))
    house.save(folder / "house.png")
    house.save(folder / "house.jpg")
    return folder


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def run_commands(section: str, folder: Path, named: str) -> Iterable[str]:
    """Runs the commands of a section that name something; yields what each prints."""
    for line in "".join(blocks(section, "sh")).splitlines():
        program, *words = shlex.split(line)
        assert program == "stn-jax"
        if named not in line:
            continue
        arguments = [path for word in words for path in sorted(glob.glob(word)) or [word]]
        for key, value in TINY[words[1]].items() if words[0] == "train" else ():
            arguments.append(f"--config.{key}={value}")
        command = [sys.executable, "-m", "stn_jax.experiments.cli", *arguments]
        run = subprocess.run(
            command,
            cwd=folder,
            env=environment(devices=1) | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        yield run.stdout


def answers(printed: str) -> list[tuple[str, str]]:
    """Returns the file and the first answer of each line, after checking its form."""
    numbers = r"0\.\d{3}|1\.000"
    pattern = rf"(.*): (.*) \(({numbers}); then .* ({numbers}), .* ({numbers})\)(; .*)?"
    found = []
    for line in printed.splitlines():
        name, answer, *chances, _ = re.fullmatch(pattern, line).groups()
        assert chances == sorted(chances, reverse=True)
        found.append((name, answer))
    return found


@pytest.mark.stress
@pytest.mark.parametrize(
    ("name", "count"), [("traffic_signs_single", 2), ("street_numbers_single", 1)]
)
def test_the_networks_of_the_package_are_asked(folder, monkeypatch, name, count):
    if name not in pretrained_names():
        pytest.skip(f"{name} does not come with the package yet")
    monkeypatch.chdir(folder)
    (printed,) = run_commands(ASK, folder, named=f"--pretrained={name}")
    assert len(answers(printed)) == count


@pytest.mark.stress
def test_a_network_is_trained_on_own_signs_and_recognises_them(folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec("".join(blocks(SIGNS, "python")), {})
    trained, predicted = run_commands(SIGNS, folder, named="")
    assert "test error" in trained
    right = [
        answer == CLASS_NAMES[int(Path(name).parent.name)] for name, answer in answers(predicted)
    ]
    assert len(right) == 9
    assert sum(right) >= 6

    (again,) = run_commands(ASK, folder, named="--workdir=runs/my_signs")
    assert again == predicted


@pytest.mark.stress
def test_a_network_is_trained_on_own_numbers(folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec("".join(blocks(NUMBERS, "python")), {})
    trained, predicted = run_commands(NUMBERS, folder, named="")
    assert "test error" in trained
    assert [name for name, _ in answers(predicted)] == ["house.png"]
