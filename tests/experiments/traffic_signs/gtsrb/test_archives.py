"""Archives that are damaged, mixed up or made to harm: one line for each, and nothing half-made."""

import shutil
import struct
import zipfile

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.traffic_signs.gtsrb import archives as gtsrb
from stn_jax.experiments.traffic_signs.gtsrb import zip_members
from stn_jax.experiments.traffic_signs.gtsrb.archives import (
    TEST,
    TEST_CLASSES,
    TRAINING,
    archives_in,
    check_split,
    read_pictures,
)
from tests.experiments.traffic_signs.archives import (
    HEADER,
    TRAINING_FOLDER,
    contents,
    csv,
    halves,
    pictures_to_test,
    prepare_refused,
    training,
    write_zip,
)

PICTURE = f"{TRAINING_FOLDER}00000/00000_00001.ppm"
CSV = f"{TRAINING_FOLDER}00000/GT-00000.csv"
DIRECTORY, FLAGS, METHOD, SIZE = b"PK\1\2", 8, 10, 24


@pytest.fixture
def members():
    return contents(training(), pictures_to_test())


@pytest.fixture
def folder(archives, tmp_path):
    return shutil.copytree(archives, tmp_path / "a")


def rewrite(folder, name, members, **options):
    write_zip(folder / name, members, **options)


def in_directory(folder, offset, layout, value, name=TRAINING):
    """Changes a field of the first entry of an archive's directory."""
    path = folder / name
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, content.index(DIRECTORY) + offset, value)
    path.write_bytes(content)


def check_all(folder):
    for split, paths in archives_in(folder).items():
        check_split(split, paths)


def refused(folder, match):
    with pytest.raises(UserError, match=match) as error:
        check_all(folder)
    assert str(error.value).isprintable() and str(folder) in str(error.value)
    return str(error.value)


def swap(folder, members):
    (folder / TRAINING).rename(folder / "other")
    (folder / TEST).rename(folder / TRAINING)
    (folder / "other").rename(folder / TEST)


