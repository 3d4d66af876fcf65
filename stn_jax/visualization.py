"""Pictures of what a spatial transformer does."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from stn_jax.files import write_atomically

GRID_COLOUR, BORDER_COLOUR, WRONG_COLOUR = "#E69F00", "#56B4E9", "#D55E00"
"""Of Okabe and Ito's palette: told apart by the colour-blind, seen over black and white."""


def draw_samples(
    path: Path,
    images: np.ndarray,
    transformers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    answers: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray,
) -> None:
    """Draws each image, and each transformer's sampling grid over its input and its output.

    Images are stretched to their own range of values; feature maps are shown as the mean over their
    channels. Writes a PNG.

    Args:
        path: the file to write.
        images: [B, H, W, 1 or 3], the network's inputs.
        transformers: for each one, from the input on, inputs [B, H, W, C], sampling grids
            [B, H', W', 2], (x, y), normalised with `align_corners=False`, and outputs
            [B, H', W', C].
        answers: B texts, what the network says.
        labels: B texts, what is right.
        probabilities: [B], of the answers.
    """
    names = [""] if len(transformers) == 1 else [f" {n + 1}" for n in range(len(transformers))]
    rows = ["input", *(row + n for n in names for row in ("sampling grid", "output"))]
    if not transformers:
        rows = ["input"]
    columns = min(8, len(images))
    blocks = -(-len(images) // columns)
    height = 1.1 * len(rows) + 0.4
    figure = Figure(figsize=(1.1 * columns + 0.3, blocks * height), dpi=100, layout="constrained")
    for block, part in enumerate(figure.subfigures(blocks, 1, squeeze=False)[:, 0]):
        axes = part.subplots(len(rows), columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for name, axis in zip(rows, axes[:, 0], strict=True):
            axis.text(
                -0.08, 0.5, name, transform=axis.transAxes, rotation=90, va="center", ha="right"
            )
        for number in range(block * columns, min((block + 1) * columns, len(images))):
            column = axes[:, number % columns]
            answer, label = answers[number], labels[number]
            column[0].set_title(
                f"{answer} ({probabilities[number]:.0%})"
                if answer == label
                else f"{answer}, not {label}",
                color="black" if answer == label else WRONG_COLOUR,
                fontsize=10,
            )
            _show(column[0], images[number])
            for place, (inputs, grids, outputs) in enumerate(transformers):
                over, after = column[1 + 2 * place : 3 + 2 * place]
                _show(over, inputs[number])
                draw_grid(over, grids[number], inputs[number].shape[:2])
                _show(after, outputs[number])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def draw_grid(axis: Axes, grid: np.ndarray, image_shape: tuple[int, int], lines: int = 7) -> None:
    """Draws a sampling grid over an image that is shown on `axis`, its border in another colour.

    The border's top edge, as the output sees it, is drawn thicker: it shows which way is up.

    Args:
        axis: where the image of `image_shape` (height, width) is shown.
        grid: [H', W', 2], (x, y), normalised with `align_corners=False`.
        image_shape: (height, width) in pixels.
        lines: how many lines of points are drawn each way.
    """
    height, width = image_shape
    points = (np.asarray(grid) + 1) * (width, height) / 2 - 0.5
    rows = np.linspace(0, grid.shape[0] - 1, lines).round().astype(int)
    columns = np.linspace(0, grid.shape[1] - 1, lines).round().astype(int)
    inner = [points[row] for row in rows[1:-1]] + [points[:, column] for column in columns[1:-1]]
    border = [points[0], points[-1], points[:, 0], points[:, -1]]
    axis.add_collection(LineCollection(inner, colors=GRID_COLOUR, linewidths=0.7))
    axis.add_collection(LineCollection(border, colors=BORDER_COLOUR, linewidths=[2.2, 1, 1, 1]))
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)


def _show(axis: Axes, image: np.ndarray) -> None:
    pixels = np.asarray(image, np.float32)
    if pixels.shape[-1] != 3:
        pixels = pixels.mean(axis=-1)
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low or 1)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
