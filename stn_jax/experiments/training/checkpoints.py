"""Checkpoints of the training state, written with Orbax: the newest few and the best are kept.

Each is a folder named by its step, which appears and disappears as a whole: while it is written or
deleted, its name ends in `UNFINISHED`.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict
from orbax.checkpoint import v1 as ocp
from orbax.checkpoint.experimental.v1._src.saving import execution

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training import hosts
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.training.steps import DEVICES, TrainState, create_state
from stn_jax.experiments.workdir.run_config import settings

METRIC = "test_error_percent"
UNFINISHED = ".unfinished"

_CONTENTS = "contents.json"
_ORIGIN = ("task", "seed", "data.", "model.")  # prefixes of the settings that distinguish runs


class Checkpoints:
    """Saves the states of one run below `directory`. Use it as a context manager.

    States are stored as host arrays, so that they can be restored on any number of devices. Next to
    each state, `contents.json` holds digests of the files, to detect damage, and the shapes of the
    arrays and the settings that the state depends on, to detect checkpoints of other runs.

    Of several processes that train one run, each has the whole state, and one writes it. The others
    only check it, and do not use the directory, which need not exist on their hosts.

    Args:
        directory: the folder with the checkpoints; it is created if necessary.
        keep_newest: the number of newest checkpoints to keep, besides the best.
        config: the run's config, to detect checkpoints of other runs.
    """

    def __init__(self, directory: Path, *, keep_newest: int, config: ConfigDict | None = None):
        self._directory = directory.absolute()  # Orbax requires an absolute path
        self._keep_newest = keep_newest
        self._config = config

    def __enter__(self) -> "Checkpoints":
        if hosts.is_writer():
            self._directory.mkdir(parents=True, exist_ok=True)
            self._remove_unfinished()
        return self

    def __exit__(self, *exception) -> None:
        if hosts.is_writer():
            self._remove_unfinished()

    def save(self, state: TrainState, test_error_percent: float | None = None) -> None:
        """Saves the state under its step number, and returns once it is on disk.

        Raises:
            TrainingDivergedError: if the parameters are not finite; nothing is saved.
            OSError: if it cannot be written; `__exit__` removes what was written.
        """
        host_state = jax.tree.map(np.array, state)
        step = int(state.step)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host_state.params)):
            raise TrainingDivergedError(
                f"the parameters after step {step} are not finite and were not saved; earlier "
                "checkpoints are kept. Try a lower config.optimizer.learning_rate"
            )
        if not hosts.is_writer():
            return
        path = self._directory / f"{step}{UNFINISHED}"
        digest = {"sha256": _digest(host_state)}
        with _write_errors(path), _in_this_process_alone():
            ocp.save(path, host_state, checkpointable_name="state", custom_metadata=digest)
        if test_error_percent is not None:
            metrics = path / "metrics" / "metrics"
            metrics.parent.mkdir()
            metrics.write_text(json.dumps({METRIC: test_error_percent}))
        contents = {
            "settings": {} if self._config is None else _origin(self._config),
            "arrays": _arrays(host_state),
            "files": {
                file.relative_to(path).as_posix(): _file_digest(file)
                for file in sorted(path.rglob("*"))
                if file.is_file()
            },
        }
        (path / _CONTENTS).write_text(json.dumps(contents, indent=1))
        path.rename(self._directory / str(step))
        self._remove_old()

    def _remove_old(self) -> None:
        paths = _saved(self._directory)
        best = min(reversed(paths), key=_test_error_percent)
        for path in {*paths[: -self._keep_newest]} - {best}:
            path.rename(path.with_name(path.name + UNFINISHED))
        self._remove_unfinished()

    def _remove_unfinished(self) -> None:
        for pattern in (f"*{UNFINISHED}", "*.orbax-checkpoint-tmp*"):
            for path in self._directory.glob(pattern):
                if path.is_symlink() or path.is_file():
                    path.unlink()
                else:
                    shutil.rmtree(path)


@contextlib.contextmanager
def _in_this_process_alone() -> Iterator[None]:
    """Makes Orbax wait for no other process of the run."""
    if hosts.count() == 1:
        yield
        return
    this = jax.process_index()
    options = ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})
    compare = execution._check_directory_consistency
    # Compares the path with those of all processes, also of those that are not active.
    execution._check_directory_consistency = lambda path: None
    try:
        with ocp.Context(multiprocessing_options=options):
            yield
    finally:
        execution._check_directory_consistency = compare


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Reports whatever Orbax raises, which it does not document, as an OSError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if found := re.search(r"os_error_code='(\d+)'", str(error)):  # as its storage library says
            number = int(found[1])
        reason = os.strerror(number) if number else one_line(error)[-200:]
        raise OSError(number, reason, str(path)) from error


class _Unusable(Exception):
    """Raised for a checkpoint that is broken, or of another run; the message says which and why."""


def restore_newest(
    directory: Path,
    template: TrainState,
    *,
    config: ConfigDict | None = None,
    num_steps: int | None = None,
) -> tuple[TrainState | None, list[Path]]:
    """Returns the newest usable state, and the checkpoints that were skipped.

    A checkpoint that is damaged or belongs to another run is reported and skipped; nothing on disk
    is changed.

    Args:
        directory: the folder with the checkpoints of a run.
        template: a state with the same structure and shapes.
        config: the run's config, to detect checkpoints of other runs.
        num_steps: the step at which the run ends, for the same purpose.

    Returns:
        The state as host arrays, or None if nothing was saved yet; and the folders of the unusable
        checkpoints that are newer.

    Raises:
        UserError: if there are checkpoints, but none of them is usable, or the newest one cannot be
            read for another reason, such as its permissions.
    """
    unusable: list[Path] = []
    while paths := [path for path in _saved(directory) if path not in unusable]:
        path = paths[-1]
        try:
            return _load(path, template, config, num_steps), unusable
        except _Unusable as error:
            if not path.exists() and not path.is_symlink():
                continue  # the run that is training has deleted it
            print(f"checkpoint {path} {error}", file=sys.stderr)
            unusable.append(path)
    if unusable:
        raise UserError(
            f"none of the checkpoints in {directory} can be read: choose another --workdir to "
            "start again"
        )
    return None, []


def restore(workdir: Path, config: ConfigDict) -> tuple[nn.Module, TrainState]:
    """Returns the network and the newest state of the run in `workdir`.

    Raises:
        UserError: if nothing has been saved there.
    """
    task = find_task(config)
    model = task.make_network(config, axis_name=DEVICES)
    optimizer = make_optimizer(config.optimizer, num_steps=1)  # only the shapes of its state matter
    template = create_state(model, optimizer, config.seed, task.input_shape(config))
    state, _ = restore_newest(workdir / "checkpoints", template, config=config)
    if state is None:
        raise UserError(f"the run in {workdir} has saved no checkpoint yet: train it first")
    return model, state


def _saved(directory: Path) -> list[Path]:
    """Returns the checkpoints in the order of their steps, and ignores other files."""
    names = os.listdir(directory) if directory.is_dir() else []
    steps = sorted(int(name) for name in names if name.isascii() and name.isdigit())
    return [directory / str(step) for step in steps if str(step) in names]


def _load(
    path: Path, template: TrainState, config: ConfigDict | None, num_steps: int | None
) -> TrainState:
    if num_steps is not None and int(path.name) > num_steps:
        _refuse("is of another run", f"this one ends at step {num_steps}")
    path = path.absolute()
    template = jax.tree.map(np.array, template)
    try:
        contents = _verified_contents(path)
        if contents is not None:
            _check_origin(contents, template, config)
    # A missing file is damage; any other failure to read one says nothing about the checkpoint.
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        _refuse("is broken", f"{error.filename}: {error.strerror}")
    except OSError as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({error.filename}: {error.strerror})"
        ) from error
    try:
        with _in_this_process_alone():
            state = ocp.load(path, template, checkpointable_name="state")
            metadata = ocp.metadata(path).custom_metadata
        if metadata is None or metadata["sha256"] != _digest(state):
            raise ValueError("its values differ from those that were saved")
    except MemoryError:
        raise
    # Orbax does not document which exceptions it raises.
    except Exception as error:
        reason = one_line(error)[:100]
        if contents is None or not path.exists():
            _refuse("is broken", reason)
        raise UserError(f"checkpoint {path} cannot be read ({reason})") from error
    if int(state.step) != int(path.name):
        _refuse("is broken", f"it is the state of step {int(state.step)}")
    return state


def _refuse(what: str, reason: str) -> NoReturn:
    raise _Unusable(f"{what} and was skipped ({reason})")


def _verified_contents(path: Path) -> Mapping[str, Any] | None:
    """Returns what a checkpoint holds if its files are those that were written.

    Returns None for a checkpoint of a version before 0.2, which has no digests of its files.
    """
    try:
        text = (path / _CONTENTS).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        for folder, _, files in os.walk(path, onerror=_raise):
            for file in files:
                _file_digest(Path(folder, file))
        return None
    try:
        contents = json.loads(text)
        files = contents["files"].items()
        changed = [name for name, digest in files if _file_digest(path / name) != digest]
        if not isinstance(contents["settings"], dict) or not isinstance(contents["arrays"], dict):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        changed = [_CONTENTS]
    if changed:
        _refuse("is broken", f"{changed[0]} is damaged")
    return contents


def _raise(error: OSError) -> NoReturn:
    raise error


def _check_origin(
    contents: Mapping[str, Any], template: TrainState, config: ConfigDict | None
) -> None:
    there, here = contents["settings"], {} if config is None else _origin(config)
    for name in sorted(there.keys() & here.keys()):
        if there[name] != here[name]:
            _refuse("is of another run", f"{name}: {there[name]!r} there, {here[name]!r} here")
    if contents["arrays"] != _arrays(template):
        _refuse("is of another run", "its network or its optimizer has other arrays")


def _origin(config: ConfigDict) -> dict[str, object]:
    return {key: value for key, value in settings(config).items() if key.startswith(_ORIGIN)}


def _arrays(state: TrainState) -> dict[str, list]:
    """Returns each array's shape and type by name."""
    return {
        jax.tree_util.keystr(path): [list(leaf.shape), str(leaf.dtype)]
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


def _test_error_percent(path: Path) -> float:
    """Returns the error that was saved with a checkpoint, or infinity if there is none."""
    try:
        error = float(json.loads((path / "metrics" / "metrics").read_bytes())[METRIC])
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf
    return error if math.isfinite(error) else math.inf


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(state: TrainState) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
