"""Writes `OUT/README.md` and its plots from the records alone, so that only real runs appear."""

import functools
import re
import statistics
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from stn_jax.errors import UserError, check_choice
from stn_jax.experiments.locks import locked
from stn_jax.experiments.reproduce.paper_tables import PAPER, PaperTable, Row
from stn_jax.experiments.reproduce.plots import Line, draw_error_curves, update_plot
from stn_jax.experiments.reproduce.robustness_section import (
    robustness_section,
    update_robustness_plots,
)
from stn_jax.experiments.reproduce.row_records import read_record, record_path, row_settings
from stn_jax.files import remove_leftovers, write_atomically

Records = dict[tuple[str, str], dict]  # by (budget, row), in the table's order

INTRODUCTION = """\
# The paper's tables, reproduced with this code

`stn-jax reproduce` writes this file from the records next to it, one JSON file per row and budget;
only `notes.toml` is written by hand. Errors are in per cent of the whole test set, after the last
training step. Where there is more than one seed, they are the mean ± the standard deviation.
"""

ABOUT_CELLS = """\
The paper's error is in brackets. Ours is bold where it is no higher than the paper's. Italics name
what differs from the paper, such as the budget.
"""

ABOUT_LOWEST = """\
This table shows each network with the recipe and the budget that reached its lowest error. They
were chosen by the same test errors that are shown, so these are a little too low. Where no recipe
is named, the budget defines it.
"""

ABOUT_OTHERS = """\
The paper has neither other recipes nor a deep CNN, and its networks have about 400,000 parameters,
unlike an FCN of 256 units. Such rows show in brackets the paper's error for its network with the
same transformer, such as ST-CNN affine.
"""


def write_report(out: Path, tables: Mapping[str, PaperTable]) -> None:
    """Writes `README.md`, and redraws the plots that no longer match the records.

    Removes the temporary files of killed processes.

    Raises:
        UserError: `out` cannot be written, or a file in it cannot be read.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            for folder in (out, *out.glob("*/*")):
                remove_leftovers(folder)
            write_atomically(out / "README.md", render(out, tables))
            for name, table in tables.items():
                records = _read_records(out, name, table)
                for budget, column in _columns(table, records):
                    path = out / _plot_path(name, budget, column)
                    lines = _lines(table, records, budget, column)
                    update_plot(
                        path,
                        (column, budget, lines),
                        functools.partial(draw_error_curves, f"{column}, budget {budget}", lines),
                    )
                update_robustness_plots(out, name, table, records)
    except OSError as error:
        raise UserError(f"cannot write to --out={out}: {error.strerror}") from error


def render(out: Path, tables: Mapping[str, PaperTable]) -> str:
    """Returns the text of `README.md` for the records and notes in `out`.

    Raises:
        UserError: one of them cannot be read, or belongs to a row that no table has.
    """
    notes = read_notes(out / "notes.toml", tables)
    sections = []
    for name, table in tables.items():
        records = _read_records(out, name, table)
        if records:
            sections.append(_section(name, table, records, notes.get(name, {})))
    return "\n".join([INTRODUCTION, *(sections or ["Nothing has been run yet.\n"])])


def mean_error(record: Mapping) -> float:
    """Returns the mean over seeds, in per cent."""
    return statistics.mean(run["test_error_percent"] for run in record["runs"])


def format_error(record: Mapping) -> str:
    """Returns the mean over seeds and the standard deviation, in per cent."""
    errors = [run["test_error_percent"] for run in record["runs"]]
    spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
    return f"{mean_error(record):.2f}{spread}"


def format_paper(row: Row) -> str:
    """Returns the paper's error, in per cent."""
    return "-" if row.paper is None else f"{row.paper:.1f}"


def compares(table: PaperTable, record: Mapping) -> bool:
    """Returns whether the errors are for the same data as the paper's."""
    return record["config"].get("data.source") == table.source


