"""What all pictures share: colours, and how images and grids are shown.

The colours are those of Okabe and Ito, which colour-blind people can distinguish. Lines also differ
in their dashes, for prints without colour.
"""

import contextlib
import io
import textwrap
import threading
import warnings
from collections.abc import Iterable, Iterator

import matplotlib
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
SMALL_LINE = 0.14  # height of a line of small text, in inches

GRID_LEGEND = "blue frame: the part that becomes the output; its thick edge becomes the top"

_MOST_LINES = 4
_OUTLINE_WIDTH = 0.4  # points, on both sides of a line
_MARGIN = 0.15  # around an image below a grid, as a share of its size

_lock = threading.RLock()


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """A context manager or decorator that uses matplotlib's default settings.

    The user's matplotlibrc has no effect inside, and texts, such as the names of classes, are drawn
    as they are: no part is read as a formula, and a letter that the font lacks becomes a box. The
    settings are global, so only one thread can be inside at a time.

    >>> with default_style():
    ...     axis = Figure().subplots()
    """
    of_the_process = ("backend", "interactive")
    defaults = matplotlib.rcParamsDefault.items()
    settings = {name: value for name, value in defaults if name not in of_the_process}
    settings["text.parse_math"] = False
    with _lock, matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def line_style(number: int) -> dict:
    """Returns the colour and dashes of the `number`-th line; the first 28 lines all differ."""
    return {
        "color": LINE_COLOURS[number % len(LINE_COLOURS)],
        "linestyle": LINE_DASHES[number % len(LINE_DASHES)],
    }


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure, sized in inches, whose layout avoids overlaps."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def image_axes(figure, rows: int, columns: int) -> np.ndarray:
    """Returns axes [rows, columns] for images, without ticks; `figure` may be a subfigure."""
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return axes


def plot_axis(axis: Axes, *, title: str, xlabel: str, ylabel: str) -> None:
    """Labels a plot and removes lines that carry no information."""
    axis.set_title(title, fontsize=FONT_SIZE)
    axis.set_xlabel(xlabel, fontsize=SMALL_FONT_SIZE)
    axis.set_ylabel(ylabel, fontsize=SMALL_FONT_SIZE)
    axis.tick_params(labelsize=SMALL_FONT_SIZE)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)


def broken_into_lines(text: str, width: int) -> str:
    """Returns a text with line breaks between words, at most `width` characters per line.

    Long words, which have no narrow spaces in them, are broken into shorter lines. Each line of the
    text becomes at most four.
    """
    if max(map(len, text.split()), default=0) > 3 * width // 4:
        width = 3 * width // 4
    lines = text.split("\n")
    return "\n".join(
        textwrap.fill(line, width, break_on_hyphens=False, max_lines=_MOST_LINES, placeholder="…")
        for line in lines
    )


def most_lines(texts: Iterable[str]) -> int:
    """Returns the number of lines of the longest text."""
    return max(text.count("\n") for text in texts) + 1


def row_height(images: np.ndarray) -> float:
    """Returns the height of a row of images [N, H, W, C] relative to their width, 0.5 to 1.5."""
    return min(max(images.shape[1] / images.shape[2], 0.5), 1.5)


def row_title(axis: Axes, text: str) -> None:
    """Writes a row's title upwards, to the left of an image."""
    axis.text(
        *(-0.08, 0.5, text),
        transform=axis.transAxes,
        rotation=90,
        va="center",
        ha="right",
        fontsize=FONT_SIZE,
    )


def show_image(axis: Axes, image: np.ndarray, like: np.ndarray | None = None) -> None:
    """Shows an image [H, W, C] in its colours if C is 3, otherwise the mean over its channels.

    The lowest value becomes black and the highest white; these are the image's, or those of `like`.
    """
    pixels = as_picture(image)
    ends = pixels if like is None else as_picture(like)
    low, high = ends.min(), ends.max()
    pixels = ((pixels - low) / (high - low or 1)).clip(0, 1)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def as_picture(image: np.ndarray) -> np.ndarray:
    """Returns an image [..., 3] as float32, or of other images the mean over channels, [..., 1]."""
    pixels = np.asarray(image, np.float32)
    return pixels if pixels.shape[-1] == 3 else pixels.mean(axis=-1, keepdims=True)


def draw_grid(axis: Axes, grid: np.ndarray, image_shape: tuple[int, int], lines: int = 5) -> None:
    """Draws a sampling grid over an image that is shown on `axis`, its border in another colour.

    The edge that is the output's top is drawn thicker, to show which way is up. Light lines with
    dark edges are visible over any image. A margin around the image shows where the grid leaves it.

    Args:
        axis: the axis that shows the image.
        grid: [H', W', 2], (x, y), normalised with `align_corners=False`.
        image_shape: the image's (height, width) in pixels.
        lines: the number of lines to draw in each direction.

    >>> axis = Figure().subplots()
    >>> draw_grid(axis, np.zeros((8, 8, 2)), (28, 28))
    """
    height, width = image_shape
    styles = ((GRID_COLOUR, 0.4), (BORDER_COLOUR, 0.9), (BORDER_COLOUR, 2.2))
    for parts, (colour, line_width) in zip(
        grid_lines(grid, image_shape, lines), styles, strict=True
    ):
        paths = [line - 0.5 for line in parts]  # on an axis, pixel centres are whole numbers
        edge = Stroke(linewidth=line_width + 2 * _OUTLINE_WIDTH, foreground="black")
        axis.add_collection(
            LineCollection(
                paths, colors=colour, linewidths=line_width, path_effects=[edge, Normal()]
            )
        )
    axis.set_xlim(-0.5 - _MARGIN * width, width - 0.5 + _MARGIN * width)
    axis.set_ylim(height - 0.5 + _MARGIN * height, -0.5 - _MARGIN * height)


def grid_lines(
    grid: np.ndarray, image_shape: tuple[int, int], lines: int = 5
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Returns a sampling grid as lines [N, 2], (x, y) in pixels from the image's upper left corner.

    Args:
        grid: [H', W', 2], (x, y), normalised with `align_corners=False`.
        image_shape: the image's (height, width) in pixels.
        lines: the number of lines in each direction.

    Returns:
        The inner lines, three edges of the border, and the edge that is the output's top.

    Raises:
        ValueError: the grid has another shape.
    """
    if np.ndim(grid) != 3 or np.shape(grid)[-1] != 2:
        raise ValueError(f"grid must have shape [H', W', 2], got {np.shape(grid)}")
    height, width = image_shape
    points = (np.asarray(grid) + 1) * (width, height) / 2
    rows, columns = (np.linspace(0, n - 1, lines).round().astype(int) for n in points.shape[:2])
    inner = [points[row] for row in rows[1:-1]] + [points[:, column] for column in columns[1:-1]]
    return inner, [points[-1], points[:, 0], points[:, -1]], [points[0]]


@default_style()
def png_bytes(figure: Figure) -> bytes:
    """Returns a figure as the content of a PNG file.

    >>> png_bytes(Figure())[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def check_same_length(**arrays) -> None:
    """Raises ValueError unless all arrays have the same length along their first axis."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"the lengths must be equal, got {listed}")


def check_images(**arrays) -> None:
    """Raises ValueError unless all arrays are images [N, H, W, C] with the same N >= 1."""
    for name, array in arrays.items():
        if np.ndim(array) != 4 or not np.size(array):
            raise ValueError(f"{name} must have shape [N, H, W, C], got {np.shape(array)}")
    check_same_length(**arrays)
