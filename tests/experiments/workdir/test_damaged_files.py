"""Damages the files of a finished run in many ways, and then resumes, evaluates and reports it.

Whatever is wrong, each command does its work or says in one line what is wrong; it deletes and
moves nothing that is sound.
"""

import contextlib
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.cli import modes
from stn_jax.experiments.run_pictures import RunPictures
from stn_jax.experiments.training.loop import train_and_evaluate
from tests.experiments.tiny import tiny_config

CONFIG = tiny_config()
COMMANDS = {
    "resume": lambda run: modes.train(CONFIG, [str(run)], []),
    "eval": lambda run: modes.evaluate(None, [str(run)], []),
    "predict": lambda run: modes.predict(None, [str(run)], [str(run.parent / "digit.png")]),
    "report": lambda run: modes.report(None, [str(run)], []),
}
MAY_CHANGE = {
    "eval": (),
    "predict": (),
    "report": ("report.html",),
    "resume": (
        *("checkpoints", "environment.json", "events.out.tfevents", "figures/samples.png"),
        *("metrics.jsonl", "result.json", "theta.npz"),
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    train_and_evaluate(CONFIG, folder / "run", RunPictures)
    return folder / "run"


def truncate(path, rng):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) + 1)])


def flip(path, rng):
    content = bytearray(path.read_bytes())
    for place in rng.choices(range(len(content)), k=rng.choice([1, 20])) if content else ():
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def fill(path, rng):
    path.write_bytes(rng.choice([b"", bytes(1000), b"\xff\xfe\x00", b"{}", b"[]", b"null\n" * 9]))


def replace(path, rng):
    """Puts the content of another file of the run there."""
    others = sorted(other for other in path.parent.rglob("*") if other.is_file())
    path.write_bytes(rng.choice(others).read_bytes())


def make_folder(path, rng):
    path.unlink()
    path.mkdir()


def make_link(path, rng):
    path.unlink()
    path.symlink_to(rng.choice(["nowhere", path.name]))


def remove(path, rng):
    path.unlink()


DAMAGES = (truncate, truncate, flip, flip, fill, replace, make_folder, make_link, remove)


def damage(run, rng):
    """Damages one file and returns its path in the run and how it was damaged."""
    by_folder: dict[str, list[Path]] = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        by_folder.setdefault(path.relative_to(run).parts[0], []).append(path)
    path = rng.choice(by_folder[rng.choice(sorted(by_folder))])
    how = rng.choice(DAMAGES)
    how(path, rng)
    return str(path.relative_to(run)), how.__name__


def content(run):
    files = [path for path in run.rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(100))
def test_a_damaged_run_is_used_or_refused(finished, tmp_path, capfd, seed):
    rng = random.Random(seed)
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(tmp_path / "digit.png")
    damages = [damage(run, rng) for _ in range(rng.choice([1, 1, 2]))]
    before = content(run)
    for command in ("eval", rng.choice(["predict", "predict", "report"]), "resume"):
        capfd.readouterr()
        with contextlib.suppress(UserError, OSError):  # commands print these in one line
            COMMANDS[command](run)
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) <= len(damages) + 1, (damages, command, lines)
        after = content(run)
        changed = {path for path in before if after.get(path) != before[path]}
        assert all(path.startswith(MAY_CHANGE[command]) for path in changed), (damages, command)
        # Of two checkpoints, a resume moves at most the damaged ones aside.
        moved = {path.split("/")[1] for path in changed if path.startswith("checkpoints/")}
        assert moved <= {Path(path).parts[1] for path, _ in damages if "checkpoints" in path}
        for step in moved:
            [aside] = (run / "broken_checkpoints").glob(f"{step}-*")
            parts = {
                path: whole for path, whole in before.items() if f"checkpoints/{step}/" in path
            }
            assert parts.keys() == {f"checkpoints/{step}/{path}" for path in content(aside)}
