"""The paper's tables, as `configs/table_*.py` describe them.

A table is the config of many runs: its rows, the paper's error of each, and how a budget scales
them. It therefore lives beside the other configs and is loaded from its path, as `launch.py` loads
those: configs import the library, and the library imports no config.
"""

import runpy
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from stn_jax.experiments.shipped_configs import table_paths


class Row(NamedTuple):
    """One number of a table: a network on a data set."""

    name: str  # such as "rts-st_cnn_affine"
    column: str  # of the paper's table, such as "RTS"
    network: str  # as a reader calls it
    paper: float | None  # the paper's error in per cent, if it has one
    recipe: str = ""  # if it is not the budget's own

    @property
    def label(self) -> str:
        """The network and its recipe: the same in all columns."""
        return f"{self.network}, {self.recipe} recipe" if self.recipe else self.network


class PaperTable(NamedTuple):
    """What `get_table()` of a `configs/table_*.py` gives."""

    title: str
    source: str  # `config.data.source` of the data that the paper's figures are of
    rows: tuple[Row, ...]
    budgets: Mapping[str, str]  # from small to large, each with what it is; the last is the paper's
    config: Callable[[str, str], ConfigDict]  # of a row's and a budget's name


PAPER = "paper"
"""The budget that is the paper's own: every table has it."""


def find_tables() -> dict[str, PaperTable]:
    """Loads all tables, by name."""
    return {name: runpy.run_path(str(path))["get_table"]() for name, path in table_paths().items()}
