"""Plots of metrics over training."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from stn_jax.visualization.style import (
    SMALL_FONT_SIZE,
    check_same_length,
    default_style,
    line_style,
    new_figure,
    plot_axis,
)


@default_style()
def draw_curves(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    title: str,
    ylabel: str,
    xlabel: str = "training step",
    log: bool = False,
) -> Figure:
    """Plots one metric of one or more runs against the training step.

    Args:
        curves: steps [T] and values [T] by the run's name. If there are few values, each one gets
            a marker, so that a single value is visible.
        title: the plot's title.
        ylabel: what the values are, with their unit.
        xlabel: what the steps are.
        log: whether the scale of the values, which must then be positive, is logarithmic.

    Raises:
        ValueError: the shapes do not match, or there is no curve.

    >>> line = np.array([1, 2]), np.array([0.9, 0.5])
    >>> figure = draw_curves({"a run": line}, title="loss", ylabel="nats")
    """
    if not curves:
        raise ValueError("there is no curve to draw")
    figure = new_figure(5.6, 3.2 + 0.18 * (len(curves) > 1) * -(-len(curves) // 2))
    axis = figure.subplots()
    plot_axis(axis, title=title, xlabel=xlabel, ylabel=ylabel)
    for number, (name, (steps, values)) in enumerate(curves.items()):
        check_same_length(steps=steps, values=values)
        marker = "o" if len(values) <= 30 else None
        axis.plot(
            *(steps, values),
            **line_style(number),
            label=name,
            linewidth=1.4,
            marker=marker,
            markersize=3,
        )
    if log:
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        if high < 1000 * low:  # otherwise powers of ten are enough labels
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(curves) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL_FONT_SIZE, frameon=False)
    return figure
