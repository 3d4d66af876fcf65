"""Draws the pictures of the documentation into docs/pictures/: `python docs/pictures.py`.

Backgrounds are transparent and text is grey, so that they can be read on white and on black.
"""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import get_sample_data
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

import stn_jax
from stn_jax.sampling import PADDINGS, spline_coefficients
from stn_jax.transforms import FAMILIES, make_family
from stn_jax.visualization.style import default_style, draw_grid

FOLDER = Path(__file__).parent / "pictures"
TEXT = "#808080"
BLUE, ORANGE, GREEN = "#3B8FD0", "#E07B26", "#2A9D72"


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    with default_style():
        plt.rcParams.update(
            dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), TEXT)
            | {"xtick.color": TEXT, "ytick.color": TEXT, "axes.facecolor": "none", "font.size": 10}
        )
        for draw in PICTURES:
            buffer = io.BytesIO()
            draw().savefig(buffer, format="png", transparent=True, bbox_inches="tight")
            # 256 colours are enough, and take a third of the space.
            Image.open(buffer).quantize(256).save(folder / f"{draw.__name__}.png", optimize=True)


def photograph(width: int = 96, height: int = 96) -> jax.Array:
    """Returns Grace Hopper (photograph of the US Navy, public domain), which matplotlib has."""
    with get_sample_data("grace_hopper.jpg") as file:
        portrait = plt.imread(file, format="jpg")
    rows = 420 * height // width
    face = np.float32(portrait[30 : 30 + rows, 46:466]) / 255
    return jax.image.resize(face, (height, width, 3), "linear")


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def show(axis: Axes, title: str, image, grid=None, lines: int = 7) -> None:
    axis.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
    if grid is not None:
        draw_grid(axis, grid, image.shape[:2], lines)
        if np.abs(grid).max() <= 1:  # no margin is needed
            axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))


def align_corners() -> Figure:
    """A row of four pixels, and where -1 and 1 are in both conventions."""
    figure = new_figure(7.2, 2.3)
    axes = figure.subplots(1, 2)
    for axis, aligned in zip(axes, (False, True), strict=True):
        for pixel in range(4):
            axis.add_patch(Rectangle((pixel, 0), 1, 1, fc="none", ec=TEXT))
            axis.plot(pixel + 0.5, 0.5, "o", color=TEXT, ms=4)
        left, right = (0.5, 3.5) if aligned else (0, 4)
        for place, label in ((left, "-1"), ((left + right) / 2, "0"), (right, "1")):
            axis.plot([place, place], [-0.2, 1.2], color=ORANGE, lw=2)
            axis.text(place, -0.28, label, color=ORANGE, ha="center", va="top", weight="bold")
        axis.annotate(
            *("", (right, 1.35), (left, 1.35)), arrowprops={"arrowstyle": "<->", "color": ORANGE}
        )
        axis.set_title(f"align_corners={aligned}", family="monospace")
        axis.set(xlim=(-0.3, 4.3), ylim=(-0.7, 1.6), aspect="equal")
        axis.set_axis_off()
    return figure


def direction() -> Figure:
    """The grid lies on the input; the thick edge becomes the output's top."""
    image = photograph()
    grid = stn_jax.affine_grid([[0.55, -0.3, 0.0], [0.3, 0.55, -0.05]], (96, 96))
    figure = new_figure(5.6, 2.9)
    left, right = figure.subplots(1, 2)
    show(left, "input, with the grid", image, grid)
    show(right, "output", stn_jax.sample(image, grid))
    return figure


def units() -> Figure:
    """A rotation of a wide image by a similarity, and by the same matrix in normalised units."""
    image = photograph(144, 72)
    angle = jnp.deg2rad(30)
    shape = image.shape[:2]
    similarity = stn_jax.similarity_grid(jnp.stack([1.0, angle, 0.0, 0.0]), shape)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    affine = stn_jax.affine_grid(jnp.array([[cos, -sin, 0.0], [sin, cos, 0.0]]), shape)
    figure = new_figure(7.2, 1.8)
    axes = figure.subplots(1, 3)
    show(axes[0], "input", image)
    show(axes[1], "similarity_grid: rotated", stn_jax.sample(image, similarity))
    show(axes[2], "affine_grid, cos and sin: sheared", stn_jax.sample(image, affine))
    return figure


def kernels() -> Figure:
    """The kernels as functions, and an eye enlarged by each."""
    figure = new_figure(7.2, 4.1)
    axes = figure.subplots(2, 4, height_ratios=(1, 1.4))
    distance = np.linspace(-2.2, 2.2, 441)
    ticks = np.array([[[0.0], [0.0], [0.0], [0.0], [1.0], [0.0], [0.0], [0.0], [0.0]]])
    grid = np.stack([distance / 4.5, np.zeros_like(distance)], -1)[None]
    crop = photograph()[26:42, 30:50]
    zoom = stn_jax.affine_grid([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], (160, 200))
    for column, method in enumerate(("nearest", "linear", "cubic", "bspline3")):
        tick, shown = ticks, crop
        if method == "bspline3":
            tick, shown = (spline_coefficients(x, 3, padding="border") for x in (ticks, crop))
        curve = stn_jax.sample(tick, grid, method=method, padding="border")[0, :, 0]
        axes[0, column].plot(distance, curve, color=BLUE, lw=2)
        axes[0, column].set_title(method, family="monospace")
        axes[0, column].set(ylim=(-0.3, 1.15), xticks=range(-2, 3))
        axes[0, column].spines[["top", "right"]].set_visible(False)
        show(axes[1, column], "", stn_jax.sample(shown, zoom, method=method, padding="border"))
    axes[0, 0].set_ylabel("weight")
    axes[0, 1].set_xlabel("distance in pixels", loc="right")
    return figure


