"""Folders of pictures, and configs of runs on them that take seconds."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.experiments.own_pictures.config import make_config
from tests.experiments.tiny_signs import OVERRIDES


def write_pictures(folder: Path, counts: dict[str, int], size: int = 20) -> Path:
    """Writes noise in a colour of its own for each class, such as {"train/cat": 8}."""
    for place, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(place)
        colour = np.random.default_rng(sum(Path(name).name.encode())).integers(40, 216, 3)
        for number in range(count):
            pixels = colour + random.integers(-40, 40, (size, size, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:03d}.png")
    return folder


def tiny_pictures_config(folder: Path | str, data_dir: Path, **overrides) -> ConfigDict:
    """Returns a config with narrow layers; `overrides` use `__` for the dots of a key."""
    config = make_config(None)
    flat = {name.replace("__", "."): value for name, value in overrides.items()}
    places = {"data.dir": str(folder), "data.data_dir": str(data_dir)}
    with config.ignore_type():
        config.update_from_flattened_dict(OVERRIDES | places | flat)
    return config


def launch_pictures_flags(folder: Path, data_dir: Path) -> list[str]:
    """Returns the flags of the same run."""
    settings = OVERRIDES | {"data.dir": folder, "data.data_dir": data_dir}
    return [
        "--config=configs/image_folder.py",
        *(f"--config.{name}={value}" for name, value in settings.items()),
    ]