def _section(name: str, table: PaperTable, records: Records, notes: Mapping) -> str:
    budgets = [budget for budget in table.budgets if any(b == budget for b, _ in records)]
    about = [ABOUT_CELLS if table.source else "", table.about]
    parts = [f"## {table.title}\n", *filter(None, about)]
    of_other_recipes = {row.name for row in table.rows if row.recipe}
    if any(row in of_other_recipes for _, row in records):
        comparable = {key: record for key, record in records.items() if compares(table, record)}
        if comparable:
            parts += [ABOUT_LOWEST, _lowest(table, comparable)]
        parts += [ABOUT_OTHERS, "Each row with the largest budget it was run with:\n"]
    parts.append(_overview(table, records))
    parts.append("Budgets:\n" + "".join(f"\n- `{b}`: {table.budgets[b]}" for b in budgets) + "\n")
    parts.append("### Row by row\n")
    parts.append(_details(table, records, notes))
    parts.append(
        f"To reproduce a row: `stn-jax reproduce {name} --budget=BUDGET --rows=ROW "
        "--seeds=N`, with the budget, the row and the number of seeds from its line.\n"
    )
    if section := robustness_section(name, table, records):
        parts.append(section)
    parts.append("### Error against training examples\n")
    parts += [
        f"![{column}, budget {budget}]({_plot_path(name, budget, column)})\n"
        for budget, column in _columns(table, records)
    ]
    return "\n".join(parts)


def _lowest(table: PaperTable, records: Records) -> str:
    """Returns the paper's table with the lowest record of each network.

    Among equal records it takes the first.
    """
    rows = {row.name: row for row in table.rows}
    found = defaultdict(list)
    for (_, name), record in records.items():
        found[rows[name].network, rows[name].column].append(record)
    cells = {}
    for place, candidates in found.items():
        record = min(candidates, key=mean_error)
        row = rows[record["row"]]
        cells[place] = _cell(table, row, record, row.recipe)
    return _grid(table, [row.network for row in table.rows], cells)


def _overview(table: PaperTable, records: Records) -> str:
    """Returns the table with each row on the largest budget it was run on."""
    cells = {}
    for row in table.rows:
        budgets = [budget for budget in table.budgets if (budget, row.name) in records]
        if budgets:
            record = records[budgets[-1], row.name]
            cells[row.label, row.column] = _cell(table, row, record)
    return _grid(table, [row.label for row in table.rows], cells)


def _cell(table: PaperTable, row: Row, record: Mapping, recipe: str = "") -> str:
    error = format_error(record)
    difference = _difference(table, row, record)
    if difference is not None and difference <= 0:
        error = f"**{error}**"
    budget = "" if record["budget"] == PAPER else record["budget"]
    marks = [*filter(None, (recipe, budget)), *_marks(table, record)]
    paper = f" ({format_paper(row)})" if _is_in_paper(table) else ""
    return f"{error}{paper}" + (f" *{', '.join(marks)}*" if marks else "")


def _grid(table: PaperTable, networks: list[str], cells: Mapping[tuple[str, str], str]) -> str:
    """Returns a table of the cells, without empty lines and columns, in the order of `networks`."""
    columns = [
        column
        for column in dict.fromkeys(row.column for row in table.rows)
        if any(column == place[1] for place in cells)
    ]
    lines = [_line(["network", *columns]), _line(["---"] * (1 + len(columns)))]
    for network in dict.fromkeys(networks):
        errors = [cells.get((network, column), "") for column in columns]
        if any(errors):
            lines.append(_line([network, *errors]))
    return "\n".join(lines) + "\n"


