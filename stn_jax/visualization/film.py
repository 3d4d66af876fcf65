"""Films of a transformer during training: draws the frames and encodes them as GIF or MP4."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL import Image

from stn_jax.visualization.style import (
    BORDER_COLOUR,
    DPI,
    FONT_SIZE,
    GRID_COLOUR,
    GRID_LEGEND,
    LINE_COLOURS,
    SMALL_FONT_SIZE,
    WRONG_COLOUR,
    broken_into_lines,
    check_same_length,
    default_style,
    draw_grid,
    most_lines,
    plot_axis,
    row_title,
    show_image,
)

FRAMES_PER_SECOND = 10
SECONDS_AT_THE_END = 3
MOST_GIF_BYTES = 2_000_000

_GREYS, _COLOURS = 24, 37  # in a GIF, in addition to those of lines and texts
_CELL, _GAP, _LEFT, _RIGHT, _TITLE, _CURVE, _BOTTOM = 76, 6, 52, 18, 24, 90, 44  # pixels
_TOP, _LINE = 24, 14  # pixels above the answers, and for each of their lines
_TITLE_WIDTH = 13  # characters


class Frame(NamedTuple):
    """What a film shows of one training step, for B examples."""

    step: int
    transformers: Sequence[Sequence[np.ndarray]]
    """Inputs [B, H, W, C], sampling grids [B, H', W', 2] and outputs [B, H', W', C] of each."""
    answers: Sequence[str]
    labels: Sequence[str]


def draw_film(
    frames: Sequence[Frame],
    *,
    num_steps: int,
    error_steps: np.ndarray,
    error_percents: np.ndarray,
) -> Iterator[np.ndarray]:
    """Draws sampling grids over inputs, the outputs, and the training error so far.

    Everything has a fixed place, so that nothing jumps from frame to frame. Sizes in pixels are
    even, as video encoders require.

    Args:
        frames: at least one frame; all show the same examples.
        num_steps: the number of steps of the whole training.
        error_steps: [T], steps from the whole training.
        error_percents: [T], the training error at these steps; the part up to a frame's step is
            drawn in black.

    Yields:
        A picture [H, W, 3], uint8, for each frame.
    """
    check_same_length(error_steps=error_steps, error_percents=error_percents)
    with default_style():
        lines = most_lines(title for frame in frames for title in _titles(frame))
        # At least two, so that most films have the same size.
        stage = _Stage(len(frames[0].labels), len(frames[0].transformers), max(lines, 2))
        axis = stage.curve
        plot_axis(axis, title="", xlabel="training step", ylabel="training error (%)")
        axis.plot(error_steps, error_percents, color="0.8", linewidth=1)
        (so_far,) = axis.plot([], [], color="black", linewidth=1.4)
        (now,) = axis.plot([], [], "o", color=LINE_COLOURS[1], markersize=5, clip_on=False)
        axis.set_xlim(0, num_steps)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(4))
        canvas = FigureCanvasAgg(stage.figure)
    for frame in frames:
        with default_style():
            stage.show(frame)
            stage.step.set_text(f"step {frame.step:,} of {num_steps:,}")
            count = np.searchsorted(error_steps, frame.step, side="right")
            so_far.set_data(error_steps[:count], error_percents[:count])
            now.set_data(error_steps[:count][-1:], error_percents[:count][-1:])
            canvas.draw()
            picture = np.array(canvas.buffer_rgba())[..., :3]
        yield picture


class _Stage:
    """A figure that all frames share: making axes takes much longer than drawing on them."""

    def __init__(self, columns: int, pairs: int, lines: int):
        pitch = _CELL + _GAP
        top = _TOP + lines * _LINE + 2
        images_end = top + 2 * pairs * pitch
        self._width = _LEFT + columns * pitch + _RIGHT
        self._height = images_end + _TITLE + _CURVE + _BOTTOM
        self.figure = Figure(figsize=(self._width / DPI, self._height / DPI), dpi=DPI)
        self.step = self._text(_LEFT, 14, fontsize=FONT_SIZE, va="center")
        if columns > 6:  # there is space beside the step
            legend = self._text(self._width - _RIGHT - _GAP, 14, ha="right", va="center")
            legend.set_text(GRID_LEGEND)
        self._answers = [
            self._text(_LEFT + n * pitch + _CELL // 2, top - 4, ha="center", va="bottom")
            for n in range(columns)
        ]
        self._images = [  # by row, then by column
            [self._axis(_LEFT + n * pitch, top + row * pitch, _CELL, _CELL) for n in range(columns)]
            for row in range(2 * pairs)
        ]
        for number, row in enumerate(self._images):
            row_title(row[0], ("input", "output")[number % 2])
            for axis in row:
                axis.set_axis_off()
        self.curve = self._axis(_LEFT, images_end + _TITLE, columns * pitch - _GAP, _CURVE)

    def show(self, frame: Frame) -> None:
        is_right = [a == b for a, b in zip(frame.answers, frame.labels, strict=True)]
        for text, title, right in zip(self._answers, _titles(frame), is_right, strict=True):
            text.set_text(title)
            text.set_color("black" if right else WRONG_COLOUR)
        for number, (inputs, grids, outputs) in enumerate(frame.transformers):
            over, after = self._images[2 * number : 2 * number + 2]
            for column, axis in enumerate(over):
                _clear(axis)
                show_image(axis, inputs[column])
                draw_grid(axis, grids[column], inputs[column].shape[:2])
            for column, axis in enumerate(after):
                _clear(axis)
                show_image(axis, outputs[column], like=inputs[column])

    def _axis(self, left: int, top: int, width: int, height: int) -> Axes:
        """Adds axes at a place in pixels; `top` is measured from the upper edge."""
        return self.figure.add_axes(
            (
                left / self._width,
                1 - (top + height) / self._height,
                width / self._width,
                height / self._height,
            )
        )

    def _text(self, left: int, top: int, *, fontsize: int = SMALL_FONT_SIZE, **alignment) -> Text:
        """Adds an empty text at a place in pixels."""
        return self.figure.text(
            *(left / self._width, 1 - top / self._height, ""), fontsize=fontsize, **alignment
        )


def _titles(frame: Frame) -> list[str]:
    titles = []
    for answer, label in zip(frame.answers, frame.labels, strict=True):
        between = ", " if len(answer + label) < 4 else ",\n"  # numbers take two lines
        title = answer if answer == label else f"{answer}{between}not {label}"
        titles.append(broken_into_lines(title, _TITLE_WIDTH))
    return titles


def _clear(axis: Axes) -> None:
    for artist in (*axis.images, *axis.collections):
        artist.remove()


def gif_bytes(pictures: Sequence[np.ndarray]) -> bytes:
    """Encodes pictures [H, W, 3], uint8, as a GIF of at most 2 MB that loops after a pause.

    While the GIF would be larger, every second picture is left out; the last one is always kept.
    """
    palette = _palette(pictures[:: max(1, len(pictures) // 4)])
    kept = [
        Image.fromarray(one).quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures
    ]
    milliseconds = 1000 // FRAMES_PER_SECOND
    while True:
        buffer = io.BytesIO()
        kept[0].save(
            buffer,
            format="GIF",
            save_all=True,
            append_images=kept[1:],
            duration=[milliseconds] * (len(kept) - 1) + [1000 * SECONDS_AT_THE_END],
            loop=0,
        )
        if buffer.tell() <= MOST_GIF_BYTES or len(kept) == 1:
            return buffer.getvalue()
        kept, milliseconds = kept[::-2][::-1], 2 * milliseconds


def _palette(pictures: Sequence[np.ndarray]) -> Image.Image:
    """Returns a palette: even steps of grey, so that greys get no tint, and the main colours."""
    pixels = np.concatenate([one.reshape(-1, 3) for one in pictures])
    coloured = pixels[np.ptp(pixels, axis=-1) > 16]
    fixed = np.linspace(0, 255, _GREYS).round().astype(np.uint8).repeat(3).tobytes()
    for colour in (GRID_COLOUR, BORDER_COLOUR, WRONG_COLOUR):
        fixed += bytes.fromhex(colour.removeprefix("#"))
    colours = b""
    if len(coloured):
        most_needed = Image.fromarray(coloured[None]).quantize(_COLOURS)
        colours = bytes(most_needed.getpalette() or ())
    palette = Image.new("P", (1, 1))
    palette.putpalette(fixed + colours)
    return palette


def mp4_bytes(pictures: Sequence[np.ndarray]) -> bytes | None:
    """Encodes pictures [H, W, 3], uint8, H and W even, as an MP4; returns None without ffmpeg.

    Raises:
        RuntimeError: ffmpeg failed; the message includes its output.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    height, width, _ = pictures[0].shape
    frames = [*pictures, *[pictures[-1]] * (SECONDS_AT_THE_END * FRAMES_PER_SECOND)]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        run = subprocess.run(
            [
                *(ffmpeg, "-v", "error", *source, "-r", str(FRAMES_PER_SECOND), "-i", "-"),
                *("-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)),
            ],
            input=b"".join(frame.tobytes() for frame in frames),
            capture_output=True,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(f"ffmpeg failed: {run.stderr.decode(errors='replace').strip()}")
        return path.read_bytes()
