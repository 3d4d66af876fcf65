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


def run(folder, *options):
    """Runs the short version, and returns the results in the folder."""
    command = [sys.executable, "-m", "benchmarks", "--short", f"--out={folder}", *options]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    run(out)
    return out


def test_all_parts_are_measured_and_the_machine_is_named(folder):
    results = json.loads((folder / "results.json").read_text())
    assert results["parts"].keys() == PARTS.keys()
    assert all(results["parts"].values())
    assert results["machines"].keys() == PARTS.keys()
    for machine in results["machines"].values():
        assert "cores" in machine["processor"]
        assert "jax 0" in machine["packages"]
        for peer in peers.PEERS:
            assert (f"{peer} not installed" in machine["packages"]) != peers.have(peer)
    assert not results["notes"]


def test_parts_that_are_not_run_keep_their_results(folder, tmp_path):
    before = json.loads((folder / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(before))
    after = run(tmp_path, "--only=methods", "--methods=nearest")
    assert list(after["parts"]) == list(PARTS)
    for name, records in before["parts"].items():
        kept = [record for record in records if record.get("method") != "nearest"]
        assert [r for r in after["parts"][name] if r.get("method") != "nearest"] == kept
    assert after["parts"]["methods"] != before["parts"]["methods"]
    assert not run(tmp_path, "--only=methods", "--recipe=modern")["parts"].keys() - {"methods"}


def test_every_figure_has_its_spread_and_is_against_ours(folder):
    results = json.loads((folder / "results.json").read_text())
    for part in ("sampler", "methods", "volumes", "splines", "steps", "exports"):
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
