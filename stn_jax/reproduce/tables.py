"""The tables to fill, as `configs/table_*.py` describe them.

A table is a config of many runs: which rows, what the paper says of each, how a budget scales it.
So it lives beside the other configs, and is loaded from its file's path, as `launch.py` loads
theirs: configs build on the library, and the library imports none of them.
"""

import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from stn_jax.errors import UserError


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


class Table(NamedTuple):
    """What `get_table()` of a `configs/table_*.py` gives."""

    title: str
    source: str  # `config.data.source` of the data that the paper's figures are of
    rows: tuple[Row, ...]
    budgets: Mapping[str, str]  # from small to large, each with what it is; the last is the paper's
    config: Callable[[str, str], ConfigDict]  # of a row's and a budget's name


PAPER = "paper"
"""The budget that is the paper's own: every table has it."""


def find_tables() -> dict[str, Table]:
    """All tables, by name: those in the folder `configs`, here.

    Raises:
        UserError: there are none.
    """
    prefix = "table_"
    paths = sorted(Path("configs").glob(f"{prefix}*.py"))
    if not paths:
        raise UserError("there is no configs/table_*.py here: run this in the repository's folder")
    return {
        path.stem.removeprefix(prefix): runpy.run_path(str(path))["get_table"]() for path in paths
    }
