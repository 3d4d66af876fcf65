"""A folder of traffic signs trains as the task of traffic signs does."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.tasks import find_task
from stn_jax.experiments.traffic_signs.gtsrb.archives import ARCHIVES, TEST, TEST_CLASSES, TRAINING
from stn_jax.experiments.training.loop import train_and_evaluate
from tests.experiments.tiny import read_metrics
from tests.experiments.tiny_pictures import tiny_pictures_config
from tests.experiments.tiny_signs import tiny_signs_config
from tests.experiments.traffic_signs.archives import (
    HEADER,
    TEST_FOLDER,
    TRAINING_FOLDER,
    Picture,
    write_archives,
)
from tests.experiments.traffic_signs.conftest import REAL

CLASSES = (2, 13, 38)


def rows(archive, name):
    text = io.TextIOWrapper(archive.open(name))
    return [[row[0], *map(int, row[1:])] for row in list(csv.reader(text, delimiter=";"))[1:]]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Returns a folder with some real signs as archives and as folders of pictures."""
    if not all((REAL / name).is_file() for names in ARCHIVES.values() for name in names):
        pytest.skip(f"GTSRB's archives are not in {REAL}")
    root = tmp_path_factory.mktemp("signs")
    train, test = [], []
    with zipfile.ZipFile(REAL / TRAINING) as archive:
        for label in CLASSES:
            folder = f"{TRAINING_FOLDER}{label:05d}"
            for name, *row in rows(archive, f"{folder}/GT-{label:05d}.csv")[::9]:
                content = archive.read(f"{folder}/{name}")
                train.append(Picture(f"{label:05d}/{name}", content, tuple(row)))
    with zipfile.ZipFile(REAL / TEST) as archive, zipfile.ZipFile(REAL / TEST_CLASSES) as classes:
        for name, *row in rows(classes, "GT-final_test.csv")[::3]:
            if row[-1] in CLASSES:
                test.append(Picture(name, archive.read(TEST_FOLDER + name), tuple(row)))
    assert HEADER.endswith("ClassId") and len(train) > 600 and len(test) > 300
    write_archives(root / "archives", train, test)
    for label in range(43):  # classes without pictures keep their numbers
        (root / "folder" / "train" / f"{label:05d}").mkdir(parents=True)
    for split, pictures in (("train", train), ("test", test)):
        for picture in pictures:
            name = picture.name.rpartition("/")[2].replace(".ppm", ".png")
            path = root / "folder" / split / f"{picture.row[-1]:05d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.open(io.BytesIO(picture.ppm)).save(path)
    return root


def test_the_training_examples_and_their_order_are_the_same(both):
    signs = tiny_signs_config("single", both / "data", both / "archives", data__size=32)
    pictures = tiny_pictures_config(both / "folder", both / "data", data__size=32)
    theirs, ours = (find_task(config).load_data(config) for config in (signs, pictures))
    np.testing.assert_array_equal(ours.train.images, theirs.train.images)
    places = np.searchsorted(CLASSES, theirs.train.labels)
    np.testing.assert_array_equal(ours.train.labels, places)
    labels = np.searchsorted(CLASSES, theirs.test.labels), ours.test.labels
    images = [
        sorted(zip(these.tolist(), map(bytes, data.test.images), strict=True))
        for these, data in zip(labels, (theirs, ours), strict=True)
    ]
    assert images[0] == images[1]


def test_the_same_settings_give_the_same_losses_and_error(both, monkeypatch):
    """Both networks get three classes, so that they start from the same parameters."""
    overrides = {"batch_size": 64, "num_epochs": 1.0, "data__subset": 512}
    signs = tiny_signs_config("single", both / "data", both / "archives", **overrides)
    pictures = tiny_pictures_config(both / "folder", both / "data", **overrides)
    from stn_jax.experiments.traffic_signs import task

    load = task.load_data

    def load_three_classes(config):
        data = load(config)
        train, test = (
            each._replace(labels=np.searchsorted(CLASSES, each.labels).astype(np.int32))
            for each in (data.train, data.test)
        )
        return data._replace(train=train, test=test)

    monkeypatch.setattr(task, "load_data", load_three_classes)
    monkeypatch.setattr(task, "CLASS_NAMES", task.CLASS_NAMES[: len(CLASSES)])
    found = []
    for name, config in (("signs", signs), ("pictures", pictures)):
        train_and_evaluate(config, both / name)
        losses = [record["loss"] for record in read_metrics(both / name) if "loss" in record]
        result = json.loads((both / name / "result.json").read_text())
        found.append((losses, result["test_error_percent"], result["test_loss"]))
    assert len(found[0][0]) == 8
    assert found[0][:2] == found[1][:2]  # bit by bit
    assert found[0][2] == pytest.approx(found[1][2], rel=1e-5)  # in another order
