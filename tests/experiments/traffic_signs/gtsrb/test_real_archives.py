"""The complete official split, at 32x32 pixels."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.traffic_signs.gtsrb.archives import (
    TEST,
    TRAINING,
    archives_in,
    check_split,
    read_pictures,
)
from stn_jax.experiments.traffic_signs.gtsrb.prepared import prepare, read_signs
from stn_jax.experiments.traffic_signs.gtsrb.usable import to_example
from stn_jax.experiments.traffic_signs.sources import held_out_tracks, load_signs
from tests.experiments.traffic_signs.archives import TEST_FOLDER, TRAINING_FOLDER, decode

COUNTS = {"train": 39_209, "test": 12_630}
PLACES = {"train": (TRAINING, TRAINING_FOLDER), "test": (TEST, TEST_FOLDER)}


@pytest.fixture(scope="module", params=COUNTS)
def split(request, real_archives):
    return check_split(request.param, archives_in(real_archives)[request.param])


def test_every_picture_is_listed_and_a_sample_is_what_pillow_reads(split):
    assert len(split.listed) == COUNTS[split.name]
    assert split.present >= {sign.name for sign in split.listed}
    archive, folder = zipfile.ZipFile(split.path), PLACES[split.name][1]
    for picture in read_pictures(split, split.listed[::500]):
        example, _ = to_example(picture, split.name)
        expected = np.asarray(Image.open(io.BytesIO(archive.read(folder + picture.name))))
        np.testing.assert_array_equal(decode(example["image"]), expected)


def test_held_out_tracks_have_the_proportions_of_all(split):
    if split.name == "test":
        assert not any("_" in sign.name for sign in split.listed)  # which would be tracks
        return
    labels = np.array([sign.numbers[-1] for sign in split.listed])
    tracks = np.array([int(sign.name[6:11]) for sign in split.listed])
    assert len(np.unique(labels * 1000 + tracks)) == 1307
    held_out = held_out_tracks(labels, tracks, 0.2)
    before, after = (np.bincount(these) / len(these) for these in (labels, labels[held_out]))
    np.testing.assert_allclose(after, before, rtol=0.3)
    assert abs(held_out.mean() - 0.2) < 0.005


@pytest.mark.stress
def test_all_pictures_are_prepared_and_cached_unchanged(real_archives, tmp_path):
    builder = prepare(tmp_path, real_archives)
    for name, count in COUNTS.items():
        report = builder.info.metadata[name]
        assert report["kept"] == count and not report["left_out"]
        archive = zipfile.ZipFile(real_archives / PLACES[name][0])
        signs = list(read_signs(builder, name))
        expected = np.stack(
            [
                np.asarray(Image.open(io.BytesIO(archive.read(PLACES[name][1] + sign.name))))
                for sign in signs
            ]
        )
        for sign, image in zip(signs, expected, strict=True):
            np.testing.assert_array_equal(decode(sign.png), image)
        images = load_signs(tmp_path / "c", builder, name, size=32, context=0).examples.images
        assert sorted(map(hash, map(bytes, images))) == sorted(map(hash, map(bytes, expected)))
