"""Campaigns: runs that are stopped or killed at random moments, and runs that race for a folder."""

import json
import random
import re
import signal

import pytest
from orbax.checkpoint import v1 as ocp

from tests.experiments.forked import ForkedRuns
from tests.experiments.tiny import launch_command, read_metrics

pytestmark = pytest.mark.stress

STEPS = 200
EVALUATIONS = [40, 80, 120, 160, 200]
FILES = {"checkpoints", "config.json", "environment.json", "metrics.jsonl", "result.json"}


def command(workdir):
    epochs = ("--config.num_epochs=40", "--config.eval_every_epochs=8", "--config.log_every=9")
    return launch_command(workdir, *epochs, variant="fcn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with ForkedRuns(tmp_path_factory.mktemp("outputs")) as runs:
        yield runs


@pytest.fixture(scope="module")
def undisturbed(runs, tmp_path_factory):
    """The outcome of a run that nothing stops, and the processor time that it takes."""
    for name in ("first", "compiled"):  # the second one finds compiled programs
        workdir = tmp_path_factory.mktemp(name)
        ended = runs.launch(command(workdir))
        assert ended.code == 0, ended.stderr
    return outcome(workdir), ended.seconds


def outcome(workdir):
    """Returns what a run has computed; fails if it has left anything else."""
    names = {path.name for path in workdir.iterdir() if "tfevents" not in path.name}
    assert names <= FILES
    checkpoints = workdir / "checkpoints"
    assert all(path.name.isdigit() for path in checkpoints.iterdir())
    records = read_metrics(workdir)
    trained = [record["step"] for record in records if "loss" in record]
    assert trained == sorted(set(trained))
    tested = {r["step"]: r["test_loss"] for r in records if "test_loss" in r}
    assert [r["step"] for r in records if "test_loss" in r] == EVALUATIONS
    digest = ocp.metadata((checkpoints / str(STEPS)).absolute()).custom_metadata["sha256"]
    result = json.loads((workdir / "result.json").read_text())
    return digest, tested, result["test_error_percent"]


def check_lines(ended):
    lines = ended.stderr.splitlines()
    assert len(lines) <= 1, ended.stderr
    assert all(line.startswith("launch.py: stopped") for line in lines)


@pytest.mark.parametrize("seed", range(10))
def test_signals_at_random_moments_change_nothing(runs, undisturbed, tmp_path, seed):
    expected, seconds = undisturbed
    rng = random.Random(seed)
    for _ in range(3):
        signals = [(rng.choice([signal.SIGINT, signal.SIGTERM]), rng.uniform(0, seconds))]
        if rng.random() < 0.4:
            second = signals[0][1] + rng.uniform(0, 0.2)
            signals.append((rng.choice([signal.SIGINT, signal.SIGTERM]), second))
        ended = runs.launch(command(tmp_path), *signals)
        check_lines(ended)
        assert ended.code in {0, *(128 + number for number, _ in signals)}, ended
        if ended.code == 0:
            assert (tmp_path / "result.json").exists()
    ended = runs.launch(command(tmp_path))
    assert ended.code == 0, ended.stderr
    assert outcome(tmp_path) == expected


@pytest.mark.parametrize("seed", range(10))
def test_kills_at_random_moments_change_nothing(runs, undisturbed, tmp_path, seed):
    expected, seconds = undisturbed
    rng = random.Random(100 + seed)
    for _ in range(3):
        runs.launch(command(tmp_path), (signal.SIGKILL, rng.uniform(0, seconds)))
    ended = runs.launch(command(tmp_path))
    assert ended.code == 0, ended.stderr
    assert not ended.stderr
    assert outcome(tmp_path) == expected


_LOCKED_TOGETHER = """
import os, time
from stn_jax.experiments.training import loop

def locked_together(folder, locked=loop.locked, **options):
    open(f"{meet}/{{os.getpid()}}", "w").close()
    while len(os.listdir("{meet}")) < 2:
        time.sleep(0.001)
    return locked(folder, **options)

loop.locked = locked_together
"""


def test_of_two_runs_in_one_folder_one_is_refused(runs, undisturbed, tmp_path):
    expected, _ = undisturbed
    for number in range(20):
        workdir, meet = tmp_path / str(number), tmp_path / f"meet{number}"
        meet.mkdir()
        ended = runs.launch_all(
            [command(workdir)] * 2, preparation=_LOCKED_TOGETHER.format(meet=meet)
        )
        winner, loser = sorted(ended)
        assert (winner.code, loser.code) == (0, 2), (winner, loser)
        assert not winner.stderr
        told = rf"launch.py: {workdir} is in use by process \d+ on .+ since .+\n"
        assert re.fullmatch(told, loser.stderr)
        assert outcome(workdir) == expected