def _details(table: PaperTable, records: Records, notes: Mapping) -> str:
    compared = ["paper", "difference"] if _is_in_paper(table) else []
    titles = ["row", "network", "ours", *compared, "budget", "seeds"]
    titles += ["examples per seed", "training time, all seeds", "device", "notes"]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for row in table.rows:
        for budget in table.budgets:
            record = records.get((budget, row.name))
            if record is None:
                continue
            runs = record["runs"]
            if compared:
                difference = _difference(table, row, record)
                compared = [format_paper(row), "-" if difference is None else f"{difference:+.2f}"]
            seconds = sum(run["train_seconds"] / run["seeds_together"] for run in runs)
            lines.append(
                _line(
                    [
                        f"`{row.name}`",
                        row.label,
                        format_error(record),
                        *compared,
                        ", ".join([f"`{budget}`", *_marks(table, record)]),
                        str(len(runs)),
                        f"{runs[0]['examples']:,}",
                        f"{seconds:.0f} s",
                        ", ".join(dict.fromkeys(run["device"] for run in runs)),
                        notes.get(budget, {}).get(row.name, ""),
                    ]
                )
            )
    return "\n".join(lines) + "\n"


def _marks(table: PaperTable, record: Mapping) -> list[str]:
    """Returns remarks on an error that is for other data, or for settings that have changed."""
    marks = []
    if not compares(table, record):
        marks.append(f"{record['config']['data.source']} data")
    if record["config"] != row_settings(table.config(record["row"], record["budget"])):
        marks.append("earlier settings")
    return marks


def _is_in_paper(table: PaperTable) -> bool:
    return any(row.paper is not None for row in table.rows)


def _difference(table: PaperTable, row: Row, record: Mapping) -> float | None:
    """Returns our error minus the paper's, or None if they are not comparable."""
    if row.paper is None or not compares(table, record):
        return None
    return mean_error(record) - row.paper


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _read_records(out: Path, name: str, table: PaperTable) -> Records:
    rows = [row.name for row in table.rows]
    for path in sorted((out / name).glob("*/*.json")):
        if path.stem not in rows or path.parent.name not in table.budgets:
            raise UserError(f"{path} belongs to no row or budget of {name}: remove it")
    read = {
        (budget, row): read_record(record_path(out, name, budget, row))
        for budget in table.budgets
        for row in rows
    }
    return {key: record for key, record in read.items() if record is not None}


def read_notes(path: Path, tables: Mapping[str, PaperTable]) -> dict:
    """Returns notes by table, budget and row; raises UserError if one of these is unknown."""
    try:
        notes = tomllib.loads(path.read_text("utf-8-sig")) if path.exists() else {}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    for name, budgets in notes.items():
        check_choice(name, tables, f"table in {path}")
        for budget, rows in _table(budgets, name, path).items():
            check_choice(budget, tables[name].budgets, f"budget in {path}")
            for row, note in _table(rows, f"{name}.{budget}", path).items():
                check_choice(row, [row.name for row in tables[name].rows], f"row in {path}")
                if not isinstance(note, str) or not note.isprintable():
                    raise UserError(f"{path}: {name}.{budget}.{row} must be a text in one line")
    return notes


def _table(value: object, name: str, path: Path) -> dict:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {name} must be a table, such as [{name}]")
    return value


def _columns(table: PaperTable, records: Records) -> list[tuple[str, str]]:
    """Returns the pairs of budget and column that have records; each gets one plot."""
    column = {row.name: row.column for row in table.rows}
    return list(dict.fromkeys((budget, column[row]) for budget, row in records))


def _plot_path(name: str, budget: str, column: str) -> str:
    words = re.sub(r"\W+", "_", column)
    return f"{name}/{budget}/{words}.png"


def _lines(table: PaperTable, records: Records, budget: str, column: str) -> list[Line]:
    """Returns what a plot shows."""
    places = {name: k for k, name in enumerate(dict.fromkeys(row.network for row in table.rows))}
    return [
        Line(row.label, row.recipe, places[row.network], [r["error_curve"] for r in record["runs"]])
        for row in table.rows
        if row.column == column and (record := records.get((budget, row.name)))
    ]
