"""An interim reader of GTSRB's archives in `manual_dir`, until the builder replaces it."""

import csv
import functools
import io
import zipfile
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.data.examples import Examples

EVALUATE_ON = ("test", "held_out")


def load_traffic_signs(config: ConfigDict) -> tuple[Examples, Examples]:
    """Returns the examples to train on and the examples to evaluate on, by `config.data`."""
    if not config.manual_dir:
        raise UserError("config.data.manual_dir must be the folder of GTSRB's three archives")
    images, labels, tracks, test = _read(config.manual_dir, config.size)
    rng = np.random.default_rng(0)
    out = np.zeros(len(labels), bool)
    for label in np.unique(labels) if config.held_out else ():
        of_class = rng.permutation(np.unique(tracks[labels == label]))
        chosen = of_class[: max(1, round(config.held_out * len(of_class)))]
        out |= np.isin(tracks, chosen)
    order = rng.permutation(len(labels))
    kept, held_out = order[~out[order]], order[out[order]]
    kept = kept[: config.subset or None]
    train = Examples(images[kept], labels[kept])
    if config.evaluate_on == "held_out":
        return train, Examples(images[held_out], labels[held_out])
    return train, test


@functools.lru_cache(maxsize=1)
def _read(folder: str, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Examples]:
    def pictures(name: str) -> dict[str, np.ndarray]:
        with zipfile.ZipFile(Path(folder) / name) as archive:
            names = sorted(entry for entry in archive.namelist() if entry.endswith(".ppm"))
            return {entry: _picture(archive.read(entry), size) for entry in names}

    train = pictures("GTSRB_Final_Training_Images.zip")
    labels = np.array([int(name.split("/")[-2]) for name in train], np.int32)
    tracks = labels * 1000 + [int(name.split("/")[-1].split("_")[0]) for name in train]
    test = pictures("GTSRB_Final_Test_Images.zip")
    with zipfile.ZipFile(Path(folder) / "GTSRB_Final_Test_GT.zip") as archive:
        (table,) = (entry for entry in archive.namelist() if entry.endswith(".csv"))
        rows = csv.DictReader(io.StringIO(archive.read(table).decode()), delimiter=";")
        classes = {row["Filename"]: int(row["ClassId"]) for row in rows}
    answers = np.array([classes[name.split("/")[-1]] for name in test], np.int32)
    return (
        np.stack(list(train.values())),
        labels,
        tracks,
        Examples(np.stack(list(test.values())), answers),
    )


def _picture(content: bytes, size: int) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
