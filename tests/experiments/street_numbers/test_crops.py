import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers import crops
from stn_jax.experiments.street_numbers.crops import cut_out, load_crops
from stn_jax.experiments.street_numbers.svhn.format1 import Box, write_archive
from stn_jax.experiments.street_numbers.svhn.prepared import Number, prepare

COUNTS = {"train": 7, "test": 3, "extra": 4}
SETTINGS = {"shape": (32, 32), "context": 1.3}


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def pictures(split):
    """Yields the pictures of a split; the i-th has a single colour and the number i + 1."""
    for i in range(COUNTS[split]):
        shade = 10 * (i + 1) + 100 * list(COUNTS).index(split)
        pixels = np.full((40, 60 + i, 3), shade, np.uint8)
        yield png(pixels), [Box(20, 10, 8, 20, i + 1)]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    for split in COUNTS:
        write_archive(folder / f"{split}.tar.gz", split, pictures(split))
    return folder


@pytest.fixture(scope="module")
def builder(archives, tmp_path_factory):
    return prepare(str(tmp_path_factory.mktemp("data")), str(archives), "crops")


def test_what_is_cut_out_is_what_is_in_the_box():
    """A white area that exactly fills the enlarged box gives a white crop."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[7:33, 37:63] = 255
    number = Number(png(pixels), None, 1, np.array([[40.0, 10, 60, 30]]))
    # Resizing mixes in pixels just outside the edge.
    assert cut_out(number, shape=(48, 48), context=1.3)[1:-1, 1:-1].min() == 255
    assert cut_out(number, shape=(48, 48), context=1.3).min() > 128
    assert cut_out(number, shape=(48, 48), context=1.8).mean() / 255 == pytest.approx(
        (26 / 36) ** 2, 0.02
    )
    red = np.zeros((60, 100, 3), np.uint8)
    red[..., 0] = 200
    number = number._replace(png=png(red))
    np.testing.assert_array_equal(cut_out(number, shape=(16, 16), context=0)[3, 3], [200, 0, 0])


def test_images_and_digits_belong_together_in_the_archives_order(builder, tmp_path):
    examples = load_crops(tmp_path, builder, ["test"], **SETTINGS, shuffled=False)
    assert examples.images.shape == (3, 32, 32, 3) and examples.images.dtype == np.uint8
    assert examples.labels.dtype == np.int32
    np.testing.assert_array_equal(examples.labels, [[i, 10, 10, 10, 10] for i in (1, 2, 3)])
    np.testing.assert_array_equal(examples.images[:, 5, 5, 0], [110, 120, 130])


def test_splits_are_mixed_in_one_way_for_all_time(builder, tmp_path):
    runs = [
        load_crops(folder, builder, ["train", "extra"], **SETTINGS, shuffled=True)
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    np.testing.assert_array_equal(runs[0].images, runs[1].images)
    np.testing.assert_array_equal(runs[0].labels, runs[1].labels)
    shades = runs[0].images[:, 0, 0, 0].astype(int)
    in_order = [10 * (i + 1) for i in range(7)] + [200 + 10 * (i + 1) for i in range(4)]
    assert sorted(shades) == in_order and shades.tolist() != in_order
    np.testing.assert_array_equal(shades % 100 // 10, runs[0].labels[:, 0])


def test_a_cache_is_made_once_and_then_mapped(builder, tmp_path, monkeypatch):
    first = load_crops(tmp_path, builder, ["train"], **SETTINGS, shuffled=True)
    monkeypatch.setattr(crops, "read_numbers", None)
    again = load_crops(tmp_path, builder, ["train"], **SETTINGS, shuffled=True)
    assert isinstance(again.images, np.memmap)
    np.testing.assert_array_equal(first.images, again.images)
    assert len(list(tmp_path.iterdir())) == 1


def test_each_setting_has_its_own_cache(builder, tmp_path):
    changes = [{}, {"shape": (32, 48)}, {"context": 0.0}, {"letterbox": True}]
    for settings in (SETTINGS | change for change in changes):
        examples = load_crops(tmp_path, builder, ["test"], **settings, shuffled=False)
        assert examples.images.shape[1:3] == settings["shape"]
    assert len(list(tmp_path.iterdir())) == len(changes)


def damage_truncate(folder):
    os.truncate(folder / "images.npy", 2000)


def damage_settings(folder):
    record = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(record | {"context": 2.0}))


def fewer_images(folder):
    np.save(folder / "images.npy", np.load(folder / "images.npy")[:2])


def fewer_of_both(folder):
    fewer_images(folder)
    np.save(folder / "labels.npy", np.load(folder / "labels.npy")[:2])


def smaller_images(folder):
    np.save(folder / "images.npy", np.load(folder / "images.npy")[:, ::2, ::2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncate, "cannot read the street numbers"),
        (damage_settings, r"made with other settings \(context: 2.0 there, 1.3 now\)"),
        (fewer_images, "are incomplete"),
        (fewer_of_both, "are incomplete"),
        (smaller_images, "are incomplete"),
        (lambda folder: (folder / "labels.npy").unlink(), "cannot read the street numbers"),
        (lambda folder: os.truncate(folder / "settings.json", 5), "cannot read the street numbers"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_cache_is_told_in_one_line(builder, tmp_path, damage, message):
    load_crops(tmp_path, builder, ["test"], **SETTINGS, shuffled=False)
    (folder,) = tmp_path.iterdir()
    damage(folder)
    with pytest.raises(UserError, match=f"{message}.*delete that folder") as error:
        load_crops(tmp_path, builder, ["test"], **SETTINGS, shuffled=False)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_a_full_disk_leaves_nothing_and_the_next_try_starts_clean(builder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def disk_full(number, **_):
            raise OSError(28, "No space left on device")

        patch.setattr(crops, "cut_out", disk_full)
        with pytest.raises(UserError, match=r"No space left on device.*make room") as error:
            load_crops(tmp_path, builder, ["test"], **SETTINGS, shuffled=False)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    load_crops(tmp_path, builder, ["test"], **SETTINGS, shuffled=False)
    (folder,) = tmp_path.iterdir()
    assert re.fullmatch(r"crops-test-32px-context1\.3-[0-9a-f]+", folder.name)
    assert json.loads((folder / "settings.json").read_text())["size"] == 32
    # The state that a killed process leaves behind:
    shutil.rmtree(folder)
    (tmp_path / f"{folder.name}.incomplete").mkdir()
    load_crops(tmp_path, builder, ["test"], **SETTINGS, shuffled=False)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("context", [-1.0, 0.5, float("nan")])
def test_a_context_smaller_than_the_number_is_refused(builder, tmp_path, context):
    with pytest.raises(UserError, match=r"config\.data\.context"):
        load_crops(tmp_path, builder, ["test"], shape=(32, 32), context=context, shuffled=False)


def test_a_folder_that_cannot_be_written_is_told(builder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"choose another --config\.data\.data_dir"):
        load_crops(Path(tmp_path / "file" / "cache"), builder, ["test"], **SETTINGS, shuffled=False)