def truncate(folder, members):
    content = (folder / TEST).read_bytes()
    (folder / TEST).write_bytes(content[: len(content) // 2])


def without_columns(folder, members):
    header = HEADER.replace(";Roi.X2", "").replace("ClassId", "class")
    rewrite(folder, TEST_CLASSES, {"GT-final_test.csv": csv(pictures_to_test(), header)})


def with_csv(content):
    def change(folder, members):
        rewrite(folder, TRAINING, members[TRAINING] | {CSV: content})

    return change


def with_member(name):
    def change(folder, members):
        rewrite(folder, TRAINING, members[TRAINING] | {name: b""})

    return change


def without_csv(folder, members):
    del members[TRAINING][CSV]
    rewrite(folder, TRAINING, members[TRAINING])


def twice(folder, members):
    with (
        zipfile.ZipFile(folder / TRAINING, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr(PICTURE, b"")


def large(folder, members):
    rewrite(folder, TRAINING, members[TRAINING] | {PICTURE: bytes((1 << 24) + 1)})


def altered_csv(folder, members):
    rewrite(folder, TRAINING, members[TRAINING], compression=zipfile.ZIP_STORED)
    content = (folder / TRAINING).read_bytes()
    (folder / TRAINING).write_bytes(content.replace(HEADER.encode(), HEADER.lower().encode(), 1))


KINDS = {
    "empty file": (lambda folder, _: (folder / TEST).write_bytes(b""), "Test_Images.zip is empty"),
    "not a zip": (
        lambda folder, _: (folder / TEST).write_bytes(b"<html>" * 99),
        "Test_Images.zip is not a zip archive",
    ),
    "truncated": (truncate, "Test_Images.zip is a truncated or damaged zip archive"),
    "empty zip": (
        lambda folder, _: rewrite(folder, TRAINING, {}),
        "Training_Images.zip has no GTSRB/Final_Training/Images/",
    ),
    "swapped": (swap, "Training_Images.zip holds the pictures of the split test instead of train"),
    "wrong list": (
        lambda folder, _: shutil.copy(folder / TEST, folder / TEST_CLASSES),
        "Test_GT.zip has no GT-final_test.csv",
    ),
    "columns missing": (without_columns, r"without the column Roi\.X2, ClassId"),
    "list missing": (without_csv, "has no GTSRB/Final_Training/Images/00000/GT-00000.csv"),
    "list empty": (with_csv(b""), "without the column Filename, Width"),
    "list not a text": (with_csv(b"\xff\xfe\x00"), "GT-00000.csv that is not a text"),
    "list not CSV": (with_csv(HEADER.encode() + b'\n"1.ppm'), "is not in CSV format"),
    "list with a long field": (with_csv(b"a" * 200_000), "is not in CSV format"),
    "list altered": (altered_csv, "has a damaged .*GT-00000.csv .Bad CRC-32"),
    "outside": (with_member("GTSRB/../../x"), r"leads outside of its folder \(GTSRB/../../x\)"),
    "absolute": (with_member("/etc/x"), r"leads outside of its folder \(/etc/x\)"),
    "on a drive": (with_member("C:\\x"), "leads outside of its folder"),
    "upwards on Windows": (with_member("a\\..\\..\\x"), "leads outside of its folder"),
    "control characters": (with_member("../\x1b[31m\n"), r"outside of its folder \(../\\x1b\[31m"),
    "twice": (twice, f"has more than one {PICTURE}"),
    "encrypted": (
        lambda folder, _: in_directory(folder, FLAGS, "<H", 1),
        "Training_Images.zip is encrypted",
    ),
    "unknown compression": (
        lambda folder, _: in_directory(folder, METHOD, "<H", 99),
        "has a member of an unknown compression",
    ),
    "lzma": (
        lambda folder, members: rewrite(
            folder, TRAINING, members[TRAINING], compression=zipfile.ZIP_LZMA
        ),
        "has a member of an unknown compression",
    ),
    "bomb": (large, "has a member of 16777217 bytes .*too large for a picture"),
    "a size that is not true": (
        lambda folder, _: in_directory(folder, SIZE, "<L", 0xFFFFFFF0),
        "has a member of 4294967280 bytes",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_cannot_be_used(folder, members, kind):
    change, message = KINDS[kind]
    change(folder, members)
    refused(folder, message)


@pytest.mark.parametrize("kind", ["truncated", "swapped"])
def test_nothing_half_prepared_is_left(folder, members, tmp_path, kind):
    change, message = KINDS[kind]
    change(folder, members)
    prepare_refused(message, tmp_path / "d", folder)
    assert not halves(tmp_path / "d")


def test_many_members_that_are_large_together(folder, members, monkeypatch):
    rewrite(folder, TRAINING, members[TRAINING] | {"zeros": bytes(1 << 20)})
    check_all(folder)
    monkeypatch.setattr(zip_members, "_MOST_FREE", 1 << 18)
    refused(folder, "unpacks to over [0-9]+ bytes, far more than its size")


def test_a_long_list_or_a_large_directory(folder, members, monkeypatch):
    monkeypatch.setattr(gtsrb, "_MOST_SIGNS", 20)
    refused(folder, "Training_Images.zip lists more than 20 pictures")
    monkeypatch.setattr(gtsrb, "_MOST_SIGNS", 4)
    refused(folder, "lists more than 4 pictures")
    monkeypatch.setattr(zip_members, "_LARGEST_READ", 1000)
    refused(folder, "a directory of [0-9]+ bytes")


def test_columns_may_be_in_any_order_and_more(folder):
    path = folder / TEST_CLASSES
    header = "\ufeffClassId;Sun;Roi.Y2;Roi.X2;Roi.Y1; Roi.X1;Height;Width;Filename"
    content = f"{header}\n7;9;6;5;4;3;2;1;a\n\n".encode()
    write_zip(path, {"GT-final_test.csv": content})
    split = check_split("test", archives_in(folder)["test"])
    assert split.listed == [("a", (1, 2, 3, 4, 5, 6, 7))]


def test_pictures_that_are_not_listed_do_no_harm(folder, members):
    rewrite(folder, TRAINING, members[TRAINING] | {f"{TRAINING_FOLDER}00000/x.ppm": b"x"})
    assert len(check_split("train", archives_in(folder)["train"]).listed) == 24


def alter(offset):
    """Returns what alters a byte of a picture, or of the header before its name."""

    def change(folder, members):
        rewrite(folder, TRAINING, members[TRAINING], compression=zipfile.ZIP_STORED)
        content = bytearray((folder / TRAINING).read_bytes())
        content[content.index(PICTURE.encode()) + offset] ^= 1
        (folder / TRAINING).write_bytes(content)

    return change


def larger_than_listed(folder, members):
    """A bomb: the member unpacks to far more than the directory says."""
    first = {PICTURE: bytes(1 << 22)}
    rewrite(folder, TRAINING, first | members[TRAINING] | first)
    in_directory(folder, SIZE, "<L", 100)


@pytest.mark.parametrize(
    "damage",
    [alter(200), alter(-30), alter(0), larger_than_listed],
    ids=["content", "header", "name", "larger than listed"],
)
def test_a_damaged_picture_is_only_one(folder, members, damage):
    damage(folder, members)
    split = check_split("train", archives_in(folder)["train"])
    damaged = [p.name for p in read_pictures(split, split.listed) if p.ppm is None]
    assert damaged == ["00000/00000_00001.ppm"]
