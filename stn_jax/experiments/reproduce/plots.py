"""Plots of error curves, and plots that are drawn only if what they show has changed."""

import io
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from stn_jax.files import digest, write_atomically
from stn_jax.visualization.style import default_style

_MOST_TOGETHER = 8
_MARKERS = "osvD^PX*"


class Line(NamedTuple):
    """The curves of a network with a recipe."""

    label: str
    recipe: str  # empty for the recipe of the budget
    network: int  # its place in the table, which gives it the same colour and mark in all plots
    curves: Sequence[Sequence[tuple[int, float]]]  # of each seed: training examples, error


@default_style()
def update_plot(path: Path, content: object, draw: Callable[[], Figure]) -> None:
    """Writes a plot, or leaves the file unchanged if it already shows this content.

    Args:
        path: the PNG file, which contains a digest of what it shows.
        content: what the plot shows; its `repr` says all of it.
        draw: draws it.
    """
    shown = digest(repr(content).encode())
    if _shown(path) == shown:
        return
    png = io.BytesIO()
    draw().savefig(png, format="png", metadata={"Software": None, "Comment": shown})
    write_atomically(path, png.getvalue())


def _shown(path: Path) -> str | None:
    """Returns the digest stored in a plot, or None if the plot is missing or damaged."""
    try:
        with Image.open(path) as plot:
            return plot.info.get("Comment")
    except OSError:
        return None


def draw_error_curves(title: str, lines: Sequence[Line]) -> Figure:
    """Plots each line's mean test error against training examples, with the range over seeds.

    Where there are too many lines to tell apart, each recipe gets a plot of its own.
    """
    recipes = [*dict.fromkeys(line.recipe for line in lines)]
    groups = [list(lines)]
    if len(lines) > _MOST_TOGETHER:
        groups = [[line for line in lines if line.recipe == recipe] for recipe in recipes]
    figure = Figure(figsize=(8.5, 4.3 * len(groups)), dpi=100, layout="constrained")
    axes = figure.subplots(len(groups), squeeze=False, sharex=True, sharey=True)[:, 0]
    dashes = dict(zip(recipes, ("-", "--", "-.", ":"), strict=False))
    for axis, group in zip(axes, groups, strict=True):
        _draw_lines(axis, group, dashes)
    axes[0].set_title(title)
    axes[-1].set_xlabel("training examples seen, in thousands")
    return figure


def _draw_lines(axis: Axes, lines: Sequence[Line], dashes: dict[str, str]) -> None:
    colours = color_sequences["tab10"]
    for line in lines:
        examples = [point[0] for point in line.curves[0]]
        errors = list(zip(*([point[1] for point in curve] for curve in line.curves), strict=True))
        means = [statistics.mean(each) for each in errors]
        colour = colours[line.network % len(colours)]
        axis.plot(
            *(examples, means, dashes[line.recipe]),
            color=colour,
            marker=_MARKERS[line.network % len(_MARKERS)],
            markersize=5,
            label=line.label,
        )
        lowest, highest = [min(each) for each in errors], [max(each) for each in errors]
        axis.fill_between(examples, lowest, highest, color=colour, alpha=0.2, lw=0)
    axis.set(ylabel="test error, per cent", yscale="log")
    axis.xaxis.set_major_formatter(lambda examples, _: f"{examples / 1000:,g}")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize="small")
