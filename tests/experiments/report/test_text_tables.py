"""Tests of the numbers in a report."""

import numpy as np
import pytest

from stn_jax.experiments.report import render, text_tables
from stn_jax.experiments.workdir.run_config import settings
from tests.experiments.report.fakes import NUM_EXAMPLES, digits_run, numbers_run


def column(table, place=1):
    return {row[0]: row[place] for row in table.rows}


def test_results_stand_beside_the_papers_and_the_difference_where_they_compare():
    real, other = digits_run("a", data__source="tfds"), digits_run("b", data__source="embedded")
    table = text_tables.results([real, other])
    assert list(table.head) == ["", "a", "b"]
    ours, theirs = column(table, 1), column(table, 2)
    assert ours["test error"] == theirs["test error"] == "25.00%"
    assert (
        ours["published error, same network"] == theirs["published error, same network"] == "0.7%"
    )
    assert ours["difference"] == "+24.30 percentage points"
    assert theirs["difference"] == "other test data"
    assert ours["parameters"] == "1,234"
    assert ours["steps"] == "300 of 600"
    assert ours["training time"] == "15.0 min"
    assert ours["device"] == "1 x <cpu>"


def test_a_network_that_is_not_the_papers_is_compared_with_nothing():
    run = digits_run("a", data__source="tfds")._replace(network="st_fcn_similarity")
    ours = column(text_tables.results([run, digits_run("b", data__source="tfds")]))
    assert ours["published error, same network"] == ours["difference"] == text_tables.NOTHING
    assert "difference" not in column(text_tables.results([run]))


def test_runs_on_other_data_are_compared_with_nothing():
    run = digits_run("a", data__source="embedded")
    assert {"published error, same network", "difference"}.isdisjoint(
        column(text_tables.results([run]))
    )
    published = "Published test errors"
    assert published not in render([run])
    assert published in render([digits_run("a", data__source="tfds")])


@pytest.mark.parametrize("evaluate_on", ["test", "held_out"])
def test_numbers_compare_with_the_papers_only_on_its_test_set(evaluate_on):
    run = numbers_run()
    run.config.data.update({"source": "svhn", "evaluate_on": evaluate_on})
    assert run.compares == (evaluate_on == "test")


def test_the_papers_errors_are_given_once_for_runs_on_the_same_data():
    same = text_tables.published([digits_run("a"), digits_run("b", seed=1)])
    assert list(same.head) == ["network", "error"]
    assert column(same)["fcn"] == "2.1%"
    two = text_tables.published([digits_run("a"), digits_run("b", data__distortion="tc")])
    assert list(two.head) == ["network", "a", "b"]
    assert column(two, 2)["st_cnn_affine"] == "1.7%"
    assert column(two, 2)["st_cnn_tps"] == text_tables.NOTHING


def test_errors_by_length_add_up_to_the_error():
    run = numbers_run()
    table = text_tables.by_group([run])
    shares = [text.rstrip("%").split("% of ") for text in column(table).values()]
    assert sum(int(count) for _, count in shares) == NUM_EXAMPLES
    wrong = sum(float(percent) / 100 * int(count) for percent, count in shares)
    assert wrong == pytest.approx(run.findings.wrong.sum(), abs=0.01) == 1
    assert text_tables.by_group([digits_run()]) is None


def test_settings_that_differ_come_first_and_are_marked():
    runs = [digits_run("a"), digits_run("b", seed=1, optimizer__learning_rate=0.5), numbers_run()]
    table = text_tables.all_settings(runs[:2])
    assert table.marked == 2
    assert [row[0] for row in table.rows[:2]] == ["optimizer.learning_rate", "seed"]
    assert table.rows[1][1:] == ["0", "1"]
    assert {row[0] for row in table.rows} == settings(runs[0].config).keys()
    assert text_tables.all_settings(runs[:1]).marked == 0
    missing = column(text_tables.all_settings(runs), 3)["data.distortion"]
    assert missing == text_tables.NOTHING


def test_a_run_that_has_recorded_nothing_yet_has_a_result_all_the_same():
    run = digits_run()._replace(records=[], result={})
    ours = column(text_tables.results([run]))
    assert ours["training speed"] == ours["device"] == ours["versions"] == text_tables.NOTHING
    assert np.isfinite(text_tables.error_percent(run))
