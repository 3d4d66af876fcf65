import gzip
import io
import os
import resource
import tarfile
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_jax.data.street_numbers.format1 import (
    Box,
    archives_in,
    check_archive,
    read_pictures,
    write_archive,
)
from stn_jax.errors import UserError

LENGTHS = st.floats(allow_nan=False, width=64)
BOXES = st.lists(
    st.builds(Box, LENGTHS, LENGTHS, LENGTHS, LENGTHS, st.integers(0, 9)), min_size=1, max_size=7
)


def matlab_file(path, entries, *, bare=False):
    """A digitStruct.mat as MATLAB lays it out: (name, {field: values}) for each picture.

    bare: a single entry, stored without references, as MATLAB does with a 1x1 struct.
    """
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        struct = file.create_group("digitStruct")

        def new_name():
            return f"x{len(refs)}"

        def text(group, name, value):
            codes = np.frombuffer(value.encode("utf-16-le"), np.uint16).reshape(-1, 1)
            return group.create_dataset(name, data=codes)

        def bbox(group, name, fields):
            if not fields:
                empty = group.create_dataset(name, data=np.zeros(2, np.uint64))
                empty.attrs["MATLAB_empty"] = np.uint8(1)
                return empty
            made = group.create_group(name)
            for field, values in fields.items():
                if len(values) == 1:
                    made.create_dataset(field, data=np.array([values], np.float64))
                    continue
                numbers = [refs.create_dataset(new_name(), data=[[float(x)]]) for x in values]
                cells = np.array([[number.ref] for number in numbers], h5py.ref_dtype)
                made.create_dataset(field, data=cells)
            return made

        if bare:
            ((name, fields),) = entries
            text(struct, "name", name)
            bbox(struct, "bbox", fields)
        else:
            names = [[text(refs, new_name(), name).ref] for name, _ in entries]
            boxes = [[bbox(refs, new_name(), fields).ref] for _, fields in entries]
            struct.create_dataset("name", data=np.array(names, h5py.ref_dtype))
            struct.create_dataset("bbox", data=np.array(boxes, h5py.ref_dtype))
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def fields(*boxes):
    """(left, top, width, height, label) of each digit -> the fields of a bbox."""
    columns = map(list, zip(*boxes, strict=True))
    return dict(zip(("left", "top", "width", "height", "label"), columns, strict=True))


