"""Compares what is seen in picture files with what was stored."""

import numpy as np
from PIL import Image

from stn_jax.experiments.data.picture_files import open_image


def mask():
    """Returns where the ink is: [20, 30], 0 or 255."""
    ink = np.zeros((20, 30), np.uint8)
    ink[5:15, 8:12] = 255
    return ink


def written(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def opened(path, content=None):
    if content is not None:
        path.write_bytes(content)
    picture = open_image(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def assert_seen(path, expected, *, off=1, content=None):
    seen = opened(path, content).astype(int)
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).mean() <= off
