import os
import unicodedata

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.own_pictures.folders import read_folder
from stn_jax.experiments.own_pictures.sources import list_pictures
from tests.experiments.tiny_pictures import tiny_pictures_config, write_pictures
from tests.experiments.training.test_checkpoints import as_somebody_without_rights


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def listing(folder, data_dir, **settings):
    overrides = {f"data__{name}": value for name, value in settings.items()}
    return list_pictures(tiny_pictures_config(folder, data_dir, **overrides).data)


def names(split):
    return sorted(item.name for item in split.items())


def test_pictures_are_found_in_any_depth_and_what_is_hidden_is_not(tmp_path):
    seen = ["b/1.png", "b/deep/deeper/2.JPG", "b/x.y.WebP", "a b/ü.tif", "c's/#1;&$.bmp"]
    touch(tmp_path, *seen, "a b/.hidden.png", ".git/1.png", "__MACOSX/b/1.png", "b/.x/1.png")
    touch(tmp_path, "b/Thumbs.db", "b/._1.png", "b/notes.txt", "b/photo.HEIC", "b/README")
    found = read_folder(tmp_path)
    assert [file.name for file in found.files] == sorted(seen)
    assert found.class_names == ["a b", "b", "c's"]
    assert found.others == {".txt": 1, ".heic": 1, "no ending": 1}
    assert not found.empty


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "store/1.png", "root/a/2.png")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "store")
    (tmp_path / "root" / "a" / "3.png").symlink_to(tmp_path / "store" / "1.png")
    (tmp_path / "root" / "a" / "again").symlink_to(tmp_path / "root" / "a")
    (tmp_path / "root" / "a" / "itself").symlink_to("itself")
    found = read_folder(tmp_path / "root")
    assert [file.name for file in found.files] == ["a/2.png", "a/3.png", "b/1.png"]


def test_a_class_has_one_name_however_it_is_composed(tmp_path):
    touch(tmp_path, f"train/{unicodedata.normalize('NFD', 'é')}/1.png", "train/漢字 🐈/1.png")
    touch(tmp_path, f"test/{unicodedata.normalize('NFC', 'é')}/2.png")
    assert list(listing(tmp_path, tmp_path).class_names) == ["é", "漢字 🐈"]


REFUSED = [
    (["a/1.png"], {"dir": "nowhere"}, "nowhere does not exist: name the folder"),
    (["file"], {"dir": "file"}, "is not a folder"),
    ([], {}, "has no folder 'train' (it has no folders)"),
    (["a/1.png", "b/1.png"], {}, "no folder 'train' (its folders are a, b): name"),
    (["train/a/1.png", "train/b/1.png"], {}, "has no folder 'test'"),
    (["1.png", "2.png"], {"split": "random"}, "holds pictures, but no folders of pictures"),
    (["a/1.txt", "b/2.heic"], {"split": "random"}, "no pictures in folders of classes, only"),
    (["a/1.txt"], {"split": "random"}, "only files that end with .txt: put PNG or JPEG files"),
    (["a/1.png", "a/2.png"], {"split": "random"}, "pictures of one class, 'a': a network needs"),
    (["a/1.png", "b/1.png"], {"split": "random"}, "no class has pictures of two groups"),
    (["a/1.png", "b\n/1.png"], {"split": "random"}, "'b\\n' in"),
    (["train/a/1.png", "train/b/1.png", "test/c/1.png"], {}, "without training pictures (c)"),
    (["a/1.png", "a/2.png"], {"split": "random", "classes": ("a", "z")}, "training pictures of z:"),
    (["a/1.png", "b/1.png"], {"split": "list"}, "split=list needs --config.data.list=FILE"),
    (["a/1.png", "b/1.png"], {"split": "list", "list": "nowhere"}, "cannot read --config.data.l"),
    (["a/1.png", "b/1.png"], {"dir": ""}, "name your pictures: either --config.data.dir=DIR"),
    (["a/1.png", "b/1.png"], {"tfds": "mnist"}, "name your pictures: either"),
]


@pytest.mark.parametrize(("files", "settings", "message"), REFUSED)
def test_a_folder_that_cannot_be_used_gets_one_clear_line(tmp_path, files, settings, message):
    touch(tmp_path, *files)
    settings = dict(settings)
    folder = str(tmp_path / settings.pop("dir")) if settings.get("dir") else tmp_path
    with pytest.raises(UserError) as error:
        listing(settings.pop("dir", folder), tmp_path, **settings)
    told = str(error.value)
    assert message in told and told.isprintable()


def test_a_folder_that_cannot_be_listed_is_named(public_folder):
    touch(public_folder, "a/1.png", "b/1.png")
    with as_somebody_without_rights(public_folder) as drop:
        (public_folder / "b").chmod(0)
        drop()
        with pytest.raises(UserError, match=r"cannot list the folder .*/b \(Permission denied\)"):
            read_folder(public_folder)
    (public_folder / "b").chmod(0o700)


def test_what_is_passed_over_is_said(tmp_path):
    touch(tmp_path, "a/1.png", "a/2.png", "b/1.png", "c/1.png", "b/x.txt", "loose.png")
    (tmp_path / "d").mkdir()
    found = listing(tmp_path, tmp_path, split="random", classes=("b", "a"))
    assert list(found.class_names) == ["b", "a"]
    assert names(found.train) + names(found.test)
    assert {item.label for item in found.train.items() if item.name.startswith("a")} == {1}
    told = "\n".join(found.notes)
    assert "has folders without pictures: d" in told
    assert "passed over: 1 .txt, 1 pictures without a class" in told
    assert "not in config.data.classes, so left out: c" in told


@pytest.mark.parametrize("with_others", [False, True])
def test_only_the_folder_train_is_split_if_it_holds_classes(tmp_path, with_others):
    touch(tmp_path, *(f"{name}/{number}.png" for name in ("train", "car") for number in range(5)))
    expected = {"train", "car"}
    if with_others:
        touch(tmp_path, *(f"train/{name}/{i}.png" for name in ("x", "y") for i in range(5)))
        touch(tmp_path, "test/x/never.png")
        expected = {"x", "y"}
    found = listing(tmp_path, tmp_path, split="random")
    assert set(found.class_names) == expected
    assert not {"x/never.png", "test/x/never.png"} & {*names(found.test), *names(found.train)}


def test_the_identity_is_that_of_names_and_sizes(tmp_path):
    one = listing(write_pictures(tmp_path / "one", {"a": 4, "b": 4}), tmp_path, split="random")
    other = listing(write_pictures(tmp_path / "two", {"a": 4, "b": 4}), tmp_path, split="random")
    assert one.identity == other.identity  # a copy
    assert one.train.identity != other.train.identity
    path = tmp_path / "two" / "a" / "000.png"
    os.utime(path, (0, 0))
    touched = listing(tmp_path / "two", tmp_path, split="random")
    assert touched.identity == other.identity
    assert (touched.train.identity, touched.test.identity) != (
        other.train.identity,
        other.test.identity,
    )
    path.rename(path.with_name("9.png"))
    assert listing(tmp_path / "two", tmp_path, split="random").identity != other.identity
