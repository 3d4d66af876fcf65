"""Runs the rows of a table that have not been run yet, one after the other."""

import shutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from stn_jax.errors import UserError, check_choice, one_line
from stn_jax.experiments import stopping
from stn_jax.experiments.durations import about
from stn_jax.experiments.locks import locked
from stn_jax.experiments.reproduce.forecast import seconds_of_rows
from stn_jax.experiments.reproduce.paper_tables import PaperTable, Row, find_tables
from stn_jax.experiments.reproduce.results_page import (
    compares,
    format_error,
    format_paper,
    write_report,
)
from stn_jax.experiments.reproduce.row_records import (
    add_runs,
    code_version,
    read_record,
    record_path,
    row_settings,
    seeds_to_run,
)
from stn_jax.experiments.robustness.measure import measure
from stn_jax.experiments.training.diverged import TrainingDivergedError
from stn_jax.experiments.training.environment import environment
from stn_jax.experiments.training.loop import load, run
from stn_jax.experiments.training.program import make_program
from stn_jax.experiments.workdir.metrics import read_metrics
from stn_jax.files import digest

MOST_SEEDS = 100
TRACEBACK = "traceback.txt"


def reproduce(
    name: str, *, budget: str, pattern: str, seeds: int, out: Path, data: Mapping[str, str]
) -> int:
    """Trains the missing rows of a table; after each one, writes its record and the report.

    Unfinished training is kept in `out/.work`. After any interruption, a command for the same seeds
    resumes it. Processes may share `out`: one waits while another trains the same row.

    Args:
        name: the table's name.
        budget: the name of one of the table's budgets.
        pattern: a shell-style pattern for the names of the rows to run.
        seeds: the number of seeds; the seeds of a row train together.
        out: the folder for the records and the report.
        data: settings of `config.data` that say where the data are stored on this machine.

    Returns:
        The number of rows that failed. Each is reported in one line and does not stop the rest.

    Raises:
        UserError: the table, the budget or the row does not exist, or `out` cannot be used.
        SystemExit: SIGINT or SIGTERM has stopped the training.
    """
    tables = find_tables()
    table, rows = _select(tables, name, budget, pattern)
    if not 0 < seeds <= MOST_SEEDS:
        raise UserError(f"--seeds must be in 1..{MOST_SEEDS}, got {seeds}")
    write_report(out, tables)
    code = code_version()
    configs = {row: table.config(row.name, budget) for row in rows}
    paths = {row: record_path(out, name, budget, row.name) for row in rows}
    to_run = {row: seeds_to_run(read_record(paths[row]), configs[row], seeds) for row in rows}
    unfinished = [row for row in rows if to_run[row]]
    expected = seconds_of_rows(
        out, name, table.budgets, {row.name: configs[row] for row in unfinished}
    )
    total = sum(len(to_run[row]) * expected.get(row.name, 0.0) for row in unfinished)
    told = f"; about {about(total)}, judged by other records" if expected else ""
    print(
        f"rows to run: {len(unfinished)}; on record: {len(rows) - len(unfinished)}{told}",
        flush=True,
    )
    failed, spent = 0, []
    for place, row in enumerate(unfinished, 1):
        print(f"[{place}/{len(unfinished)}] {row.name}, budget {budget}", flush=True)
        started = time.monotonic()
        work = out / ".work" / name / budget / row.name
        config = configs[row]
        config.data.update(data)
        try:
            work.mkdir(parents=True, exist_ok=True)
            with locked(work):  # so that no two processes train the same row
                record = read_record(paths[row])
                missing = seeds_to_run(record, config, seeds)
                if missing:
                    group = work / _group(config, missing)
                    runs = [
                        run | code for run in train_seeds(config, missing, group, row.robustness)
                    ]
                    record = add_runs(out, name, table, budget, row.name, runs)
                    shutil.rmtree(group)
                    (work / TRACEBACK).unlink(missing_ok=True)
                    write_report(out, tables)
                    spent.append(time.monotonic() - started)
        except Exception as error:  # the other rows may still succeed
            failed += 1
            print(f"{row.name} FAILED: {_explain(error, work)}", file=sys.stderr, flush=True)
            continue
        finally:
            jax.clear_caches()  # the next row compiles other programs
        assert record is not None
        result = f"{row.name}: {format_error(record)}"
        if row.paper is not None:
            other = "" if compares(table, record) else ", on other data"
            result += f" (paper: {format_paper(row)}{other})"
        left = len(unfinished) - place
        if spent and left:
            result += f"; rows left: {left}, about {about(left * float(np.mean(spent)))}"
        print(result, flush=True)
    return failed


