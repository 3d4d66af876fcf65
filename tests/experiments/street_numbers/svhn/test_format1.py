import gzip
import io
import os
import resource
import subprocess
import sys
import tarfile
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.svhn.format1 import (
    Box,
    archives_in,
    check_archive,
    read_pictures,
    write_archive,
)
from tests.experiments.street_numbers.archives import check_refused, read, tar

LENGTHS = st.floats(allow_nan=False, width=64)
BOXES = st.lists(
    st.builds(Box, LENGTHS, LENGTHS, LENGTHS, LENGTHS, st.integers(0, 9)), min_size=1, max_size=7
)


@pytest.fixture
def archive(tmp_path):
    """Writes a valid archive of 20 pictures in a separate folder."""
    (tmp_path / "archives").mkdir()
    path = tmp_path / "archives" / "train.tar.gz"
    write_archive(path, "train", [(os.urandom(1000), [Box(0, 0, 5, 5, i % 10)]) for i in range(20)])
    return path


THREE = [
    ("1.png", b"one", (Box(1, 2, 3, 4, 0),)),
    ("2.png", b"two", (Box(5.5, 6, 7, 8, 9), Box(-1, 0, 2, 3, 1))),
    ("3.png", b"three", ()),
]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.binary(max_size=2000), BOXES), min_size=1, max_size=12))
def test_what_is_written_is_read(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("archive") / "test.tar.gz"
    write_archive(path, "test", pictures)
    expected = [(f"{i}.png", png, tuple(boxes)) for i, (png, boxes) in enumerate(pictures, start=1)]
    assert read(path, "test") == expected
    assert os.listdir(path.parent) == ["test.tar.gz"]


def test_writing_twice_gives_the_same_bytes(tmp_path):
    pictures = [(b"png", [Box(i, 1.5, 2, 3, i % 10)] * (1 + i % 3)) for i in range(30)]
    for name in ("a", "b"):
        write_archive(tmp_path / name, "train", iter(pictures))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("prefix", ["train/", "./train/", "numbers/", ""])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_matlabs_own_layout_in_any_order(tmp_path, mat, prefix, place):
    names = ["2.png", "1.png", "3.png"]
    names.insert(place, "digitStruct.mat")
    contents = {"1.png": b"one", "2.png": b"two", "3.png": b"three", "digitStruct.mat": mat}
    tar(tmp_path / "x.tar.gz", {prefix + name: contents[name] for name in names})
    pictures = read(tmp_path / "x.tar.gz")
    assert sorted(pictures) == THREE
    assert [p.name for p in pictures] == ["2.png", "1.png", "3.png"]  # the tar's order
    assert pictures == read(tmp_path / "x.tar.gz")


def test_other_members_are_passed_over(tmp_path, mat):
    link = tarfile.TarInfo("train/link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "1.png"
    files = {
        "._train": b"junk",
        "train/._digitStruct.mat": b"junk",
        "train/.DS_Store": b"junk",
        "train/see_bboxes.m": b"% code",
        "train/4.png": b"not listed",
        "train/1.png": b"replaced below",
        "train/sub/2.png": b"elsewhere",
        "train/link.png": link,
        "train/digitStruct.mat": mat,
        "train/2.png": b"two",
        "train/3.png": b"three",
    }
    tar(tmp_path / "x.tar.gz", files)
    with (
        tarfile.open(tmp_path / "y.tar.gz", "w:gz") as new,
        tarfile.open(tmp_path / "x.tar.gz") as old,
    ):
        for member in old:
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
        info = tarfile.TarInfo("train/1.png")
        info.size = 3
        new.addfile(info, io.BytesIO(b"one"))  # tar unpacks the last member of a name
    assert sorted(read(tmp_path / "y.tar.gz")) == THREE


def test_a_listed_picture_that_is_missing_is_known(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat, "train/2.png": b"two"})
    archive = check_archive(tmp_path / "x.tar.gz", "train")
    assert set(archive.rows) - set(archive.members) == {"1.png", "3.png"}
    assert list(read_pictures(archive)) == THREE[1:2]


def test_memory_does_not_grow_with_the_archive(tmp_path):
    size, count = 1 << 20, 64
    tracemalloc.start()
    try:
        path = tmp_path / "train.tar.gz"
        write_archive(path, "train", ((bytes(size), [Box(0, 0, 1, 1, 1)]) for _ in range(count)))
        assert sum(len(picture.png) for picture in read_pictures(check_archive(path, "train"))) == (
            size * count
        )
        assert tracemalloc.get_traced_memory()[1] < 16 * size
    finally:
        tracemalloc.stop()


def test_writing_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "train.tar.gz"
    path.write_bytes(b"older")

    def pictures():
        yield b"png", [Box(0, 0, 1, 1, 1)]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_archive(path, "train", pictures())
    with pytest.raises(ValueError, match=r"digits 0\.\.9"):
        write_archive(path, "train", [(b"png", [Box(0, 0, 1, 1, 10)])])
    assert os.listdir(tmp_path) == ["train.tar.gz"] and path.read_bytes() == b"older"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be reserved")
def test_a_full_disk_while_hdf5_writes_is_an_ordinary_error(tmp_path):
    """HDF5 prints tracebacks and crashes the process at its end."""
    code = (
        "import resource; from pathlib import Path\n"
        "from stn_jax.experiments.street_numbers.svhn.format1 import Box, write_archive\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "try:\n"
        f"    path = Path({str(tmp_path / 'x.tar.gz')!r})\n"
        "    write_archive(path, 'train', [(b'', [Box(1, 2, 3, 4, 5)])] * 400)\n"
        "except OSError as error:\n"
        "    print(error.strerror)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "File too large\n", "")
    assert not list(tmp_path.iterdir())


def test_missing_archive(tmp_path):
    check_refused(tmp_path / "train.tar.gz", "is missing: put")
    assert archives_in(tmp_path) == {} and archives_in(None) == {}


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archive(archive, keep):
    os.truncate(archive, int(archive.stat().st_size * keep))
    check_refused(archive, "is truncated: fetch or make it again")


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_altered_archive(archive, place):
    content = archive.read_bytes()
    archive.write_bytes(altered(content, int(len(content) * place)))
    check_refused(archive, "fetch or make it again")


def altered(zipped, place):
    """Flips the first bit of a byte that matters.

    Some bits do not: a reference may point to either of two equal runs.
    """
    for bit in range(8):
        content = bytearray(zipped)
        content[place] ^= 1 << bit
        try:
            if gzip.decompress(content) != gzip.decompress(zipped):
                return content
        except (OSError, EOFError, zlib.error):
            return content
    raise AssertionError(f"no bit of byte {place} matters")


def test_altered_checksum(archive):
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1  # the CRC of gzip itself
    archive.write_bytes(content)
    check_refused(archive, r"is altered.*CRC")


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG", b"x" * 10_000], ids=["empty", "short", "long"]
)
def test_what_is_no_gzip(tmp_path, content):
    (tmp_path / "train.tar.gz").write_bytes(content)
    check_refused(tmp_path / "train.tar.gz", "fetch or make it again")


def test_what_is_no_tar(tmp_path):
    (tmp_path / "train.tar.gz").write_bytes(gzip.compress(os.urandom(5000)))
    check_refused(tmp_path / "train.tar.gz", "not a valid tar archive")


def test_another_splits_archive(archive):
    check_refused(archive, "holds the split train instead of test", split="test")


def test_no_digit_struct(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/1.png": b"one"})
    check_refused(tmp_path / "x.tar.gz", r"has no digitStruct\.mat")
    tar(tmp_path / "x.tar.gz", {"a/digitStruct.mat": mat, "b/digitStruct.mat": mat})
    check_refused(tmp_path / "x.tar.gz", "more than one")


def test_no_room_for_the_copy_of_digit_struct(archive):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, hard))  # as if the disk were full
    try:
        with pytest.raises(UserError, match=r"cannot copy digitStruct\.mat .*TMPDIR"):
            check_archive(archive, "train")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("/etc/passwd", tarfile.REGTYPE, ""),
        ("../1.png", tarfile.REGTYPE, ""),
        ("train/../../1.png", tarfile.REGTYPE, ""),
        ("train/a", tarfile.SYMTYPE, "/etc/passwd"),
        ("train/a", tarfile.SYMTYPE, "../../a"),
        ("train/a", tarfile.LNKTYPE, "../a"),
        ("train/a", tarfile.LNKTYPE, "/etc/passwd"),
    ],
)
def test_members_that_lead_outside(tmp_path, mat, name, kind, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat, name: member})
    check_refused(tmp_path / "x.tar.gz", f"leads outside of its folder .*{name}")


def test_an_archive_that_changes_meanwhile(archive):
    checked = check_archive(archive, "train")
    write_archive(archive, "train", [(b"another", [Box(0, 0, 1, 1, 1)])])
    with pytest.raises(UserError, match="has changed while it was being read"):
        list(read_pictures(checked))
