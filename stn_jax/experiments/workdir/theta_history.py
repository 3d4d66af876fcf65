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
    return ThetaHistory(arrays["steps"], thetas, arrays["labels"])


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
        UserError: if the existing record is damaged.
    """
    steps, past = np.zeros(0, int), {name: theta[None][:0] for name, theta in thetas.items()}
    before = read_theta_history(workdir)
    if before is not None:
        kept = before.steps < step
        steps, past = before.steps[kept], {n: theta[kept] for n, theta in before.thetas.items()}
    arrays: dict[str, Any] = {
        _THETA + name: np.concatenate([past[name], theta[None]]) for name, theta in thetas.items()
    }
    content = io.BytesIO()
    np.savez(content, steps=np.append(steps, step), labels=groups, **arrays)
    write_atomically(workdir / "theta.npz", content.getvalue())
