"""Archives of drawn traffic signs in GTSRB's format."""

from pathlib import Path

import numpy as np

from stn_jax.experiments.traffic_signs.drawn_signs import View, photograph
from tests.experiments.traffic_signs.archives import Picture, ppm, write_archives

CLASSES = (12, 14, 38)
"""Priority road, stop, keep right."""

_SIDE = 24


def write_drawn_archives(folder: Path, tracks: int = 40, to_test: int = 12) -> Path:
    """Writes the three archives, with `tracks` photographs of each of CLASSES to train on."""
    train = [
        _picture(f"{sign:05d}/{track:05d}_00000.ppm", sign, (sign, track))
        for sign in CLASSES
        for track in range(tracks)
    ]
    test = [
        _picture(f"{place:05d}.ppm", CLASSES[place % len(CLASSES)], (0, place))
        for place in range(to_test)
    ]
    return write_archives(folder, train, test)


def _picture(name: str, sign: int, seed: tuple[int, int]) -> Picture:
    rng = np.random.default_rng(seed)
    view = View(*rng.uniform([-15, 0.8, -5, -5, 0, 0], [15, 1.1, 5, 5, 0.5, 2]).tolist())
    pixels = np.asarray(photograph(sign, view, int(rng.integers(10**6)), _SIDE))
    return Picture(name, ppm(pixels), (_SIDE, _SIDE, 2, 2, _SIDE - 2, _SIDE - 2, sign))
