"""Pictures of whole classes: class means and the confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from stn_jax.visualization.style import (
    FONT_SIZE,
    SMALL_FONT_SIZE,
    broken_into_lines,
    check_images,
    check_same_length,
    default_style,
    image_axes,
    new_figure,
    row_title,
    show_image,
)

TITLE_WIDTH = 15  # characters
SMALLEST_FONT_SIZE = 7  # points
MOST_LARGE_CELLS = 20  # of a confusion matrix, in each direction


@default_style()
def draw_class_means(images: np.ndarray, outputs: np.ndarray, labels: np.ndarray) -> Figure:
    """Draws the average input of each class above the transformer's average output.

    The more alike a transformer makes the examples of a class, the sharper their average. All
    averages share one range of values, so a sharper average is also brighter.

    Args:
        images: [N, H, W, C], the transformer's inputs.
        outputs: [N, H', W', C], its outputs.
        labels: [N], the classes: numbers or names.

    Raises:
        ValueError: the shapes do not match.

    >>> images = np.zeros((3, 28, 28, 1))
    >>> figure = draw_class_means(images, images, np.array([0, 1, 1]))
    """
    check_images(images=images, outputs=outputs)
    check_same_length(images=images, labels=labels)
    labels = np.asarray(labels)
    classes = np.unique(labels)
    means = [[np.mean(x[labels == c], axis=0) for c in classes] for x in (images, outputs)]
    whole = np.concatenate([mean.reshape(-1, mean.shape[-1]) for row in means for mean in row])
    figure = new_figure(1.0 * len(classes) + 0.5, 2.6)
    axes = image_axes(figure, 2, len(classes))
    for row, name, of_classes in zip(axes, ("mean input", "mean output"), means, strict=True):
        row_title(row[0], name)
        for axis, mean in zip(row, of_classes, strict=True):
            show_image(axis, mean, like=whole)
    for axis, c in zip(axes[0], classes, strict=True):
        count = f"(n = {np.sum(labels == c)})"
        title = f"{c}  {count}"
        if len(title) > TITLE_WIDTH:
            title = f"{broken_into_lines(str(c), TITLE_WIDTH)}\n{count}"
        axis.set_title(title, fontsize=SMALL_FONT_SIZE)
    return figure


@default_style()
def draw_confusion(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draws a confusion matrix with its counts; cells with a count of 0 are left empty.

    Args:
        counts: [K, K] integers, by true class and by the network's answer.
        class_names: K texts.

    Raises:
        ValueError: the shapes do not match.

    >>> figure = draw_confusion(np.array([[9, 1], [0, 10]]), ["cat", "dog"])
    """
    counts = np.asarray(counts)
    if counts.shape != (len(class_names),) * 2:
        raise ValueError(
            f"counts must have shape {(len(class_names),) * 2} for {len(class_names)} class names, "
            f"got {counts.shape}"
        )
    of_class = 100 * counts / counts.sum(axis=1, keepdims=True).clip(1)
    is_small = len(counts) <= MOST_LARGE_CELLS
    cell, size = (0.45, SMALL_FONT_SIZE) if is_small else (0.27, SMALLEST_FONT_SIZE)
    names_size = 0.08 * max(map(len, class_names))  # inches
    sideways = names_size > cell
    figure = new_figure(
        cell * len(counts) + 1.7 + names_size,
        cell * len(counts) + 0.9 + (names_size if sideways else 0.1),
    )
    axis = figure.subplots()
    # A good network has nearly all counts on the diagonal; the root makes single errors visible.
    cells = axis.imshow(of_class, cmap="Greys", norm=PowerNorm(0.5, vmin=0, vmax=100))
    for row, column in np.argwhere(counts):
        axis.text(
            *(column, row, str(counts[row, column])),
            color="white" if of_class[row, column] > 30 else "black",
            ha="center",
            va="center",
            fontsize=size,
        )
    axis.set_xticks(
        range(len(counts)), class_names, fontsize=SMALL_FONT_SIZE, rotation=90 if sideways else 0
    )
    axis.set_yticks(range(len(counts)), class_names, fontsize=SMALL_FONT_SIZE)
    axis.set_xlabel("the network's answer", fontsize=FONT_SIZE)
    axis.set_ylabel("true class", fontsize=FONT_SIZE)
    wrong = int(counts.sum() - np.trace(counts))
    axis.set_title(f"{wrong} of {int(counts.sum())} wrong", fontsize=FONT_SIZE)
    aspect = 20 if is_small else 40
    bar = figure.colorbar(cells, shrink=0.9, aspect=aspect, ticks=[0, 1, 5, 10, 25, 50, 100])
    bar.set_label("share of the true class (%)", fontsize=SMALL_FONT_SIZE)
    bar.ax.tick_params(labelsize=SMALL_FONT_SIZE)
    return figure
