"""Plots of what a localisation network predicts, over training."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stn_jax.visualization.style import (
    BORDER_COLOUR,
    LINE_COLOURS,
    SMALL_FONT_SIZE,
    check_same_length,
    default_style,
    line_style,
    new_figure,
    plot_axis,
)

MOST_PANELS = 8
"""More parameters than this are treated as control points if they form k * k pairs."""


@default_style()
def draw_theta_history(
    steps: np.ndarray, thetas: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> Figure:
    """Plots the parameters of a transformation over training, one panel for each.

    A thick line shows the mean over all examples, a band the standard deviation, and thin lines the
    mean of each class. A thin plate spline has too many parameters for one panel each: its control
    points are drawn as paths instead, next to the distances that they have moved.

    Args:
        steps: [T], training steps.
        thetas: [T, N, P], for the same N examples at each step.
        labels: [N], the examples' classes: numbers or names.
        names: P texts, the parameters' names with their units.

    Raises:
        ValueError: the shapes do not match.

    >>> thetas = np.zeros((2, 5, 3))  # 2 steps, 5 examples, 3 parameters
    >>> figure = draw_theta_history(np.array([0, 9]), thetas, np.zeros(5, int), ["s", "tx", "ty"])
    """
    thetas = np.asarray(thetas, float)
    if thetas.ndim != 3 or not thetas.size:
        raise ValueError(f"thetas must have shape [T, N, P], got {thetas.shape}")
    check_same_length(steps=steps, thetas=thetas)
    check_same_length(examples=thetas[0], labels=labels)
    num_params = thetas.shape[-1]
    check_same_length(parameters=thetas[0, 0], names=names)
    legend_columns = 6
    k = math.isqrt(num_params // 2)
    if num_params > MOST_PANELS and 2 * k * k == num_params:
        figure = new_figure(8.4, 4.6)
        paths, distances = figure.subplots(1, 2, width_ratios=(1, 1.1))
        _draw_control_points(paths, thetas.reshape(*thetas.shape[:2], -1, 2))
        moved = (thetas - thetas[:1]).reshape(*thetas.shape[:2], -1, 2)
        _draw_parameter(distances, steps, np.linalg.norm(moved, axis=-1).mean(axis=-1), labels)
        plot_axis(
            distances,
            title="how far control points have moved",
            xlabel="training step",
            ylabel="mean distance from the start (1: half the image)",
        )
        panels = [distances]
    else:
        columns = min(3 if num_params % 3 == 0 else 4, num_params)
        rows = -(-num_params // columns)
        legend_columns = min(6, 2 * columns)  # as wide as the figure allows
        legend_rows = -(-(2 + len(np.unique(labels))) // legend_columns)
        figure = new_figure(2.6 * columns + 0.2, 2.0 * rows + 0.18 * legend_rows + 0.14)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis in panels[num_params:]:
            axis.set_axis_off()
        panels = panels[:num_params]
        for number, (axis, name) in enumerate(zip(panels, names, strict=True)):
            _draw_parameter(axis, steps, thetas[..., number], labels)
            xlabel = "training step" if number >= num_params - columns else ""
            plot_axis(axis, title="", xlabel=xlabel, ylabel=name)
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(
        *(handles, texts),
        loc="outside lower center",
        ncols=min(len(texts), legend_columns),
        fontsize=SMALL_FONT_SIZE,
        frameon=False,
    )
    return figure


def _draw_parameter(axis: Axes, steps: np.ndarray, values: np.ndarray, labels: np.ndarray) -> None:
    """Plots the mean, spread and class means of values [T, N]."""
    mean, spread = values.mean(axis=1), values.std(axis=1)
    axis.fill_between(steps, mean - spread, mean + spread, color="0.88", label="±1 std. deviation")
    for number, c in enumerate(np.unique(labels)):
        of_class = values[:, np.asarray(labels) == c].mean(axis=1)
        axis.plot(steps, of_class, **line_style(number), linewidth=0.8, label=_class_name(c))
    axis.plot(steps, mean, color="black", linewidth=2, label="mean")
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _class_name(c: object) -> str:
    return c if isinstance(c, str) else f"class {c}"


def _draw_control_points(axis: Axes, points: np.ndarray) -> None:
    """Draws where control points [T, N, K, 2] are read, from the first step to the last."""
    start, end = points[0].mean(axis=0), points[-1].mean(axis=0)
    examples = points[-1].reshape(-1, 2)
    axis.plot(
        *(examples[:, 0], examples[:, 1], "."),
        color=BORDER_COLOUR,
        markersize=2,
        label="last step, each example",
    )
    for path in points.mean(axis=1).swapaxes(0, 1):
        axis.plot(path[:, 0], path[:, 1], color=LINE_COLOURS[0], linewidth=1.4)
    for place, colour, label in (
        (start, "white", "first step"),
        (end, LINE_COLOURS[1], "last step, mean"),
    ):
        axis.plot(
            *(place[:, 0], place[:, 1], "o"),
            color=colour,
            markeredgecolor="black",
            markersize=5,
            label=label,
        )
    plot_axis(
        axis,
        title="where control points are read",
        xlabel="x in the input (-1..1: its width)",
        ylabel="y in the input (-1..1: its height)",
    )
    axis.set_aspect("equal")
    axis.invert_yaxis()  # y points down
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=3,
        fontsize=SMALL_FONT_SIZE,
        frameon=False,
        handletextpad=0.2,
    )
