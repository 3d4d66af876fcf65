"""The part of the results page about test images that are turned, scaled and shifted."""

import functools
from collections.abc import Mapping
from pathlib import Path

from stn_jax.experiments.reproduce.paper_tables import PaperTable
from stn_jax.experiments.reproduce.plots import update_plot
from stn_jax.experiments.robustness.summary import Lines, draw, tables

HEADING = """\
### Error against rotation, scale and shift

Every test image is turned, scaled or shifted, one at a time: half of the images turn to each side,
and each is shifted in its own direction. Digits start upright, in the middle of the canvas, also
for networks that were trained on distorted digits. Where there is more than one seed, these are
means, and the plot also shows the range over the seeds.
"""


def robustness_section(
    name: str, table: PaperTable, records: Mapping[tuple[str, str], dict]
) -> str:
    """Returns the section in Markdown; it is empty if no row was tested on moved images."""
    parts = [
        f"![Robustness, budget {budget}]({_plot_path(name, budget)})\n\n{tables(lines)}"
        for budget in table.budgets
        if (lines := _lines(table, records, budget))
    ]
    return "\n".join([HEADING, *parts]) if parts else ""


def update_robustness_plots(
    out: Path, name: str, table: PaperTable, records: Mapping[tuple[str, str], dict]
) -> None:
    """Draws the plots of the section that have changed."""
    for budget in table.budgets:
        if lines := _lines(table, records, budget):
            update_plot(out / _plot_path(name, budget), lines, functools.partial(draw, lines))


def _lines(table: PaperTable, records: Mapping[tuple[str, str], dict], budget: str) -> Lines:
    curves = {
        f"{row.column}: {row.label}": [
            run["robustness"] for run in record["runs"] if "robustness" in run
        ]
        for row in table.rows
        if (record := records.get((budget, row.name)))
    }
    return {label: seeds for label, seeds in curves.items() if seeds}


def _plot_path(name: str, budget: str) -> str:
    return f"{name}/{budget}/robustness.png"
