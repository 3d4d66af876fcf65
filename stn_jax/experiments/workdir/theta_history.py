"""The thetas of a fixed set of test examples during training, `theta.npz`."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.workdir.npz_files import read_arrays
from stn_jax.files import write_atomically

_THETA = "theta:"  # prefix of the array names of transformers


class ThetaHistory(NamedTuple):
    """Thetas of the same N examples at T steps."""

    steps: np.ndarray  # [T]
    thetas: Mapping[str, np.ndarray]  # by the transformer's path, each [T, N, P]
    groups: np.ndarray  # [N], the groups of the examples in reports


def read_theta_history(workdir: Path) -> ThetaHistory | None:
    """Reads the thetas that the run in `workdir` recorded; returns None if it recorded none.

    Raises:
        UserError: if the file is damaged, or is not a record of thetas.
    """
    path = workdir / "theta.npz"
    if not path.exists():
        return None
    arrays = read_arrays(path)
    missing = sorted({"steps", "labels"} - arrays.keys())
    if missing:
        raise UserError(
            f"{path} is not a record of thetas: it has no {' and no '.join(missing)}; move it away"
        )
    names = [name for name in arrays if name.startswith(_THETA)]
    thetas = {name.removeprefix(_THETA): arrays[name] for name in names}
    history = ThetaHistory(arrays["steps"], thetas, arrays["labels"])
    if problem := _problem(history):
        raise UserError(f"{path} is not a record of thetas: {problem}; move it away")
    return history


def _problem(history: ThetaHistory) -> str | None:
    """Returns what contradicts the shapes and types of a history, if anything does."""
    for name, array in (("steps", history.steps), ("labels", history.groups)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            return f"{name} must be integers in one dimension, got {array.dtype} {array.shape}"
    if (np.diff(history.steps) <= 0).any():
        return "steps must increase"
    lengths = len(history.steps), len(history.groups)
    for name, array in history.thetas.items():
        if array.ndim != 3 or array.shape[:2] != lengths or array.dtype.kind != "f":
            return f"{name} must be numbers [{lengths[0]}, {lengths[1]}, P], got {array.shape}"
        if not np.isfinite(array).all():
            return f"{name} is not finite"
    return None


def add_thetas(
    workdir: Path, step: int, thetas: Mapping[str, np.ndarray], groups: np.ndarray
) -> None:
    """Records thetas [N, P], by the transformer's path, after `step` steps.

    Existing records of this step and later ones are dropped, because the run was resumed from an
    earlier step.

    Args:
        workdir: the run's folder.
        step: the number of steps taken.
        thetas: the thetas, of the same examples in every call.
        groups: [N], the groups of the examples in reports.

    Raises:
        UserError: if the existing record is damaged, or is of other thetas or examples.
    """
    steps, past = np.zeros(0, int), {name: theta[None][:0] for name, theta in thetas.items()}
    before = read_theta_history(workdir)
    if before is not None:
        shapes = {name: (len(groups), theta.shape[-1]) for name, theta in thetas.items()}
        if shapes != {name: theta.shape[1:] for name, theta in before.thetas.items()}:
            raise UserError(f"{workdir / 'theta.npz'} is the record of another run: move it away")
        kept = before.steps < step
        steps, past = before.steps[kept], {n: theta[kept] for n, theta in before.thetas.items()}
    arrays: dict[str, Any] = {
        _THETA + name: np.concatenate([past[name], theta[None]]) for name, theta in thetas.items()
    }
    content = io.BytesIO()
    np.savez(content, steps=np.append(steps, step), labels=groups, **arrays)
    write_atomically(workdir / "theta.npz", content.getvalue())
