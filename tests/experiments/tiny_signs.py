"""Archives of drawn traffic signs in GTSRB's format, and runs on them that take seconds."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from stn_jax.experiments.traffic_signs.config import make_config
from stn_jax.experiments.traffic_signs.drawn_signs import View, photograph
from tests.experiments.traffic_signs.archives import Picture, ppm, write_archives

CLASSES = (1, 12, 14, 17, 38)
"""Speed limit 30 km/h, priority road, stop, no entry, keep right."""

OVERRIDES = {
    "data.size": 16,
    "model.filters": (8, 16),
    "model.pooled": (1, 2),
    "model.features": (16,),
    "model.localisation_filters": (4,),
    "model.localisation_features": (8,),
    "batch_size": 32,
    "eval_batch_size": 32,
    "num_epochs": 8.0,
    "eval_every_epochs": 8.0,
}


def random_view(rng: np.random.Generator) -> View:
    """Returns a view in which every sign is easy to recognise."""
    turn, scale = rng.uniform(-15, 15), rng.uniform(0.8, 1.1)
    right, down = rng.uniform(-5, 5, 2)
    return View(turn, scale, right, down, shade=rng.uniform(0, 0.5), blur=rng.uniform(0, 2))


def drawn_picture(name: str, sign: int, scene: int) -> Picture:
    size = 32
    view = random_view(np.random.default_rng(scene))
    pixels = np.asarray(photograph(sign, view, scene, size))
    return Picture(name, ppm(pixels), (size, size, 3, 3, size - 3, size - 3, sign))


def drawn_archives(folder: Path, tracks: int = 40, to_test: int = 20) -> Path:
    """Writes the three archives, with `tracks` photographs of each of CLASSES to train on."""
    train = [
        drawn_picture(f"{sign:05d}/{track:05d}_00000.ppm", sign, 1000 * sign + track)
        for sign in CLASSES
        for track in range(tracks)
    ]
    test = [
        drawn_picture(f"{place:05d}.ppm", CLASSES[place % len(CLASSES)], 100_000 + place)
        for place in range(to_test)
    ]
    return write_archives(folder, train, test)


def tiny_signs_config(network: str, data_dir: Path, manual_dir: Path) -> ConfigDict:
    """Returns the config of a run on `drawn_archives` in `manual_dir`."""
    config = make_config(network, "quick")
    config.update_from_flattened_dict(OVERRIDES)
    config.data.data_dir, config.data.manual_dir = str(data_dir), str(manual_dir)
    return config
