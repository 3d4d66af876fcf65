"""Pictures of single examples: triptychs, the worst errors, and transformers layer by layer."""

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

MOST_ERRORS, ERROR_COLUMNS = 16, 8
TITLE_WIDTH, ROW_TITLE_WIDTH, CAPTION_WIDTH = 17, 18, 30  # characters


@default_style()
def draw_triptychs(
    images: np.ndarray, grids: np.ndarray, outputs: np.ndarray, *, titles: Sequence[str] = ()
) -> Figure:
    """Draws input, sampling grid over the input, and output, in one row per example.

    Args:
        images: [N, H, W, C]; feature maps are shown as the mean over their channels.
        grids: [N, H', W', 2], (x, y), normalised with `align_corners=False`; of any family.
        outputs: [N, H', W', C], scaled to the range of their inputs.
        titles: N texts to write next to the rows, or none.

    Raises:
        ValueError: the shapes do not match.

    >>> images, grids = np.zeros((1, 28, 28, 1)), np.zeros((1, 28, 28, 2))
    >>> figure = draw_triptychs(images, grids, images)
    """
    check_images(images=images, grids=grids, outputs=outputs)
    if titles:
        check_same_length(images=images, titles=titles)
    figure = new_figure(5.0, 1.6 * len(images) + 0.5)
    axes = image_axes(figure, len(images), 3)
    for axis, name in zip(axes[0], ("input", "sampling grid", "output"), strict=True):
        axis.set_title(name, fontsize=FONT_SIZE)
    for number, (before, over, after) in enumerate(axes):
        show_image(before, images[number])
        show_image(over, images[number])
        draw_grid(over, grids[number], images[number].shape[:2])
        show_image(after, outputs[number], like=images[number])
        if titles:
            row_title(before, broken_into_lines(titles[number], ROW_TITLE_WIDTH))
    figure.supxlabel(GRID_LEGEND, fontsize=SMALL_FONT_SIZE)
    return figure


@default_style()
def draw_answer(
    image: np.ndarray,
    transformers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    title: str,
    captions: Sequence[str],
) -> Figure:
    """Draws what a network did with one image: a row of input, grid and output per transformer.

    Without a transformer, it draws the image.

    Args:
        image: [H, W, C], the network's input.
        transformers: for each one, its input [H, W, C], sampling grid [H', W', 2], (x, y),
            normalised with `align_corners=False`, and output [H', W', C].
        title: the network's answer.
        captions: a text for each transformer.

    Raises:
        ValueError: there is not one caption for each transformer.

    >>> image, grid = np.zeros((28, 28, 1)), np.zeros((28, 28, 2))
    >>> figure = draw_answer(image, [(image, grid, image)], title="7", captions=["scale 2.00"])
    """
    check_same_length(transformers=transformers, captions=captions)
    if not transformers:
        figure = new_figure(2.0, 2.2)
        show_image(image_axes(figure, 1, 1)[0, 0], image)
    else:
        figure = new_figure(5.0, 2.1 * len(transformers) + 0.6)
        axes = image_axes(figure, len(transformers), 3)
        for axis, name in zip(axes[0], ("input", "sampling grid", "output"), strict=True):
            axis.set_title(name, fontsize=FONT_SIZE)
        views = zip(axes, transformers, captions, strict=True)
        for (before, over, after), (inputs, grid, outputs), caption in views:
            show_image(before, inputs)
            show_image(over, inputs)
            draw_grid(over, grid, inputs.shape[:2])
            show_image(after, outputs, like=inputs)
            over.text(
                *(0.5, -0.06, broken_into_lines(caption, CAPTION_WIDTH)),
                transform=over.transAxes,
                ha="center",
                va="top",
                fontsize=SMALL_FONT_SIZE,
            )
    figure.suptitle(title, fontsize=FONT_SIZE)
    return figure


