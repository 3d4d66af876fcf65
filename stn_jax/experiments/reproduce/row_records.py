"""Records of what was run: one small JSON file per row and budget, `OUT/TABLE/BUDGET/ROW.json`.

Its keys are:

- table, row, budget: their names
- config: all settings by dotted key, except the seed, the name and the location of the data
- scaled: what the budget changes, {key: [the row's setting on the largest budget, its setting]}
- runs: for each seed what `runner.train_seeds` returns, and the `code_version` of the process that
  finished it
"""

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stn_jax.experiments.reproduce.paper_tables import PaperTable
from stn_jax.experiments.workdir.json_files import (
    COUNT,
    NUMBER,
    OBJECT,
    TEXT,
    Kind,
    check_entries,
    read_json,
)
from stn_jax.experiments.workdir.run_config import settings
from stn_jax.files import write_atomically

_CODE = ("stn_jax", "configs")
_REPOSITORY = Path(__file__).parents[3]


def record_path(out: Path, table: str, budget: str, row: str) -> Path:
    """Returns the path of a row's record."""
    return out / table / budget / f"{row}.json"


def read_record(path: Path) -> dict | None:
    """Returns a record, or None if there is none yet.

    Raises:
        UserError: the record cannot be read.
    """
    try:
        return read_json(path, lambda record: _checked(record, path), "; remove it to run it again")
    except FileNotFoundError:
        return None


_ENTRIES = {
    **dict.fromkeys(("table", "budget", "row"), TEXT),
    "config": OBJECT,
    "runs": Kind("a list of runs", lambda value: isinstance(value, list) and len(value) > 0),
}
_RUN_ENTRIES = {
    **dict.fromkeys(("test_error_percent", "train_seconds"), NUMBER),
    **dict.fromkeys(("seed", "examples"), COUNT),
    "seeds_together": Kind("a positive number", lambda value: COUNT.accepts(value) and value > 0),
    "device": TEXT,
    "error_curve": Kind("a list of pairs of numbers", lambda value: _is_curve(value)),
}


def _checked(record: Any, path: Path) -> dict:
    check_entries(record, _ENTRIES)
    for run in record["runs"]:
        check_entries(run, _RUN_ENTRIES)
    if len({len(run["error_curve"]) for run in record["runs"]}) > 1:
        raise ValueError("the curves of its runs have different lengths")
    if (record["row"], record["budget"]) != (path.stem, path.parent.name):
        raise ValueError(f"it is the record of {record['row']}, budget {record['budget']}")
    return record


def _is_curve(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(point, list) and len(point) == 2 and all(map(NUMBER.accepts, point))
        for point in value
    )


def row_settings(config: ConfigDict) -> dict[str, object]:
    """Returns the settings that a row's results depend on, without the seed."""
    return {key: value for key, value in settings(config).items() if key != "seed"}


def seeds_to_run(record: dict | None, config: ConfigDict, seeds: int) -> tuple[int, ...]:
    """Returns those of the seeds 0..seeds-1 that have not been run with this config yet."""
    current = record is not None and record["config"] == row_settings(config)
    done = {run["seed"] for run in record["runs"]} if record is not None and current else set()
    return tuple(seed for seed in range(seeds) if seed not in done)


def add_runs(
    out: Path, table_name: str, table: PaperTable, budget: str, row: str, runs: Sequence[dict]
) -> dict:
    """Adds runs to a row's record, writes it and returns it.

    Runs that were made with another config are dropped.
    """
    config = row_settings(table.config(row, budget))
    full = row_settings(table.config(row, table.full_budget))
    path = record_path(out, table_name, budget, row)
    before = read_record(path)
    if before is not None and before["config"] == config:
        runs = [*before["runs"], *runs]
    record = {
        "table": table_name,
        "row": row,
        "budget": budget,
        "config": config,
        "scaled": {
            key: [full.get(key), config.get(key)]
            for key in sorted(config.keys() | full.keys())
            if full.get(key) != config.get(key)
        },
        "runs": sorted(runs, key=lambda run: run["seed"]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    # One entry per line, with each list of numbers on a single line.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    write_atomically(path, text + "\n")
    return record


def code_version() -> dict[str, str | bool | None]:
    """Returns the `commit` of this code, and `modified`, whether the code differs from it.

    Both are None if the code is not in a repository, or if git is missing.
    """
    try:
        _git("ls-files", "--error-unmatch", *_CODE)  # fails in another project's repository
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "modified": bool(_git("status", "--porcelain", "--", *_CODE))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "modified": None}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_REPOSITORY), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
