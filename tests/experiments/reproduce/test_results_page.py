"""Tests that the report says exactly what the records say."""

import json
import math
import re
import shutil
import statistics
import tomllib

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.reproduce.paper_tables import Row, find_tables
from stn_jax.experiments.reproduce.results_page import render, write_report
from stn_jax.experiments.reproduce.row_records import add_runs
from tests.experiments.reproduce.fakes import fake_runs
from tests.experiments.tiny import REPOSITORY


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return find_tables()


@pytest.fixture
def add(tables, tmp_path):
    def add(row, *, budget="minutes", seeds=(0,), error=None, table="mnist"):
        runs = fake_runs(row, seeds, error)
        add_runs(tmp_path, table, tables[table], budget, row, runs)

    return add


def line(text, row):
    [cells] = [cells for cells in table_lines(text) if cells[0] == f"`{row}`"]
    return cells


def table_lines(text):
    return [entry.strip("| ").split(" | ") for entry in text.splitlines() if entry.startswith("|")]


def test_the_repositorys_report_is_what_its_records_give(tables):
    results = REPOSITORY / "results"
    text = (results / "README.md").read_text()
    assert text == render(results, tables), "run `stn-jax reproduce` to rewrite it"


def test_the_repositorys_plots_are_what_its_records_give(tables, tmp_path):
    results = REPOSITORY / "results"
    copy = tmp_path / "results"
    shutil.copytree(results, copy, ignore=shutil.ignore_patterns(".work"))
    plots = list(copy.rglob("*.png"))
    linked = re.findall(r"\]\(([^)]+)\)", (results / "README.md").read_text())
    assert set(plots) == {copy / target for target in linked}
    modified = {path: path.stat().st_mtime_ns for path in plots}
    write_report(copy, tables)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.png")} == modified


def test_every_row_of_the_repository_that_falls_short_has_a_note(tables):
    """A row falls short if its error is more than two standard deviations above the paper's.

    The standard deviation is that of the paper's error on 10,000 test digits.
    """
    results = REPOSITORY / "results"
    notes = tomllib.loads((results / "notes.toml").read_text())["mnist"]
    of_paper = {row.name: row.paper for row in tables["mnist"].rows}
    for path in (results / "mnist").glob("*/*.json"):
        record = json.loads(path.read_text())
        error = statistics.mean(run["test_error_percent"] for run in record["runs"])
        paper = of_paper[record["row"]]
        if error > paper + 2 * math.sqrt(paper * (100 - paper) / 10_000):
            assert record["row"] in notes[record["budget"]], (record["budget"], error, paper)


def test_nothing_that_was_not_run_appears(tables, tmp_path, add):
    assert not table_lines(render(tmp_path, tables))
    add("r-fcn")
    text = render(tmp_path, tables)
    assert len(table_lines(text)) == 3 + 3
    assert "svhn" not in text
    assert "`paper`" not in text


def test_a_row_has_mean_spread_difference_and_budget(tables, tmp_path, add):
    add("rts-fcn", seeds=(0, 1, 2))
    cells = line(render(tmp_path, tables), "rts-fcn")
    assert cells[1:9] == [
        *("FCN", "5.50 ± 0.10", "5.2", "+0.30", "`minutes`", "3", "480,000", "30 s"),
    ]


def test_the_overview_has_the_largest_budget_and_marks_smaller_ones(tables, tmp_path, add):
    add("r-fcn", budget="minutes", error=2.0)
    add("rts-fcn", budget="minutes", error=5.4)
    add("r-fcn", budget="paper", error=2.1)
    [overview] = [c for c in table_lines(render(tmp_path, tables)) if c[0] == "FCN"]
    assert overview[1:3] == ["**2.10** (2.1)", "5.40 (5.2) *minutes*"]


def test_errors_on_other_data_are_marked_and_not_compared(tables, tmp_path, add):
    add("r-fcn", budget="trial", error=0.0)
    add("64-multi", table="svhn", error=0.0)
    text = render(tmp_path, tables)
    assert line(text, "r-fcn")[4:6] == ["-", "`trial`, embedded data"]
    assert line(text, "64-multi")[4:6] == ["-", "`minutes`, synthetic data"]
    assert "**" not in text


def test_a_table_that_is_not_the_papers_is_compared_with_what_others_report(tables, tmp_path, add):
    add("multi", table="gtsrb", budget="trial", error=0.7, seeds=(0, 1))
    text = render(tmp_path, tables)
    assert "paper's error is in brackets" not in text
    assert "three transformers, 48 px (Arcos-García et al. 2018): 0.29" in text
    head, _, overview, titles, _, cells = table_lines(text)
    assert (head, overview) == (["network", "GTSRB"], ["ST-CNN Multi", "0.75 ± 0.07 *trial*"])
    assert titles[:4] == ["row", "network", "ours", "budget"]
    assert cells[:4] == ["`multi`", "ST-CNN Multi", "0.75 ± 0.07", "`trial`"]


@pytest.mark.parametrize(
    ("budget", "mark"),
    [("minutes", "*minutes, earlier settings*"), ("paper", "*earlier settings*")],
)
def test_a_record_of_earlier_settings_says_so(tables, tmp_path, add, budget, mark):
    add("r-fcn", budget=budget)
    path = tmp_path / "mnist" / budget / "r-fcn.json"
    record = json.loads(path.read_text())
    record["config"]["num_epochs"] = 3.0
    path.write_text(json.dumps(record))
    text = render(tmp_path, tables)
    assert line(text, "r-fcn")[5] == f"`{budget}`, earlier settings"
    [overview] = [cells for cells in table_lines(text) if cells[0] == "FCN"]
    assert overview[1] == f"**2.00** (2.1) {mark}"


