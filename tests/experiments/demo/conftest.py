import numpy as np
import pytest


@pytest.fixture(scope="session")
def digit():
    """Returns an upright 1 with a foot to its right, [28, 28, 1] in 0..1.

    Its ink lies in the middle 20x20 pixels.
    """
    pixels = np.zeros((28, 28, 1), np.float32)
    pixels[4:24, 13:15] = 1
    pixels[21:24, 15:20] = 0.6
    return pixels
