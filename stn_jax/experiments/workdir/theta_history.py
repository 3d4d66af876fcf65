"""The thetas of a fixed set of test examples over training, `theta.npz`."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stn_jax.errors import UserError
from stn_jax.experiments.workdir.arrays import read_arrays
from stn_jax.files import write_atomically

_THETA = "theta:"  # begins the names of arrays that are a transformer's


class ThetaHistory(NamedTuple):
    """Thetas of the same N examples at T steps."""

    steps: np.ndarray  # [T]
    thetas: Mapping[str, np.ndarray]  # by the transformer's path, each [T, N, P]
    groups: np.ndarray  # [N], what reports group the examples by


def read_theta_history(workdir: Path) -> ThetaHistory | None:
    """Reads what the run in `workdir` has recorded; None if it has recorded nothing.

    Raises:
        UserError: the file is damaged, or is not a record of thetas.
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

    Records of this step and later ones are dropped: the run was resumed from an earlier step.

    Args:
        workdir: the run's folder.
        step: how many steps were taken.
        thetas: of the same examples each time.
        groups: [N], what reports group the examples by.

    Raises:
        UserError: what was recorded before is damaged.
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
