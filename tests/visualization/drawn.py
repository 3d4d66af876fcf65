"""Helpers that read back from figures what was drawn."""

import io

import numpy as np
from PIL import Image

from stn_jax.transforms import regular_grid
from stn_jax.visualization import png_bytes


def pixels(figure) -> np.ndarray:
    """Returns a figure as grey values [H, W] in 0..255."""
    with Image.open(io.BytesIO(png_bytes(figure))) as picture:
        return np.asarray(picture.convert("L"), float)


def texts(figure) -> list[str]:
    """Returns all texts on a figure, including titles and labels."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def shown_images(figure) -> list[np.ndarray]:
    """Returns the images on a figure, in the order of their axes."""
    return [np.asarray(image.get_array()) for axis in figure.axes for image in axis.get_images()]


def transformed(count: int, channels: int = 1, size: int = 12):
    """Returns random images, and identity grids and outputs of half the size."""
    images = np.random.default_rng(0).uniform(-1, 1, (count, size, size, channels))
    grids = np.stack([regular_grid((size // 2, size // 2))] * count)
    return images.astype(np.float32), grids, images[:, ::2, ::2].astype(np.float32)
