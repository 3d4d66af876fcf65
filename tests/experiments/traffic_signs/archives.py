"""Test archives of traffic signs in GTSRB's layout, and checks of their rejection."""

import io
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.traffic_signs.gtsrb.archives import TEST, TEST_CLASSES, TRAINING
from stn_jax.experiments.traffic_signs.gtsrb.prepared import prepare

WIDTH, HEIGHT = 20, 16
HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
TRAINING_FOLDER = "GTSRB/Final_Training/Images/"
TEST_FOLDER = "GTSRB/Final_Test/Images/"


class Picture(NamedTuple):
    name: str  # below the folder of all pictures
    ppm: bytes
    row: tuple  # the CSV file's, without the name


def pixels(seed, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def ppm(image):
    height, width, _ = image.shape
    return b"P6\n# made by a test\n%d %d\n255\n" % (width, height) + image.tobytes()


def picture(name, label, seed=0):
    return Picture(name, ppm(pixels(seed)), (WIDTH, HEIGHT, 2, 3, 15, 14, label))


def training(classes=(0, 7), tracks=3, frames=4):
    """Returns pictures of `frames` for each of the `tracks` of each class."""
    places = [(c, t, f) for c in classes for t in range(tracks) for f in range(frames)]
    return [
        picture(f"{c:05d}/{t:05d}_{f:05d}.ppm", c, seed) for seed, (c, t, f) in enumerate(places)
    ]


def pictures_to_test(classes=(0, 7), count=5):
    return [picture(f"{i:05d}.ppm", classes[i % len(classes)], 10_000 + i) for i in range(count)]


def csv(pictures, header=HEADER):
    rows = [";".join([p.name.split("/")[-1], *map(str, p.row)]) for p in pictures]
    return "\r\n".join([header, *rows, ""]).encode()


def contents(train, test):
    """Returns the members of each archive, by name: their bytes."""
    members = {TRAINING_FOLDER + p.name: p.ppm for p in train}
    for folder in sorted({p.name.split("/")[0] for p in train}):
        rows = [p for p in train if p.name.startswith(folder)]
        members[f"{TRAINING_FOLDER}{folder}/GT-{folder}.csv"] = csv(rows)
    return {
        TRAINING: members,
        TEST: {TEST_FOLDER + p.name: p.ppm for p in test},
        TEST_CLASSES: {"GT-final_test.csv": csv(test)},
    }


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_archives(folder, train=None, test=None):
    """Writes the three archives of some signs; by default, 24 of 2 classes and 5 to test."""
    folder.mkdir(exist_ok=True)
    train, test = (
        training() if train is None else train,
        pictures_to_test() if test is None else test,
    )
    for name, members in contents(train, test).items():
        write_zip(folder / name, members)
    return folder


def decode(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def prepare_refused(match, *args):
    with pytest.raises(UserError, match=match) as error:
        prepare(*args)
    assert str(error.value).isprintable()
    return str(error.value)


def halves(folder):
    return [
        path for path in folder.rglob("*") if "incomplete" in path.name or "array_r" in path.name
    ]