def paddings() -> Figure:
    """The image, seen from twice as far, in each padding."""
    image = photograph()
    grid = stn_jax.affine_grid([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], (192, 192))
    figure = new_figure(7.2, 2.1)
    for axis, padding in zip(figure.subplots(1, 4), PADDINGS, strict=True):
        show(axis, padding, stn_jax.sample(image, grid, padding=padding))
        axis.add_patch(Rectangle((47.5, 47.5), 96, 96, fc="none", ec=ORANGE, lw=1.2))
    return figure


def shrinking() -> Figure:
    """A photograph shrunk by about five: read at points, anti-aliased, and averaged."""
    image = photograph(192, 192)
    image = image.at[::6].set(0.0).at[:, ::6].set(0.0)
    coarse, fine = (stn_jax.affine_grid(jnp.eye(2, 3), (size, size)) for size in (40, 640))
    averaged = stn_jax.sample(image, fine).reshape(40, 16, 40, 16, 3).mean((1, 3))
    figure = new_figure(7.2, 2.1)
    axes = figure.subplots(1, 4)
    show(axes[0], "input, 192x192", image)
    show(axes[1], "40x40 points", stn_jax.sample(image, coarse))
    show(axes[2], "antialias=True", stn_jax.sample(image, coarse, antialias=True))
    show(axes[3], "average of 16x16", averaged)
    return figure


def output_size() -> Figure:
    """One view of a photograph, read at fewer and at more points than it has pixels."""
    image, theta = photograph(), jnp.array([0.4, -0.02, -0.12])
    figure = new_figure(7.4, 1.75)
    axes = figure.subplots(1, 5)
    show(axes[0], "input, 96x96", image, stn_jax.attention_grid(theta, (96, 96)))
    for axis, size in zip(axes[1:], (10, 19, 38, 76), strict=True):
        grid = stn_jax.attention_grid(theta, (size, size))
        show(axis, f"{size}x{size} points", stn_jax.sample(image, grid))
    return figure


EXAMPLES = {
    "attention": [0.6, 0.1, -0.1],
    "translation": [0.3, -0.2],
    "similarity": [0.7, 0.4, 0.05, -0.05],
    "affine": [0.7, 0.35, 0.05, 0.0, 0.75, -0.05],
    "projective": [0.8, 0.0, 0.0, 0.0, 0.8, -0.05, 0.0, 0.35],
}


def families() -> Figure:
    """What each family can do: its grid on the input, and the output."""
    image = photograph()
    bend = 0.16 * jax.random.normal(jax.random.key(3), (32,))
    figure = new_figure(7.4, 2.9)
    axes = figure.subplots(2, 6)
    for column, name in enumerate(FAMILIES):
        family = make_family(name)
        params = jnp.array(
            EXAMPLES.get(name, 0.8 * jnp.array(family.identity) + bend[: family.num_params])
        )
        grid = family.sampling_grid(params, (96, 96), source_shape=(96, 96))
        show(axes[0, column], f"{name}\n{family.num_params} parameters", image, grid, lines=5)
        show(axes[1, column], "", stn_jax.sample(image, grid))
    return figure


def parts() -> Figure:
    """The three parts, and what passes between them."""
    figure = new_figure(7.2, 1.5)
    axis = figure.subplots()
    axis.set(xlim=(0, 10.1), ylim=(0.1, 1.9))
    axis.set_axis_off()
    boxes = (
        (2.0, "localisation\nnetwork", BLUE),
        (4.6, "sampling\ngrid", ORANGE),
        (7.2, "sampling", GREEN),
    )
    for left, text, colour in boxes:
        axis.add_patch(
            FancyBboxPatch(
                (left, 0.3), 1.5, 0.9, boxstyle="round,pad=0.08", fc="none", ec=colour, lw=2
            )
        )
        axis.text(left + 0.75, 0.75, text, ha="center", va="center")
    arrows = [((0.9, 0.75), (1.9, 0.75), ""), ((3.6, 0.75), (4.5, 0.75), "theta")]
    arrows += [((6.2, 0.75), (7.1, 0.75), "points"), ((8.8, 0.75), (9.4, 0.75), "")]
    for start, end, text in arrows:
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=TEXT))
        axis.text((start[0] + end[0]) / 2, 0.95, text, ha="center", style="italic")
    axis.plot([0.45, 0.45, 7.95], [1.05, 1.75, 1.75], color=TEXT, lw=1)
    axis.annotate("", (7.95, 1.3), (7.95, 1.8), arrowprops={"arrowstyle": "-|>", "color": TEXT})
    axis.text(0.45, 0.75, "input", ha="center", va="center")
    axis.text(9.75, 0.75, "output", ha="center", va="center")
    return figure


PICTURES = (align_corners, direction, units, kernels, paddings, shrinking, output_size)
PICTURES += (families, parts)

if __name__ == "__main__":
    main()
