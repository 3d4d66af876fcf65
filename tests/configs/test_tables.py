"""Tests of the rows and budgets of the tables."""

import math
from collections import Counter
from fnmatch import fnmatchcase

import pytest

from configs import table_gtsrb, table_mnist, table_svhn
from stn_jax.experiments.distorted_mnist.config import make_config
from stn_jax.experiments.reproduce.paper_tables import PAPER
from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.training.optimizer import make_optimizer
from stn_jax.experiments.workdir.run_config import settings

TABLES = {
    "gtsrb": table_gtsrb.get_table(),
    "mnist": table_mnist.get_table(),
    "svhn": table_svhn.get_table(),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_row_on_every_budget_is_a_run_of_its_own(name):
    table = TABLES[name]
    assert table.full_budget == ("hours" if name == "gtsrb" else PAPER)
    assert len({row.name for row in table.rows}) == len(table.rows)
    seen = set()
    for row in table.rows:
        for budget in table.budgets:
            config = table.config(row.name, budget)
            find_task(config).make_network(config)
            make_optimizer(config.optimizer, 100)
            seen.add(str(settings(config)))
    assert len(seen) == len(table.rows) * len(table.budgets)


def test_the_mnist_table_is_the_papers_and_eighteen_rows_more_a_column():
    rows = TABLES["mnist"].rows
    recipes = Counter("-".join(row.name.split("-")[2:]) for row in rows)
    assert recipes == {"": 9 * 5, "modern": 8 * 5, "regularised": 9 * 5}
    by_name = {row.name: row.paper for row in rows}
    assert by_name["rts-st_cnn_affine"] == by_name["rts-st_cnn_affine-modern"] == 0.5
    assert by_name["rts-st_deep_cnn_affine-modern"] == 0.5
    assert by_name["rts-deep_cnn-modern"] == 0.8
    assert by_name["tc-fcn"] == by_name["tc-fcn_256"] == 13.2
    assert by_name["e-st_fcn_tps"] == 2.4
    assert [row.name for row in rows if row.paper is None] == [
        *("tc-st_fcn_projective", "tc-st_fcn_tps", "tc-st_cnn_projective", "tc-st_cnn_tps"),
        *("tc-st_cnn_projective-modern", "tc-st_cnn_tps-modern"),
        *("tc-st_deep_cnn_projective-modern", "tc-st_deep_cnn_tps-modern"),
        *("tc-st_fcn_projective-regularised", "tc-st_fcn_tps-regularised"),
        *("tc-st_cnn_projective-regularised", "tc-st_cnn_tps-regularised"),
    ]
    assert by_name["r-st_deep_cnn_affine-regularised"] == 0.7


def test_the_papers_budget_is_its_schedule_and_rows_of_other_recipes_see_as_much():
    for row in TABLES["mnist"].rows:
        config = TABLES["mnist"].config(row.name, PAPER)
        assert config.num_epochs * 60_000 / 256 == 150_000
        assert config.batch_size == 256
        is_by_adam = row.name.endswith(("-modern", "-regularised"))
        assert config.model.batch_norm == is_by_adam
        assert config.optimizer.name == ("adam" if is_by_adam else "sgd")
    for row in TABLES["svhn"].rows:
        config = TABLES["svhn"].config(row.name, PAPER)
        assert config.data.source == "svhn"
        examples = 33_401 + 202_353 - config.data.held_out
        assert math.isclose(config.num_epochs * examples / 128, 400_000, rel_tol=2e-3)


@pytest.mark.parametrize("budget", sorted(TABLES["mnist"].budgets.keys() - {PAPER}))
def test_smaller_budgets_leave_the_papers_networks_as_they_are(budget):
    table = TABLES["mnist"]
    for row in table.rows:
        scaled, paper = (table.config(row.name, name) for name in (budget, PAPER))
        assert scaled.model == paper.model
        assert scaled.num_epochs < paper.num_epochs


def test_the_regularised_recipe_is_what_the_modern_one_has_not():
    table = TABLES["mnist"]
    for budget in table.budgets:
        modern = table.config("r-st_deep_cnn_affine-modern", budget)
        regularised = table.config("r-st_deep_cnn_affine-regularised", budget)
        assert _differing(modern, regularised) == {
            "data.augment.deformation": (0.0, 0.5),
            "data.augment.linear": (0.0, 0.1),
            "model.dropout": (0.0, 0.5),
            "model.features": ([32, 64, 64, 128], [48, 96, 96, 384]),
            "model.output_size": (0, 40),
            "model.pool": (1, 2),
        }


def test_the_regularised_recipe_drops_nothing_of_an_fcn():
    modern, regularised = (
        make_config("rts", f"st_fcn_affine,{recipe}") for recipe in ("modern", "regularised")
    )
    assert _differing(modern, regularised) == {
        "data.augment.deformation": (0.0, 0.5),
        "data.augment.linear": (0.0, 0.1),
        "eval_every_epochs": (1.0, 4.0),
        "num_epochs": (8.0, 64.0),
        "optimizer.learning_rate": (2e-3, 5e-3),
    }


def _differing(one, other):
    return {
        key: (value, settings(other)[key])
        for key, value in settings(one).items()
        if value != settings(other)[key]
    }


def test_budgets_below_the_papers_draw_their_street_numbers():
    table = TABLES["svhn"]
    for row in table.rows:
        for budget in table.budgets:
            source = table.config(row.name, budget).data.source
            assert source == ("svhn" if budget == PAPER else "synthetic")


def test_every_pattern_of_a_budget_matches_rows():
    names = [row.name for row in TABLES["mnist"].rows]
    for _, parts in table_mnist.BUDGETS.values():
        for pattern in parts:
            assert any(fnmatchcase(name, pattern) for name in names), pattern