def test_other_recipes_are_explained_where_there_are_some(tables, tmp_path, add):
    add("r-fcn")
    assert "regularised" not in render(tmp_path, tables)
    add("r-cnn-modern", error=1.0)
    assert "neither other recipes" in render(tmp_path, tables)


def test_the_first_table_has_each_network_at_its_lowest(tables, tmp_path, add):
    add("r-cnn", budget="minutes", error=1.3)
    add("r-cnn", budget="paper", error=1.1)
    add("rts-cnn", budget="minutes", error=0.9)
    add("rts-cnn-modern", budget="hours", error=0.9)
    add("p-cnn", budget="paper", error=1.6)
    add("p-cnn-modern", budget="paper", error=1.5)
    add("e-cnn", budget="trial", error=0.1)
    add("e-cnn-modern", budget="hours", error=1.5)
    lowest, largest = [c for c in table_lines(render(tmp_path, tables)) if c[0] == "CNN"]
    assert lowest[1:5] == [
        *("**1.10** (1.2)", "0.90 (0.8) *minutes*"),  # the first of two equal errors
        *("**1.50** (1.5) *modern*", "1.50 (1.4) *modern, hours*"),  # on MNIST, like the paper
    ]
    assert largest[3] == "1.60 (1.5)"


def test_errors_on_other_data_are_no_lowest_ones(tables, tmp_path, add):
    add("r-cnn-modern", budget="trial", error=0.1)
    text = render(tmp_path, tables)
    assert "lowest error" not in text
    assert len(table_lines(text)) == 3 + 3


def test_notes_stand_in_their_line(tables, tmp_path, add):
    add("r-fcn")
    add("r-cnn")
    notes = tmp_path / "notes.toml"
    notes.write_text('[mnist.minutes]\nr-fcn = "too few epochs"\n')
    text = render(tmp_path, tables)
    assert line(text, "r-fcn")[-1] == "too few epochs"
    assert text.count("too few epochs") == 1
    notes.write_text('[mnist.minutes]\nr-fnc = "too few epochs"\n')
    with pytest.raises(UserError, match="did you mean 'r-fcn'"):
        render(tmp_path, tables)
    notes.write_text("[mnist")
    with pytest.raises(UserError, match=r"notes\.toml cannot be read"):
        render(tmp_path, tables)


@pytest.mark.parametrize("content", ["", "[]", '{"runs": []}', '{"config"'])
def test_a_damaged_record_is_named(tables, tmp_path, add, content):
    add("r-fcn")
    path = tmp_path / "mnist" / "minutes" / "r-fcn.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"r-fcn\.json cannot be read"):
        render(tmp_path, tables)


def test_a_record_of_no_row_is_named(tables, tmp_path, add):
    add("r-fcn")
    path = tmp_path / "mnist" / "minutes" / "r-fcn.json"
    path.rename(path.with_name("r-fnc.json"))
    with pytest.raises(UserError, match=r"r-fnc\.json belongs to no row or budget of mnist"):
        render(tmp_path, tables)


def test_each_column_gets_a_plot_that_is_drawn_once(tables, tmp_path, add):
    add("r-fcn", seeds=(0, 1))
    add("rts-fcn")
    write_report(tmp_path, tables)
    plots = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert set(plots) == {"R.png", "RTS.png"}
    for target in re.findall(r"\]\(([^)]+)\)", (tmp_path / "README.md").read_text()):
        assert (tmp_path / target).read_bytes().startswith(b"\x89PNG")
    add("r-cnn")
    write_report(tmp_path, tables)
    again = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert again["RTS.png"] == plots["RTS.png"]
    assert again["R.png"] > plots["R.png"]


def test_a_plot_of_what_is_no_more_on_record_is_drawn_anew(tables, tmp_path, add):
    add("r-fcn")
    write_report(tmp_path, tables)
    plot = tmp_path / "mnist" / "minutes" / "R.png"
    alone = plot.read_bytes()
    add("r-cnn")
    write_report(tmp_path, tables)
    assert plot.read_bytes() != alone
    plot.with_name("r-cnn.json").unlink()
    write_report(tmp_path, tables)
    assert plot.read_bytes() == alone
    plot.write_bytes(b"damaged")
    write_report(tmp_path, tables)
    assert plot.read_bytes() == alone


def test_a_plot_bears_more_networks_than_there_are_today(tables, tmp_path):
    rows = tuple(Row(f"r-network{i}", "R", f"network {i}", 2.0) for i in range(30))
    table = tables["mnist"]._replace(
        rows=rows, config=lambda row, budget: tables["mnist"].config("r-fcn", budget)
    )
    assert len({row.label for row in tables["mnist"].rows}) < len(rows)
    for row in rows:
        add_runs(tmp_path, "mnist", table, "minutes", row.name, fake_runs("r-fcn", (0,)))
    write_report(tmp_path, {"mnist": table})
    assert (tmp_path / "mnist" / "minutes" / "R.png").exists()


def test_what_a_killed_process_left_is_removed(add, tables, tmp_path):
    add("r-fcn")
    for folder in (tmp_path, tmp_path / "mnist" / "minutes"):
        (folder / ".r-fcn.json.999999999-0123abcd.tmp").touch()
    write_report(tmp_path, tables)
    assert not list(tmp_path.rglob("*.tmp"))
