"""The result of a finished run, `result.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stn_jax.errors import UserError
from stn_jax.files import write_atomically


def write_result(workdir: Path, result: Mapping[str, Any]) -> None:
    """Writes the result of the run in `workdir`."""
    write_atomically(workdir / "result.json", json.dumps(result, indent=2) + "\n")


def read_result(workdir: Path) -> dict[str, Any]:
    """Reads the result of the run in `workdir`; returns {} if the run is not finished.

    Raises:
        UserError: if the file is damaged.
    """
    path = workdir / "result.json"
    try:
        result = json.loads(path.read_text())
        if not isinstance(result, dict):
            raise ValueError("it is not a run's result")
        return result
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
