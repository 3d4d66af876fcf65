"""Shows curves of several networks side by side: as tables and as a plot."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from stn_jax.experiments.robustness.measure import Curves
from stn_jax.experiments.robustness.moves import MOVES, UNITS
from stn_jax.visualization.style import (
    SMALL_FONT_SIZE,
    default_style,
    line_style,
    new_figure,
    plot_axis,
)

Lines = Mapping[str, Sequence[Curves]]
"""The curves of each seed, by the network's name for readers."""


def tables(lines: Lines) -> str:
    """Returns a Markdown table for each kind of move, of the mean errors over the seeds."""
    parts = []
    for kind, amounts in MOVES.items():
        rows = [[f"{kind} ({UNITS[kind]})", *(f"{amount:g}" for amount in amounts)]]
        rows.append(["---"] * len(rows[0]))
        for label, seeds in lines.items():
            rows.append([label, *(f"{error:.2f}" for error in _errors(seeds, kind).mean(axis=0))])
        parts.append("".join(f"| {' | '.join(row)} |\n" for row in rows))
    return "\n".join(parts)


@default_style()
def draw(lines: Lines) -> Figure:
    """Plots the mean errors against each kind of move, with the range over the seeds."""
    figure = new_figure(11, 3.6 + 0.18 * -(-len(lines) // 2))
    axes = figure.subplots(1, len(MOVES), sharey=True)
    lowest = np.inf
    for axis, (kind, amounts) in zip(axes, MOVES.items(), strict=True):
        plot_axis(axis, title=kind, xlabel=UNITS[kind], ylabel="")
        axis.xaxis.set_major_locator(MaxNLocator(7))
        for number, (label, seeds) in enumerate(lines.items()):
            errors, style = _errors(seeds, kind), line_style(number)
            lowest = min(lowest, errors.min())
            axis.plot(amounts, errors.mean(0), **style, marker="o", markersize=3, label=label)
            axis.fill_between(
                amounts, errors.min(0), errors.max(0), color=style["color"], alpha=0.2, lw=0
            )
    if lowest > 0:
        axes[0].set_yscale("log")  # of all, because they share it
        axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[0].yaxis.set_minor_locator(NullLocator())
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("test error, per cent", fontsize=SMALL_FONT_SIZE)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        *(handles, labels),
        loc="outside lower center",
        ncols=2,
        fontsize=SMALL_FONT_SIZE,
        frameon=False,
    )
    return figure


def _errors(seeds: Sequence[Curves], kind: str) -> np.ndarray:
    """Returns [seeds, amounts]."""
    return np.array([[error for _, error in curves[kind]] for curves in seeds])
