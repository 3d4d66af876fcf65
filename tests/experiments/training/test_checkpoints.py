"""Tests of what is saved, kept, passed over and refused."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.checkpoints import Checkpoints, restore_newest
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.steps import create_state
from tests.experiments.tiny import REPOSITORY, tiny_config

CONFIG = tiny_config("fcn")
DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a flipped bit": lambda path: flip(path),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


def flip(path):
    content = bytearray(path.read_bytes())
    if content:  # an empty file has none
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


def initial(config):
    task = find_task(config)
    optimizer = make_optimizer(config.optimizer, num_steps=1)
    return create_state(task.make_network(config), optimizer, config.seed, task.input_shape(config))


@pytest.fixture(scope="module")
def state():
    return jax.device_get(initial(CONFIG))


def at(state, step):
    """Returns a state that tells which step it belongs to."""
    params = jax.tree.map(lambda leaf: np.full_like(leaf, step), state.params)
    return state.replace(step=np.int32(step), params=params)


@pytest.fixture(scope="module")
def two(tmp_path_factory, state):
    """Returns a folder with the checkpoints of steps 10 and 20."""
    folder = tmp_path_factory.mktemp("two") / "checkpoints"
    with Checkpoints(folder, keep_newest=2, config=CONFIG) as checkpoints:
        for step in (10, 20):
            checkpoints.save(at(state, step), float(step))
    return folder


@pytest.fixture
def copy(two, tmp_path):
    return Path(shutil.copytree(two, tmp_path / "checkpoints"))


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_saved_is_restored(two, state):
    restored, unusable = restore_newest(two, state, config=CONFIG, num_steps=20)
    chex.assert_trees_all_equal(restored, at(state, 20))
    assert not unusable


def test_the_newest_and_the_best_are_kept(tmp_path, state):
    errors = {1: 9.0, 2: 3.0, 3: 5.0, 4: 3.0, 5: 8.0, 6: None, 7: 4.0}
    with Checkpoints(tmp_path / "checkpoints", keep_newest=2, config=CONFIG) as checkpoints:
        for step, error in errors.items():
            checkpoints.save(at(state, step), error)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"4", "6", "7"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_skipped_whatever_file_it_is(copy, state, capfd, damage):
    files = [path for path in (copy / "20").rglob("*") if path.is_file() and path.stat().st_size]
    # Its own damage is tested below; a flipped bit in its settings is harmless.
    files.remove(copy / "20" / "contents.json")
    DAMAGES[damage](random.Random(damage).choice(sorted(files)))
    _check_skipped(copy, state, capfd)


@pytest.mark.parametrize("damage", ["empty", "truncated", "a folder", "a dangling link"])
def test_a_checkpoint_with_damaged_contents_is_skipped(copy, state, capfd, damage):
    DAMAGES[damage](copy / "20" / "contents.json")
    _check_skipped(copy, state, capfd)


def _check_skipped(copy, state, capfd):
    before = content(copy)
    restored, unusable = restore_newest(copy, state, config=CONFIG, num_steps=20)
    assert restored.step == 10
    assert unusable == [copy / "20"]
    [line] = capfd.readouterr().err.splitlines()
    assert f"{copy / '20'} is broken and was skipped" in line
    assert content(copy) == before


def test_a_checkpoint_without_contents_is_like_those_of_older_versions(copy, state):
    (copy / "20" / "contents.json").unlink()
    restored, unusable = restore_newest(copy, state, config=CONFIG, num_steps=20)
    chex.assert_trees_all_equal(restored, at(state, 20))
    assert not unusable


@pytest.mark.stress
def test_every_damage_to_every_file_is_found(two, tmp_path, state):
    names = [path.relative_to(two) for path in (two / "20").rglob("*") if path.is_file()]
    for name in names:
        for damage in DAMAGES.values():
            folder = Path(shutil.copytree(two, tmp_path / "copy"))
            damage(folder / name)
            restored, _ = restore_newest(folder, state, config=CONFIG)
            chex.assert_trees_all_equal(restored, at(state, int(restored.step)))
            if name.name != "contents.json" and (two / name).stat().st_size:
                assert restored.step == 10
            shutil.rmtree(folder)


@pytest.mark.parametrize("file", ["metrics/metrics", "contents.json", "state/_METADATA"])
@pytest.mark.parametrize("older_version", [False, True])
def test_a_checkpoint_that_may_not_be_read_is_not_broken(two, state, file, older_version):
    with tempfile.TemporaryDirectory() as folder, as_somebody_without_rights(folder) as drop:
        copy = Path(shutil.copytree(two, Path(folder, "checkpoints")))
        if older_version:
            (copy / "20" / "contents.json").unlink()
        path = copy / "20" / file
        if path.exists():
            path.chmod(0)
            drop()
            with pytest.raises(UserError, match=r"checkpoints/20 cannot be read .*denied"):
                restore_newest(copy, state, config=CONFIG)


@contextlib.contextmanager
def as_somebody_without_rights(folder):
    """Yields a function that gives up the rights of root, if the tests run as root."""
    if os.geteuid() != 0:
        yield lambda: None
        return
    os.chmod(folder, 0o755)
    try:
        yield lambda: os.seteuid(65534)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["٣", "²", "123", "0020", "1.5", "notes", "21.unfinished"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_strange_names_among_the_checkpoints_do_no_harm(copy, state, name, kind):
    (copy / name).mkdir() if kind == "folder" else (copy / name).write_text("")
    restored, _ = restore_newest(copy, state, config=CONFIG, num_steps=30)
    assert restored.step == 20
    with Checkpoints(copy, keep_newest=3, config=CONFIG) as checkpoints:
        checkpoints.save(at(state, 25))
    assert {"10", "20", "25"} - {"10" if name == "123" else ""} <= set(os.listdir(copy))
    assert (copy / name).exists() == (not name.endswith("unfinished"))


def test_nothing_saved_is_no_error(tmp_path, state):
    for folder in (tmp_path, tmp_path / "missing"):
        assert restore_newest(folder, state, config=CONFIG) == (None, [])


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"seed": 1}, "seed: 1 there, 0 here"),
        ({"model__features": (9, 12)}, "model.features"),
        ({"optimizer__name": "sgd"}, "its optimizer has other arrays"),
    ],
)
def test_a_checkpoint_of_another_run_is_skipped(copy, capfd, overrides, reason, state):
    other = tiny_config("fcn", **overrides)
    with Checkpoints(copy, keep_newest=3, config=other) as checkpoints:
        checkpoints.save(at(initial(other), 30))
    restored, unusable = restore_newest(copy, state, config=CONFIG)
    assert restored.step == 20
    assert unusable == [copy / "30"]
    assert reason in capfd.readouterr().err


def test_a_checkpoint_after_the_runs_end_is_of_another_run(two, state, capfd):
    restored, unusable = restore_newest(two, state, config=CONFIG, num_steps=19)
    assert restored.step == 10
    assert unusable == [two / "20"]
    assert "is of another run and was skipped (this one ends at step 19)" in capfd.readouterr().err


def test_a_renamed_checkpoint_is_skipped(copy, state):
    (copy / "20").rename(copy / "15")
    restored, unusable = restore_newest(copy, state, config=CONFIG, num_steps=20)
    assert restored.step == 10
    assert unusable == [copy / "15"]


# In another process, because Orbax cannot save and load in two threads of one.
TRAIN = f"""
import sys
from pathlib import Path
from {__name__} import CONFIG, Checkpoints, at, initial

state = initial(CONFIG)
with Checkpoints(Path(sys.argv[1]), keep_newest=1, config=CONFIG) as checkpoints:
    for step in range(1, 10**6):
        checkpoints.save(at(state, step), 1.0 / step)
"""


@pytest.mark.stress
def test_a_run_that_trains_can_be_read(tmp_path, state, capfd):
    steps = []
    with subprocess.Popen([sys.executable, "-c", TRAIN, tmp_path], cwd=REPOSITORY) as process:
        try:
            while len(set(steps)) < 5 and process.poll() is None:
                read, unusable = restore_newest(tmp_path, state)
                assert not unusable
                if read is not None:
                    steps.append(int(read.step))
        finally:
            process.kill()
    assert len(set(steps)) == 5
    assert steps == sorted(steps)
    assert "checkpoint" not in capfd.readouterr().err


def test_what_a_killed_process_left_half_written_or_half_deleted_is_removed(copy, state):
    (copy / "10").rename(copy / "10.unfinished")
    (copy / "10.unfinished" / "state" / "_METADATA").unlink()
    (copy / "21.unfinished.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    with Checkpoints(copy, keep_newest=2):
        assert os.listdir(copy) == ["20"]
