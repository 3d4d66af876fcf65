"""What all pictures share: colours, how images and grids are shown.

Colours are those of Okabe and Ito, which the colour-blind tell apart; lines differ in their dashes
too, for print without colours.
"""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

GRID_COLOUR, BORDER_COLOUR, WRONG_COLOUR = "#E69F00", "#56B4E9", "#D55E00"
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
LINE_DASHES = ("-", "--", "-.", ":")
DPI = 100
FONT_SIZE, SMALL_FONT_SIZE = 10, 8  # points

_OUTLINE_WIDTH = 0.6  # points, on both sides of a line


def line_style(number: int) -> dict:
    """Colour and dashes of the `number`-th line; the first 28 differ."""
    return {
        "color": LINE_COLOURS[number % len(LINE_COLOURS)],
        "linestyle": LINE_DASHES[number % len(LINE_DASHES)],
    }


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that arranges what is put on it without overlaps."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def image_axes(figure, rows: int, columns: int) -> np.ndarray:
    """A table [rows, columns] of axes for images, without ticks; `figure` may be a part of one."""
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return axes


def plot_axis(axis: Axes, *, title: str, xlabel: str, ylabel: str) -> None:
    """Names what a plot shows, and leaves out lines that say nothing."""
    axis.set_title(title, fontsize=FONT_SIZE)
    axis.set_xlabel(xlabel, fontsize=SMALL_FONT_SIZE)
    axis.set_ylabel(ylabel, fontsize=SMALL_FONT_SIZE)
    axis.tick_params(labelsize=SMALL_FONT_SIZE)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def row_title(axis: Axes, text: str) -> None:
    """Writes upwards, to the left of an image."""
    axis.text(
        *(-0.08, 0.5, text),
        transform=axis.transAxes,
        rotation=90,
        va="center",
        ha="right",
        fontsize=FONT_SIZE,
    )


def show_image(axis: Axes, image: np.ndarray, like: np.ndarray | None = None) -> None:
    """Shows an image [H, W, 3] in its colours, or the mean over the channels of one of C others.

    Values are stretched from their lowest to their highest, or from those of `like`.
    """
    pixels = as_picture(image)
    ends = pixels if like is None else as_picture(like)
    low, high = ends.min(), ends.max()
    pixels = ((pixels - low) / (high - low or 1)).clip(0, 1)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def as_picture(image: np.ndarray) -> np.ndarray:
    """[..., C] -> [..., 3] if C is 3, else the mean over the channels, [..., 1]."""
    pixels = np.asarray(image, np.float32)
    return pixels if pixels.shape[-1] == 3 else pixels.mean(axis=-1, keepdims=True)


def draw_grid(axis: Axes, grid: np.ndarray, image_shape: tuple[int, int], lines: int = 7) -> None:
    """Draws a sampling grid over an image that is shown on `axis`, its border in another colour.

    The border's top edge, as the output sees it, is drawn thicker: it shows which way is up. Light
    lines with dark edges are seen over any image.

    Args:
        axis: where the image of `image_shape` (height, width) is shown.
        grid: [H', W', 2], (x, y), normalised with `align_corners=False`.
        image_shape: (height, width) in pixels.
        lines: how many lines of points are drawn each way.
    """
    height, width = image_shape
    styles = ((GRID_COLOUR, 0.7), (BORDER_COLOUR, 1.0), (BORDER_COLOUR, 2.2))
    for parts, (colour, line_width) in zip(
        grid_lines(grid, image_shape, lines), styles, strict=True
    ):
        paths = [line - 0.5 for line in parts]  # on an axis whole numbers are pixels' centres
        edge = Stroke(linewidth=line_width + 2 * _OUTLINE_WIDTH, foreground="black")
        axis.add_collection(
            LineCollection(
                paths, colors=colour, linewidths=line_width, path_effects=[edge, Normal()]
            )
        )
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)


def grid_lines(
    grid: np.ndarray, image_shape: tuple[int, int], lines: int = 7
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """A sampling grid as lines [N, 2], (x, y) in pixels from the image's upper left corner.

    Args:
        grid: [H', W', 2], (x, y), normalised with `align_corners=False`.
        image_shape: (height, width) in pixels.
        lines: how many there are each way.

    Returns:
        The lines inside, the border, and the border's top edge as the output sees it.

    Raises:
        ValueError: the grid's shape is another.
    """
    if np.ndim(grid) != 3 or np.shape(grid)[-1] != 2:
        raise ValueError(f"grid must have shape [H', W', 2], got {np.shape(grid)}")
    height, width = image_shape
    points = (np.asarray(grid) + 1) * (width, height) / 2
    rows, columns = (np.linspace(0, n - 1, lines).round().astype(int) for n in points.shape[:2])
    inner = [points[row] for row in rows[1:-1]] + [points[:, column] for column in columns[1:-1]]
    return inner, [points[-1], points[:, 0], points[:, -1]], [points[0]]


def png_bytes(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def check_same_length(**arrays) -> None:
    """Raises ValueError unless all arrays have as many entries along their first axis."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"as many of each are needed, got {listed}")


def check_images(**arrays) -> None:
    """Raises ValueError unless all arrays are images [N, H, W, C], as many of each, N >= 1."""
    for name, array in arrays.items():
        if np.ndim(array) != 4 or not np.size(array):
            raise ValueError(f"{name} must have shape [N, H, W, C], got {np.shape(array)}")
    check_same_length(**arrays)
