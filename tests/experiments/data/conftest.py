import numpy as np
import pytest


@pytest.fixture(scope="module")
def scene():
    """Returns a picture without symmetry, in soft colours: [60, 90, 3] uint8."""
    y, x = np.mgrid[:60, :90]
    colours = np.stack([60 + 2 * x, 200 - 2 * y, 90 + x + y], axis=-1)
    colours[10:25, 50:80] = (230, 220, 40)
    return colours.astype(np.uint8)
