"""The result of a finished run, `result.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stn_jax.experiments.workdir.json_files import (
    COUNT,
    NUMBER,
    TEXT,
    TEXTS,
    check_entries,
    read_json,
)
from stn_jax.files import write_atomically

_ENTRIES = {  # those that reports and model cards show
    **dict.fromkeys(("epochs", "train_seconds"), NUMBER),
    **dict.fromkeys(("num_params", "steps"), COUNT),
    **dict.fromkeys(("dataset", "model", "device"), TEXT),
    "versions": TEXTS,
}


def _check(result: Any) -> None:
    check_entries(result, _ENTRIES)
    check_entries(result["versions"], {"jax": TEXT, "flax": TEXT})


def write_result(workdir: Path, result: Mapping[str, Any]) -> None:
    """Writes the result of the run in `workdir`."""
    write_atomically(workdir / "result.json", json.dumps(result, indent=2) + "\n")


def read_result(workdir: Path) -> dict[str, Any]:
    """Reads the result of the run in `workdir`; returns {} if the run is not finished.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        return read_json(workdir / "result.json", _check)
    except FileNotFoundError:
        return {}