def rows_text(name: str, *, budget: str, pattern: str, seeds: int, out: Path) -> str:
    """Returns a line for each row that `reproduce` would run or skip; raises UserError like it."""
    table, rows = _select(find_tables(), name, budget, pattern)
    lines = []
    for row in rows:
        record = read_record(record_path(out, name, budget, row.name))
        missing = seeds_to_run(record, table.config(row.name, budget), seeds)
        state = "to run" if missing else "on record"
        lines.append(f"{row.name:<32}{state:<11}{row.column}, {row.label}")
    return "\n".join(lines)


def _select(
    tables: Mapping[str, PaperTable], name: str, budget: str, pattern: str
) -> tuple[PaperTable, list[Row]]:
    check_choice(name, tables, "TABLE")
    table = tables[name]
    check_choice(budget, table.budgets, "--budget")
    rows = [row for row in table.rows if fnmatchcase(row.name, pattern)]
    if not rows:
        raise UserError(
            f"--rows={pattern!r} matches no row of {name}; its rows: "
            f"{', '.join(row.name for row in table.rows)}"
        )
    return table, rows


def _group(config: ConfigDict, seeds: Sequence[int]) -> str:
    """Returns a folder name for seeds that train together; it depends on the settings too."""
    return f"{'-'.join(map(str, seeds))}-{digest(repr(row_settings(config)).encode())}"


def _explain(error: Exception, work: Path) -> str:
    message = one_line(error)
    if isinstance(error, UserError | TrainingDivergedError):
        return message
    work.mkdir(parents=True, exist_ok=True)
    path = work / TRACEBACK
    path.write_text("".join(traceback.format_exception(error)), "utf-8", "backslashreplace")
    return f"{type(error).__name__}: {message[:200]} (more in {path})"


def train_seeds(
    config: ConfigDict, seeds: Sequence[int], workdir: Path, robustness: bool = False
) -> list[dict]:
    """Trains seeds together; resumes the run in `workdir` if there is one.

    Args:
        config: the config of all seeds.
        seeds: the seeds.
        workdir: the run's folder.
        robustness: whether to measure the error on moved test images too.

    Returns:
        The result and the cost of each seed. `error_curve` holds pairs of training examples seen
        and test error in per cent; `train_seconds` is the time for all `seeds_together`;
        `robustness` is what `measure` returns, if it was asked for.

    Raises:
        UserError, TrainingDivergedError: as in `train_and_evaluate`.
        SystemExit: SIGINT or SIGTERM has stopped the training.
    """
    setup = load(config)
    program = make_program(config, setup, seeds)
    trained = run(config, setup, program, workdir)
    if trained is None:
        sys.exit(stopping.exit_code())
    # The result of a single seed is a scalar, that of several seeds an array.
    result = jax.tree.map(np.atleast_1d, trained.evaluation)
    curve = [
        (r["step"] * config.batch_size, np.atleast_1d(r["test_error_percent"]))
        for r in read_metrics(workdir / "metrics.jsonl")
        if "test_error_percent" in r
    ]
    steps = int(trained.state.step)
    moved: list[dict] = [{} for _ in seeds]
    if robustness:
        stacked = len(seeds) > 1
        curves = measure(setup, trained.state, config.eval_batch_size, stacked=stacked)
        moved = [{"robustness": each} for each in curves]
    return [
        {
            "seed": seed,
            "test_error_percent": round(float(result.error_percent[place]), 4),
            **{f"test_{key}": float(value[place]) for key, value in result.details.items()},
            "test_loss": float(result.loss[place]),
            "steps": steps,
            "examples": steps * config.batch_size,
            "train_seconds": round(trained.train_seconds, 1),
            "seeds_together": len(seeds),
            "num_params": trained.state.num_params // len(seeds),
            "dataset": setup.data.name,
            **environment(),
            "error_curve": [
                [examples, round(float(errors[place]), 4)] for examples, errors in curve
            ],
            **moved[place],
        }
        for place, seed in enumerate(seeds)
    ]
