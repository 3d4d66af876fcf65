"""Renders what the page shows of a network as HTML: pictures, grids, theta and probabilities.

Pictures are tiny PNGs inside the HTML, and grids are vector drawings over them. A card therefore
takes only a few milliseconds to make, is sharp at any size, and needs no further request to the
server.
"""

import base64
import html
import io
import math
from collections.abc import Callable, Iterable

import numpy as np
from jax.typing import ArrayLike
from PIL import Image

from stn_jax.experiments.inference import (
    Inference,
    TransformerView,
    best_answers,
    most_probable,
)
from stn_jax.experiments.labels import LabelKind
from stn_jax.visualization.style import as_picture, grid_lines

_MARGIN = 0.06  # black border, as a share of the width, to show grids slightly outside the picture


def network_card(
    name: str,
    detail: str,
    image: np.ndarray,
    seen: Inference,
    labels: LabelKind,
    chart: Callable[[np.ndarray, LabelKind], str],
) -> str:
    """Returns a card with a network's name, its answer and what its transformers did.

    Args:
        name: the network's name, any text.
        detail: more about the network, any text.
        image: [H, W, C], its input.
        seen: its result for the image, without a batch axis.
        labels: the kind of its answers.
        chart: draws its probabilities: `class_chart`, `number_chart` or `ranking`.
    """
    probabilities = np.asarray(seen.probabilities)
    answers, certainty = most_probable(probabilities[None])
    views = seen.transformers.values()
    figures = "".join(map(_transformer_figures, views)) or _row(_figure(image, image, "input"))
    (answer,) = labels.texts(answers)
    thetas = "".join(_theta(np.asarray(view.theta)) for view in views)
    return (
        f'<section class="stn-card"><header><h3>{html.escape(name)}'
        f'<small>{html.escape(detail)}</small></h3><span class="stn-answer">'
        f"{html.escape(answer)}</span><span>{certainty[0]:.0%}</span></header>"
        f"{figures}{chart(probabilities, labels)}{thetas}</section>"
    )


def cards(each: Iterable[str], note: str = "", link: str = "") -> str:
    """Returns cards side by side, with a line above them: a note, and a link to what is shown."""
    line = html.escape(note)
    if link:
        line += f' <a class="stn-link" href="{html.escape(link)}">Link to this</a>'
    above = f'<p class="stn-note">{line}</p>' if line else ""
    return f'{above}<div class="stn-cards">{"".join(each)}</div>'


def message(text: str) -> str:
    """Returns one sentence to show instead of cards."""
    return f'<p class="stn-message" role="alert">{html.escape(text)}</p>'


def data_url(image: np.ndarray) -> str:
    """Returns an image [H, W, 1 or 3] with values in 0..1 as the `data:` URL of a PNG."""
    pixels = np.rint(255 * np.clip(np.asarray(image, np.float32), 0, 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def grid_paths(grid: ArrayLike, shape: tuple[int, int]) -> tuple[str, str, str]:
    """Returns a sampling grid as SVG paths in pixels; (0, 0) is the input's upper left corner.

    Args:
        grid: [H', W', 2], (x, y), normalised with `align_corners=False`.
        shape: (height, width) of the input.

    Returns:
        The inner lines, three edges of the border, and the edge that is the output's top.
    """
    reach = 9 * shape[1]
    # SVG has no infinite numbers; lines that far away are out of sight anyway.
    inner, border, top = (
        _path(np.nan_to_num(line).clip(-reach, reach) for line in part)
        for part in grid_lines(np.asarray(grid), shape)
    )
    return inner, border, top


def _path(lines: Iterable[np.ndarray]) -> str:
    return "".join("M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in line) for line in lines)


def _transformer_figures(view: TransformerView) -> str:
    return _row(
        _figure(view.inputs, view.inputs, "grid over input", view.grid),
        _figure(view.outputs, view.inputs, "output"),
    )


def _row(*figures: str) -> str:
    return f'<div class="stn-views">{"".join(figures)}</div>'


def _figure(image: ArrayLike, like: ArrayLike, name: str, grid: ArrayLike | None = None) -> str:
    """Returns an image, or the mean of a feature map's channels, scaled to the range of `like`."""
    pixels, ends = (as_picture(np.asarray(each)) for each in (image, like))
    low, high = ends.min(), ends.max()
    pixels = (pixels - low) / (high - low or 1)
    height, width = pixels.shape[:2]
    margin = _MARGIN * width if grid is not None else 0
    box = f"{-margin:g} {-margin:g} {width + 2 * margin:g} {height + 2 * margin:g}"
    lines = ""
    if grid is not None:
        kinds = zip(("inner", "border", "top"), grid_paths(grid, (height, width)), strict=True)
        lines = "".join(
            f'<path class="stn-edge stn-{kind}" d="{path}"/><path class="stn-{kind}" d="{path}"/>'
            for kind, path in kinds
        )
    return (
        f'<figure><svg viewBox="{box}" role="img" aria-label="{name}"><image width="{width}" '
        f'height="{height}" href="{data_url(pixels)}"/>{lines}</svg>'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _theta(theta: np.ndarray) -> str:
    """Returns theta as a table; control points, each (x, y), are arranged as on the target."""
    side = math.isqrt(len(theta))
    if theta.shape[1:] == (2,) and side**2 == len(theta):
        points = theta.reshape(side, side, 2).tolist()
        rows = [[f"{x:.2f}<br/>{y:.2f}" for x, y in row] for row in points]
    else:
        rows = [[f"{number:.2f}" for number in row] for row in np.atleast_2d(theta).tolist()]
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="stn-theta"><span>theta</span><table>{cells}</table></div>'


def class_chart(probabilities: np.ndarray, labels: LabelKind) -> str:
    """Draws the probability of each class as a column, with an axis from 0 to 100%."""
    names = [html.escape(name) for name in labels.class_names]
    best, best_class = int(probabilities.argmax()), ' class="stn-best"'
    columns = "".join(
        f'<div title="{name}: {p:.1%}"{best_class if place == best else ""}>'
        f'<span><i style="height:{100 * p:.1f}%"></i></span><b>{name}</b></div>'
        for place, (name, p) in enumerate(zip(names, probabilities.tolist(), strict=True))
    )
    axis = "<small><span>100%</span><span>50%</span><span>0%</span></small>"
    return (
        f'<div class="stn-bars" role="img" aria-label="class probabilities">{axis}{columns}</div>'
    )


def number_chart(probabilities: np.ndarray, labels: LabelKind) -> str:
    """Shows the most probable digit at each place of a number, or "-" for no digit."""
    none = len(labels.class_names) - 1
    places = "".join(
        f"<div><b>{'-' if digit == none else digit}</b><small>{p:.0%}</small></div>"
        for digit, p in zip(probabilities.argmax(-1), probabilities.max(-1), strict=True)
    )
    return f'<div class="stn-places" role="img" aria-label="digit by digit">{places}</div>'


def ranking(probabilities: np.ndarray, labels: LabelKind) -> str:
    """Lists the three most probable answers with their probabilities, as rows with bars."""
    answers, chances = best_answers(probabilities[None], 3)
    rows = "".join(
        f'<div><b>{html.escape(text)}</b><small>{p:.1%}</small><i style="width:{100 * p:.1f}%"></i>'
        "</div>"
        for text, p in zip(labels.texts(answers[0]), chances[0].tolist(), strict=True)
    )
    return f'<div class="stn-ranking" role="img" aria-label="most probable answers">{rows}</div>'
