"""Pictures of a network's answers and of what its transformers did."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from stn_jax.visualization.style import (
    FONT_SIZE,
    GRID_LEGEND,
    SMALL_FONT_SIZE,
    SMALL_LINE,
    WRONG_COLOUR,
    broken_into_lines,
    check_images,
    check_same_length,
    default_style,
    draw_grid,
    image_axes,
    most_lines,
    new_figure,
    row_height,
    row_title,
    show_image,
)

MOST_COLUMNS = 8
TITLE_WIDTH = 16  # characters
SHORT_TITLE = 12  # characters that have room in the larger font


@default_style()
def draw_samples(
    images: np.ndarray,
    transformers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    answers: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray,
) -> Figure:
    """Draws each image, and each transformer's sampling grid over its input and its output.

    Each image is scaled to its range of values, each output to the range of its input; feature maps
    are shown as the mean over their channels.

    Args:
        images: [B, H, W, 1 or 3], the network's inputs.
        transformers: for each one, from the network's input on: inputs [B, H, W, C], sampling
            grids [B, H', W', 2], (x, y), normalised with `align_corners=False`, and outputs
            [B, H', W', C].
        answers: B texts, the network's answers.
        labels: B texts, the right answers.
        probabilities: [B], of the network's answers.

    Raises:
        ValueError: the shapes do not match.

    >>> images, texts = np.zeros((2, 28, 28, 1)), ["7", "1"]
    >>> figure = draw_samples(images, [], answers=texts, labels=texts, probabilities=np.ones(2))
    """
    check_images(images=images)
    check_same_length(images=images, answers=answers, labels=labels, probabilities=probabilities)
    for inputs, grids, outputs in transformers:
        check_images(images=images, inputs=inputs, grids=grids, outputs=outputs)
    names = [""] if len(transformers) == 1 else [f" {n + 1}" for n in range(len(transformers))]
    rows = ["input", *(row + n for n in names for row in ("grid", "output"))]
    if not transformers:
        rows = ["input"]
    titles = [
        broken_into_lines(
            f"{answer} ({probability:.0%})" if answer == label else f"{answer}, not {label}",
            TITLE_WIDTH,
        )
        for answer, label, probability in zip(answers, labels, probabilities, strict=True)
    ]
    lines = most_lines(titles)
    is_short = max(map(len, titles)) <= SHORT_TITLE
    columns = min(MOST_COLUMNS, len(images))
    blocks = -(-len(images) // columns)
    height = 1.1 * len(rows) * row_height(images) + 0.4 + SMALL_LINE * (lines - 1)
    heights = [height] * blocks
    if transformers:
        heights[-1] += 2 * SMALL_LINE  # for the legend
    figure = new_figure(1.1 * columns + 0.3, sum(heights))
    parts = figure.subfigures(blocks, 1, squeeze=False, height_ratios=heights)[:, 0]
    for block, part in enumerate(parts):
        axes = image_axes(part, len(rows), columns)
        for name, axis in zip(rows, axes[:, 0], strict=True):
            row_title(axis, name)
        for number in range(block * columns, min((block + 1) * columns, len(images))):
            column = axes[:, number % columns]
            column[0].set_title(
                titles[number],
                color="black" if answers[number] == labels[number] else WRONG_COLOUR,
                fontsize=FONT_SIZE if is_short else SMALL_FONT_SIZE,
            )
            show_image(column[0], images[number])
            for place, (inputs, grids, outputs) in enumerate(transformers):
                over, after = column[1 + 2 * place : 3 + 2 * place]
                show_image(over, inputs[number])
                draw_grid(over, grids[number], inputs[number].shape[:2])
                show_image(after, outputs[number], like=inputs[number])
    if transformers:
        part.supxlabel(GRID_LEGEND, fontsize=SMALL_FONT_SIZE)
    return figure
