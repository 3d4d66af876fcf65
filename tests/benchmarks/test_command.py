"""The short version of the whole command: only wrong results make it fail, not slow ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.__main__ import PARTS

pytestmark = pytest.mark.stress  # it takes most of a minute

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "benchmarks", "--short", f"--out={out}"]
    run = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return out


def test_all_parts_are_measured_and_the_machine_is_named(folder):
    results = json.loads((folder / "results.json").read_text())
    assert results["parts"].keys() == PARTS.keys()
    assert all(results["parts"].values())
    assert "cores" in results["machine"]["processor"]
    assert "jax 0" in results["machine"]["packages"]
    assert results["notes"] == peers.left_out()


def test_every_figure_has_its_spread_and_is_against_ours(folder):
    results = json.loads((folder / "results.json").read_text())
    for part in ("sampler", "steps", "exports"):
        for record in results["parts"][part]:
            for key in ("seconds", "ratio"):
                low, middle, high = record[key]
                assert 0 < low <= middle <= high
            if record["who"] == "ours":
                assert record["ratio"] == [1, 1, 1]


def test_the_tables_hold_every_part_and_every_picture_is_there(folder):
    text = (folder / "results.md").read_text()
    for name, part in PARTS.items():
        assert f"## {part.TITLE}\n" in text
        assert (f"({name}.png)" in text) == (folder / f"{name}.png").exists()
    assert not peers.have("torch") or (folder / "sampler.png").exists()
