"""The paper's tables and others like them, which are defined in `configs/table_*.py`.

A table is the config of many runs: its rows, the paper's error for each, and how a budget scales
them. It is therefore stored with the other configs and loaded by its path, as `launch.py` loads
them: configs import the library, and the library imports no config.
"""

import runpy
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from stn_jax.experiments.shipped_configs import table_paths


class Row(NamedTuple):
    """One number in a table: the error of a network on a data set."""

    name: str  # such as "rts-st_cnn_affine"
    column: str  # in the table, such as "RTS"
    network: str  # its name for readers, such as "ST-CNN affine"
    paper: float | None  # the paper's error in per cent, if it reports one
    recipe: str = ""  # empty for the recipe of the budget

    @property
    def label(self) -> str:
        """Returns the network with its recipe; the label is the same in all columns."""
        return f"{self.network}, {self.recipe} recipe" if self.recipe else self.network


class PaperTable(NamedTuple):
    """A table, as `get_table()` of a `configs/table_*.py` returns it."""

    title: str
    source: str | None  # the `config.data.source` of the paper's errors; None if there are none
    rows: tuple[Row, ...]
    budgets: Mapping[str, str]  # descriptions, from small to large
    config: Callable[[str, str], ConfigDict]  # (row name, budget name) -> config
    about: str = ""  # of a table that is not in the paper: a paragraph on what others report

    @property
    def full_budget(self) -> str:
        """Returns the name of the largest budget: `PAPER` if the table is in the paper."""
        return list(self.budgets)[-1]


PAPER = "paper"
"""The name of the budget that is the paper's own schedule."""


def find_tables() -> dict[str, PaperTable]:
    """Loads all tables and returns them by name."""
    return {name: runpy.run_path(str(path))["get_table"]() for name, path in table_paths().items()}
