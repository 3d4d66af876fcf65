"""Plots that are drawn only if what they show has changed."""

import io
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from stn_jax.files import digest, write_atomically
from stn_jax.visualization.style import default_style


@default_style()
def update_plot(path: Path, content: object, draw: Callable[[], Figure]) -> None:
    """Writes a plot, or leaves the file unchanged if it already shows this content.

    Args:
        path: the PNG file, which contains a digest of what it shows.
        content: what the plot shows; its `repr` says all of it.
        draw: draws it.
    """
    shown = digest(repr(content).encode())
    if _shown(path) == shown:
        return
    png = io.BytesIO()
    draw().savefig(png, format="png", metadata={"Software": None, "Comment": shown})
    write_atomically(path, png.getvalue())


def _shown(path: Path) -> str | None:
    """Returns the digest stored in a plot, or None if the plot is missing or damaged."""
    try:
        with Image.open(path) as plot:
            return plot.info.get("Comment")
    except OSError:
        return None