def tar(path, files):
    """files: name -> bytes, or a TarInfo for anything that is no file."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def read(path, split="train"):
    return list(read_pictures(check_archive(path, split)))


@pytest.fixture
def mat(tmp_path):
    """The bytes of a digitStruct.mat of three pictures."""
    matlab_file(
        tmp_path / "mat",
        [
            ("1.png", fields((1, 2, 3, 4, 10))),
            ("2.png", fields((5.5, 6, 7, 8, 9), (-1, 0, 2, 3, 1))),
            ("3.png", {}),
        ],
    )
    return (tmp_path / "mat").read_bytes()


@pytest.fixture
def archive(tmp_path):
    """A sound archive of 20 pictures, in a folder of its own."""
    (tmp_path / "archives").mkdir()
    path = tmp_path / "archives" / "train.tar.gz"
    write_archive(path, "train", [(os.urandom(1000), [Box(0, 0, 5, 5, i % 10)]) for i in range(20)])
    return path


THREE = [
    ("1.png", b"one", (Box(1, 2, 3, 4, 0),)),
    ("2.png", b"two", (Box(5.5, 6, 7, 8, 9), Box(-1, 0, 2, 3, 1))),
    ("3.png", b"three", ()),
]


@settings(max_examples=25, deadline=None)
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


def test_the_written_file_is_matlab_7_3(tmp_path):
    """Read as SVHN's users read it: one reference after another, with h5py's plain interface."""
    pictures = [
        (b"a", [Box(1, 2, 3, 4, 0)]),
        (b"b", [Box(5, 6, 7, 8, 1), Box(9, 10.5, 11, 12, 9)]),
    ]
    write_archive(tmp_path / "train.tar.gz", "train", pictures)
    with tarfile.open(tmp_path / "train.tar.gz") as archive:
        assert archive.getnames() == [
            "train",
            "train/1.png",
            "train/2.png",
            "train/digitStruct.mat",
        ]
        archive.extract("train/digitStruct.mat", tmp_path, filter="data")
    path = tmp_path / "train" / "digitStruct.mat"
    header = path.read_bytes()[:512]
    assert header.startswith(b"MATLAB 7.3 MAT-file") and header[124:128] == b"\x00\x02IM"
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        name, bbox = file["digitStruct/name"], file["digitStruct/bbox"]
        assert name.shape == bbox.shape == (2, 1)
        seen = []
        for i in range(2):
            text = file[name[i, 0]]
            assert text.dtype == np.uint16 and text.attrs["MATLAB_class"] == b"char"
            group = file[bbox[i, 0]]
            assert set(group) == {"height", "left", "top", "width", "label"}
            columns = {}
            for field, data in group.items():
                if len(data) == 1:
                    columns[field] = [data[0, 0]]
                else:
                    columns[field] = [file[ref][0, 0] for ref in data[:, 0]]
                    assert file[data[0, 0]].attrs["MATLAB_class"] == b"double"
            seen.append(("".join(chr(c) for c in text[:, 0]), columns))
    assert seen == [
        ("1.png", fields((1, 2, 3, 4, 10))),
        ("2.png", fields((5, 6, 7, 8, 1), (9, 10.5, 11, 12, 9))),
    ]


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


def test_a_single_picture_as_matlab_stores_it(tmp_path):
    matlab_file(tmp_path / "mat", [("1.png", fields((1, 2, 3, 4, 10)))], bare=True)
    tar(
        tmp_path / "x.tar.gz",
        {"train/1.png": b"one", "train/digitStruct.mat": (tmp_path / "mat").read_bytes()},
    )
    assert read(tmp_path / "x.tar.gz") == THREE[:1]


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
        new.addfile(info, io.BytesIO(b"one"))  # tar unpacks the last of a name
    assert sorted(read(tmp_path / "y.tar.gz")) == THREE


def test_a_listed_picture_that_is_missing_is_known(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat, "train/2.png": b"two"})
    archive = check_archive(tmp_path / "x.tar.gz", "train")
    assert set(archive.rows) - set(archive.members) == {"1.png", "3.png"}
    assert list(read_pictures(archive)) == THREE[1:2]


@pytest.mark.parametrize("label", [0, 11, -1, 2.5, np.nan, np.inf])
def test_a_label_that_is_no_digit(tmp_path, label):
    matlab_file(tmp_path / "mat", [("1.png", fields((1, 2, 3, 4, label), (1, 2, 3, 4, 10)))])
    tar(
        tmp_path / "x.tar.gz",
        {"train/1.png": b"", "train/digitStruct.mat": (tmp_path / "mat").read_bytes()},
    )
    ((_, _, boxes),) = read(tmp_path / "x.tar.gz")
    assert [box.digit for box in boxes] == [-1, 0]


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


def refused(path, match, split="train"):
    with pytest.raises(UserError, match=match) as error:
        check_archive(path, split)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_archive(tmp_path):
    refused(tmp_path / "train.tar.gz", "is missing: put")
    assert archives_in(tmp_path) == {} and archives_in(None) == {}


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archive(archive, keep):
    os.truncate(archive, int(archive.stat().st_size * keep))
    refused(archive, "is truncated: fetch or make it again")


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_altered_archive(archive, place):
    content = bytearray(archive.read_bytes())
    content[int(len(content) * place)] ^= 1
    archive.write_bytes(content)
    refused(archive, "fetch or make it again")


def test_altered_checksum(archive):
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1  # gzip's CRC itself
    archive.write_bytes(content)
    refused(archive, r"is altered.*CRC")


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG", b"x" * 10_000], ids=["empty", "short", "long"]
)
def test_what_is_no_gzip(tmp_path, content):
    (tmp_path / "train.tar.gz").write_bytes(content)
    refused(tmp_path / "train.tar.gz", "fetch or make it again")


def test_what_is_no_tar(tmp_path):
    (tmp_path / "train.tar.gz").write_bytes(gzip.compress(os.urandom(5000)))
    refused(tmp_path / "train.tar.gz", "not a sound tar archive")


def test_another_splits_archive(archive):
    refused(archive, "holds the split train instead of test", split="test")


def test_no_digit_struct(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/1.png": b"one"})
    refused(tmp_path / "x.tar.gz", r"has no digitStruct\.mat")
    tar(tmp_path / "x.tar.gz", {"a/digitStruct.mat": mat, "b/digitStruct.mat": mat})
    refused(tmp_path / "x.tar.gz", "more than one")


def hdf5(build):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        build(file)
    return content.getvalue()


def without_label(file):
    name = file.create_dataset("n", data=np.array([[ord("a")]], np.uint16))
    bbox = file.create_group("b")
    for field in ("left", "top", "width", "height"):
        bbox[field] = [[1.0]]
    file["digitStruct/name"] = np.array([[name.ref]], h5py.ref_dtype)
    file["digitStruct/bbox"] = np.array([[bbox.ref]], h5py.ref_dtype)


def uneven(file):
    without_label(file)
    file["b/label"] = [[1.0], [2.0]]


def null_references(file):
    file["digitStruct/name"] = np.full((3, 1), h5py.Reference(), h5py.ref_dtype)
    file["digitStruct/bbox"] = np.full((3, 1), h5py.Reference(), h5py.ref_dtype)


def no_pictures(file):
    file["digitStruct/name"] = np.empty((0, 1), h5py.ref_dtype)
    file["digitStruct/bbox"] = np.empty((0, 1), h5py.ref_dtype)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"MATLAB 5.0 MAT-file".ljust(200), r"7\.3 \(HDF5\) but in an older one"),
        (b"", "not in MATLAB's format"),
        (hdf5(lambda file: None), "does not have Format 1's structure"),
        (hdf5(lambda file: file.create_dataset("digitStruct", data=1.0)), "structure"),
        (hdf5(without_label), "structure"),
        (hdf5(uneven), "structure"),
        (hdf5(null_references), "structure"),
        (hdf5(no_pictures), "lists no pictures"),
    ],
)
def test_wrong_digit_struct(tmp_path, content, match):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": content})
    refused(tmp_path / "x.tar.gz", match)


def test_damaged_digit_struct(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat[: len(mat) // 2]})
    refused(tmp_path / "x.tar.gz", "structure")


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
    refused(tmp_path / "x.tar.gz", f"leads outside of its folder .*{name}")


def test_an_archive_that_changes_meanwhile(archive):
    checked = check_archive(archive, "train")
    write_archive(archive, "train", [(b"another", [Box(0, 0, 1, 1, 1)])])
    with pytest.raises(UserError, match="has changed while it was read"):
        list(read_pictures(checked))
