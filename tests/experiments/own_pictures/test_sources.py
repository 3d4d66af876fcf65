import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from stn_jax.errors import UserError
from stn_jax.experiments.data.picture_files import open_image
from stn_jax.experiments.own_pictures import sources
from stn_jax.experiments.own_pictures.sources import CHANNELS, image_of, load_pictures
from tests import pictures
from tests.experiments.tiny_pictures import tiny_pictures_config, write_pictures
from tests.experiments.training.test_checkpoints import as_somebody_without_rights

SIZE = 24


def data_config(folder, data_dir, **settings):
    overrides = {f"data__{name}": value for name, value in settings.items()}
    return tiny_pictures_config(folder, data_dir, **{"data__size": SIZE} | overrides).data


@pytest.fixture
def folder(tmp_path):
    counts = {"train/cat": 8, "train/dog": 6, "test/cat": 3, "test/dog": 3}
    return write_pictures(tmp_path / "pets", counts)


def scene(height=60, width=90):
    """Returns a picture without symmetry, [H, W, 3] uint8."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([60 + 120 * x / width, 200 - 90 * y / height, 90 + x * y % 60], axis=-1)
    colours[height // 6 : height // 2, width // 2 :] = (230, 220, 40)
    return colours.astype(np.uint8)


def _rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene()).save(path, exif=exif, quality=95)


def _animated(path):
    frames = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _transparent(path):
    pixels = np.dstack([scene(), np.full((60, 90), 255, np.uint8)])
    pixels[:, :30, 3] = 0
    Image.fromarray(pixels).save(path)


USABLE = {
    "cmyk.jpg": lambda path: Image.fromarray(scene()).convert("CMYK").save(path),
    "deep.png": lambda path: path.write_bytes(
        pictures.png(257 * scene()[..., 0].astype(np.uint16), pictures.GREY)
    ),
    "transparent.png": _transparent,
    "palette.png": lambda path: Image.fromarray(scene()).quantize(32).save(path),
    "bit.png": lambda path: Image.fromarray(scene()).convert("1").save(path),
    "turned.jpg": _rotated,
    "animated.gif": _animated,
    "blank.png": lambda path: Image.new("RGB", (50, 40), "white").save(path),
    "large.jpg": lambda path: Image.fromarray(scene(1500, 2250)).save(path),
    "panorama.jpg": lambda path: Image.fromarray(scene(20, 4000)).save(path),
    "dot.png": lambda path: Image.new("RGB", (1, 1), "red").save(path),
    "wrong_ending.png": lambda path: Image.fromarray(scene()).save(path, "JPEG"),
}


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    folder = write_pictures(tmp_path_factory.mktemp("odd"), {"train/cat": 3, "test/cat": 1})
    (folder / "train" / "odd").mkdir()
    for name, write in USABLE.items():
        write(folder / "train" / "odd" / name)
    return folder


@pytest.mark.parametrize(("colours", "fit"), [("grey", "stretch"), ("rgb", "pad"), ("rgb", "crop")])
def test_a_picture_is_trained_on_as_it_is_predicted(
    tmp_path, odd_folder, monkeypatch, colours, fit
):
    """`open_image` is what a prediction reads; tests of it say what is seen in each kind."""
    monkeypatch.setattr("stn_jax.experiments.data.picture_files._LOWEST_CONTRAST", 0)
    config = data_config(odd_folder, tmp_path, colours=colours, fit=fit)
    found = load_pictures(config)
    assert found.train.images.shape == (3 + len(USABLE), SIZE, SIZE, CHANNELS[colours])
    of_class = found.train.images[found.train.labels == 1].astype(int)
    for name in USABLE:
        expected = image_of(open_image(odd_folder / "train" / "odd" / name), config)
        assert np.abs(of_class - expected).mean(axis=(1, 2, 3)).min() <= 2, name
    assert not any("left out" in note for note in found.notes)


UNUSABLE = {
    "text.png": (lambda path: path.write_text("no picture"), "use a PNG or JPEG file"),
    "empty.png": (lambda path: path.touch(), "the file is empty"),
    "huge.png": (
        lambda path: path.write_bytes(pictures.blank_png(20_000, 20_000)),
        "more than 30 megapixels",
    ),
    "cut.png": (
        lambda path: path.write_bytes(pictures.striped_png(40, 40)[:60]),
        "it is damaged or cut short",
    ),
    "nowhere.png": (lambda path: path.symlink_to("none"), "it is a link to nowhere"),
    "pipe.png": (os.mkfifo, "it is not a regular file"),
    "iphone.jpg": (
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(200)),
        "it is a HEIC file, save the picture as PNG or JPEG",
    ),
}


def test_a_picture_that_cannot_be_used_is_named_and_counted_each_time(tmp_path, folder):
    for name, (write, _) in UNUSABLE.items():
        write(folder / "train" / "cat" / name)
    config = data_config(folder, tmp_path)
    first, again = load_pictures(config), load_pictures(config)
    assert first.notes == again.notes
    assert np.bincount(first.train.labels).tolist() == [8, 6]
    assert first.train.images.shape == (14, SIZE, SIZE, 3)
    for name, (_, reason) in UNUSABLE.items():
        line = f"train: 1 of 21 pictures left out, {reason}: cat/{name}"
        assert line in first.notes
    (folder / "train" / "cat" / "empty.png").unlink()
    assert "empty" not in "".join(load_pictures(config).notes)
    clean = write_pictures(tmp_path / "clean", {"train/cat": 8, "train/dog": 6, "test/cat": 3})
    expected = load_pictures(data_config(clean, tmp_path)).train
    assert {image.tobytes() for image in first.train.images} == {
        image.tobytes() for image in expected.images
    }


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"a": {"count": 1, "names": 2}}', "{"])
def test_a_damaged_list_of_what_was_left_out_is_told(tmp_path, folder, content):
    (folder / "train" / "cat" / "empty.png").touch()
    config = data_config(folder, tmp_path)
    load_pictures(config)
    (path,) = tmp_path.glob("own_pictures/*/left_out.json")
    path.write_text(content)
    with pytest.raises(UserError, match=r"cannot read the pictures in .*: delete that folder"):
        load_pictures(config)


def test_a_picture_that_may_not_be_read_is_left_out_until_it_may(public_folder):
    folder = write_pictures(public_folder / "pets", {"a": 5, "b": 5})
    data_dir = public_folder / "data"
    data_dir.mkdir()
    data_dir.chmod(0o777)
    config = data_config(folder, data_dir, split="random")
    with as_somebody_without_rights(public_folder) as drop:
        (folder / "a" / "000.png").chmod(0)
        drop()
        notes = "\n".join(load_pictures(config).notes)
    assert "pictures left out, you have no permission to read it: a/000.png" in notes
    (folder / "a" / "000.png").chmod(0o644)
    assert "left out" not in "\n".join(load_pictures(config).notes)


def test_a_folder_of_mostly_unusable_pictures_is_refused_and_leaves_nothing(tmp_path, folder):
    for number in range(15):
        (folder / "train" / "cat" / f"x{number}.png").write_text("no picture")
    with pytest.raises(UserError, match=r"pets: more than 50% of its 29 pictures cannot be used"):
        load_pictures(data_config(folder, tmp_path))
    assert not list((tmp_path / "own_pictures").iterdir())


def test_a_picture_that_vanishes_while_it_is_read_is_no_damage(tmp_path, folder, monkeypatch):
    lists = sources.list_folders

    def list_and_remove(config):
        found = lists(config)
        (folder / "train" / "cat" / "003.png").unlink()
        return found

    monkeypatch.setattr(sources, "list_folders", list_and_remove)
    with pytest.raises(UserError, match=r"cat/003.png could be listed but not read \(No such"):
        load_pictures(data_config(folder, tmp_path))
    assert not list((tmp_path / "own_pictures").iterdir())


def test_pictures_are_decoded_once_and_mixed_in_one_way(tmp_path, folder, monkeypatch):
    config = data_config(folder, tmp_path)
    first = load_pictures(config)
    assert isinstance(first.train.images, np.memmap)
    assert 0 < first.train.labels[:8].sum() < 6  # mixed
    monkeypatch.setattr(sources, "decode", lambda *_: pytest.fail("it was decoded again"))
    again = load_pictures(config)
    for one, other in zip(first[1:3], again[1:3], strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize("change", ["content", "time", "new", "size", "classes"])
def test_what_may_change_an_image_makes_another_cache(tmp_path, folder, change):
    settings = {}
    load_pictures(data_config(folder, tmp_path))
    path = folder / "train" / "cat" / "000.png"
    if change == "content":
        Image.new("RGB", (20, 20), "red").save(path)
    elif change == "time":
        os.utime(path, (1, 1))
    elif change == "new":
        Image.new("RGB", (20, 20), "red").save(path.with_name("new.png"))
    else:
        settings = {"size": {"size": 16}, "classes": {"classes": ("dog", "cat")}}[change]
    found = load_pictures(data_config(folder, tmp_path, **settings)).train
    assert len(list((tmp_path / "own_pictures").glob("pets-train-*"))) == 2
    is_red = (found.images.reshape(len(found.labels), -1, 3) == (255, 0, 0)).all(axis=(1, 2))
    assert is_red.sum() == (change in ("content", "new"))
    if change == "classes":
        assert np.bincount(found.labels).tolist() == [6, 8]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how a file is mapped")
@pytest.mark.parametrize("memory", [1000, 1e12])
def test_the_system_reads_ahead_only_if_all_pictures_fit_into_memory(
    tmp_path, folder, monkeypatch, memory
):
    monkeypatch.setattr("stn_jax.experiments.data.image_cache.memory_bytes", lambda: memory)
    images = load_pictures(data_config(folder, tmp_path)).train.images
    _, _, rest = Path("/proc/self/smaps").read_text().partition(str(images.filename))
    flags = rest.partition("VmFlags:")[2].splitlines()[0].split()
    assert ("rr" in flags) == (memory == 1000)


def test_a_subset_is_the_first_of_the_mixed_pictures(tmp_path, folder):
    every = load_pictures(data_config(folder, tmp_path)).train
    some = load_pictures(data_config(folder, tmp_path, subset=5)).train
    np.testing.assert_array_equal(some.images, every.images[:5])
    np.testing.assert_array_equal(some.labels, every.labels[:5])


def test_what_spoils_a_result_is_said(tmp_path, folder):
    counts = {"train/cat": 20, "train/dog": 5, "train/newt": 6, "test/cat": 4}
    found = load_pictures(data_config(write_pictures(tmp_path / "odd", counts), tmp_path))
    assert found.notes == [
        "the classes are unbalanced: 20 training pictures of cat, 5 of dog",
        "no test pictures of dog, newt",
    ]
    for number, name in ((0, "copy.png"), (1, "again.png")):
        content = (folder / "train" / "cat" / f"00{number}.png").read_bytes()
        (folder / "test" / "dog" / name).write_bytes(content)
    found = load_pictures(data_config(folder, tmp_path, digest="0" * 16))
    assert found.notes == [
        f"{folder}: other pictures than when the run was started",
        "2 of 8 test pictures are also training pictures, so the test error is too low",
    ]


def test_decoded_pictures_are_used_when_the_folder_is_gone(tmp_path, folder):
    settings = {"digest": sources.list_pictures(data_config(folder, tmp_path)).identity}
    before = load_pictures(data_config(folder, tmp_path, **settings))
    folder.rename(tmp_path / "away")
    after = load_pictures(data_config(folder, tmp_path, **settings))
    np.testing.assert_array_equal(after.test.images, before.test.images)
    assert after.title == before.title
    assert after.notes[0].endswith("this uses its pictures as they were decoded earlier")
    with pytest.raises(UserError, match="does not exist: name the folder"):
        load_pictures(data_config(folder, tmp_path, **settings, fit="crop"))
    for path in (tmp_path / "own_pictures").glob("pets-test-*"):
        path.rename(tmp_path / "gone")
    with pytest.raises(UserError, match="does not exist, and its pictures are not among"):
        load_pictures(data_config(folder, tmp_path, **settings))


def test_large_pictures_are_decoded_one_after_another(tmp_path, monkeypatch):
    folder = write_pictures(tmp_path / "large", {"train/a": 2, "train/b": 2, "test/a": 1})
    for number in range(4):
        path = folder / "train" / "a" / f"large{number}.png"
        path.write_bytes(pictures.striped_png(2200, 2200))
    at_once, most, lock = 0, 0, threading.Lock()
    load = ImageFile.ImageFile.load

    def counted(image):
        nonlocal at_once, most
        is_large = image.width > 2000 and image.format == "PNG"
        with lock:
            at_once += is_large
            most = max(most, at_once)
        try:
            return load(image)
        finally:
            with lock:
                at_once -= is_large

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", counted)
    load_pictures(data_config(folder, tmp_path))
    assert most <= 1