@default_style()
def draw_worst(
    images: np.ndarray,
    outputs: np.ndarray | None,
    *,
    answers: Sequence[str],
    labels: Sequence[str],
    losses: np.ndarray,
) -> Figure:
    """Draws the wrong answers of highest loss, at most 16, worst first.

    Args:
        images: [N, H, W, C], the network's inputs, including those it answered correctly.
        outputs: [N, H', W', C], of its transformer, to draw below the inputs; or None.
        answers: N texts, the network's answers.
        labels: N texts, the right answers.
        losses: [N], in nats.

    Raises:
        ValueError: the shapes do not match.

    >>> images, losses = np.zeros((2, 28, 28, 1)), np.ones(2)
    >>> figure = draw_worst(images, None, answers=["7", "1"], labels=["1", "1"], losses=losses)
    """
    check_images(images=images, **({} if outputs is None else {"outputs": outputs}))
    check_same_length(images=images, answers=answers, labels=labels, losses=losses)
    worst = [n for n in np.argsort(losses)[::-1] if answers[n] != labels[n]][:MOST_ERRORS]
    if not worst:
        figure = new_figure(4.0, 1.0)
        figure.text(0.5, 0.5, f"no errors in {len(images)} examples", ha="center", va="center")
        return figure
    titles = {
        n: broken_into_lines(
            f"{answers[n]}, not {labels[n]}\nloss {losses[n]:.1f} nats", TITLE_WIDTH
        )
        for n in worst
    }
    rows = ["input"] if outputs is None else ["input", "output"]
    columns = min(ERROR_COLUMNS, len(worst))
    blocks = -(-len(worst) // columns)
    lines = most_lines(titles.values())
    height = 1.15 * len(rows) * row_height(images) + 0.5 + SMALL_LINE * (lines - 2)
    figure = new_figure(1.2 * columns + 0.4, blocks * height)
    for block, part in enumerate(figure.subfigures(blocks, 1, squeeze=False)[:, 0]):
        axes = image_axes(part, len(rows), columns)
        for name, axis in zip(rows, axes[:, 0], strict=True):
            row_title(axis, name)
        chosen = worst[block * columns : (block + 1) * columns]
        for number, column in zip(chosen, axes.T, strict=False):
            column[0].set_title(titles[number], color=WRONG_COLOUR, fontsize=SMALL_FONT_SIZE)
            show_image(column[0], images[number])
            if outputs is not None:
                show_image(column[1], outputs[number], like=images[number])
    return figure


@default_style()
def draw_layers(
    transformers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], images: np.ndarray
) -> Figure:
    """Draws what transformers at increasing depth do, from left to right, in two rows per example.

    The upper row shows each transformer's sampling grid over its input, the lower row its output;
    feature maps are shown as the mean over their channels.

    Args:
        transformers: for each one, from the network's input on: inputs [N, H, W, C], sampling
            grids [N, H', W', 2], (x, y), normalised with `align_corners=False`, and outputs
            [N, H', W', C].
        images: [N, H, W, C], the network's inputs.

    Raises:
        ValueError: the shapes do not match.

    >>> images, grids = np.zeros((1, 28, 28, 1)), np.zeros((1, 28, 28, 2))
    >>> figure = draw_layers([(images, grids, images)], images)
    """
    for inputs, grids, outputs in transformers:
        check_images(images=images, inputs=inputs, grids=grids, outputs=outputs)
    columns = 1 + len(transformers)
    figure = new_figure(1.5 * columns + 0.7, len(images) * 3.1 + 0.5)
    axes = image_axes(figure, 2 * len(images), columns)
    axes[0, 0].set_title("image", fontsize=SMALL_FONT_SIZE)
    for place, (inputs, _, outputs) in enumerate(transformers):
        sizes = " to ".join("x".join(map(str, x.shape[1:])) for x in (inputs, outputs))
        title = f"transformer {place + 1}\n{sizes}"
        axes[0, 1 + place].set_title(title, fontsize=SMALL_FONT_SIZE)
    for number, image in enumerate(images):
        upper, lower = axes[2 * number : 2 * number + 2]
        show_image(upper[0], image)
        row_title(upper[1], "input, grid")
        row_title(lower[1], "output")
        for place, (inputs, grids, outputs) in enumerate(transformers):
            show_image(upper[1 + place], inputs[number])
            draw_grid(upper[1 + place], grids[number], inputs[number].shape[:2])
            show_image(lower[1 + place], outputs[number], like=inputs[number])
    return figure
