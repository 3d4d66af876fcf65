"""Pictures of what spatial transformers do: pure functions from arrays to matplotlib figures.

They draw with matplotlib's default style, whatever the user's matplotlibrc says, and never on the
screen. Any thread may call them, but only one draws at a time, because the style is global.
"""

from stn_jax.visualization.classes import draw_class_means, draw_confusion
from stn_jax.visualization.curves import draw_curves
from stn_jax.visualization.samples import draw_samples
from stn_jax.visualization.style import draw_grid, png_bytes
from stn_jax.visualization.theta import draw_theta_history
from stn_jax.visualization.triptychs import (
    draw_answer,
    draw_layers,
    draw_triptychs,
    draw_worst,
)

__all__ = [
    "draw_answer",
    "draw_class_means",
    "draw_confusion",
    "draw_curves",
    "draw_grid",
    "draw_layers",
    "draw_samples",
    "draw_theta_history",
    "draw_triptychs",
    "draw_worst",
    "png_bytes",
]
