import io
import tarfile

import h5py
import numpy as np
import pytest

from stn_jax.experiments.street_numbers.svhn import digit_struct
from stn_jax.experiments.street_numbers.svhn.format1 import Box, write_archive
from tests.experiments.street_numbers.archives import check_refused, fields, matlab_file, read, tar


def test_the_written_file_is_matlab_7_3(tmp_path):
    """The file is read as SVHN's users do: reference by reference, with h5py's plain interface."""
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
        path = tmp_path / "digitStruct.mat"
        path.write_bytes(archive.extractfile("train/digitStruct.mat").read())
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


def test_a_single_picture_as_matlab_stores_it(tmp_path):
    matlab_file(tmp_path / "mat", [("1.png", fields((1, 2, 3, 4, 10)))], bare=True)
    tar(
        tmp_path / "x.tar.gz",
        {"train/1.png": b"one", "train/digitStruct.mat": (tmp_path / "mat").read_bytes()},
    )
    assert read(tmp_path / "x.tar.gz") == [("1.png", b"one", (Box(1, 2, 3, 4, 0),))]


@pytest.mark.parametrize("label", [0, 11, -1, 2.5, np.nan, np.inf])
def test_a_label_that_is_no_digit(tmp_path, label):
    matlab_file(tmp_path / "mat", [("1.png", fields((1, 2, 3, 4, label), (1, 2, 3, 4, 10)))])
    tar(
        tmp_path / "x.tar.gz",
        {"train/1.png": b"", "train/digitStruct.mat": (tmp_path / "mat").read_bytes()},
    )
    ((_, _, boxes),) = read(tmp_path / "x.tar.gz")
    assert [box.digit for box in boxes] == [-1, 0]


def hdf5(build):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        build(file)
    return content.getvalue()


def one_picture(file):
    """Writes a valid digitStruct.mat of one picture; returns its name and its box."""
    name = file.create_dataset("n", data=np.array([[ord("a")]], np.uint16))
    bbox = file.create_group("b")
    for field in ("left", "top", "width", "height", "label"):
        bbox[field] = [[1.0]]
    file["digitStruct/name"] = np.array([[name.ref]], h5py.ref_dtype)
    file["digitStruct/bbox"] = np.array([[bbox.ref]], h5py.ref_dtype)
    return name, bbox


def without_label(file):
    one_picture(file)
    del file["b/label"]


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
    check_refused(tmp_path / "x.tar.gz", match)


def test_damaged_digit_struct(tmp_path, mat):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat[: len(mat) // 2]})
    check_refused(tmp_path / "x.tar.gz", "structure")


def replace(file, path, make):
    del file[path]
    return make(path)


def external_storage(file):
    one_picture(file)
    options = {"shape": (9, 1), "dtype": "u2", "external": [("/etc/passwd", 0, 18)]}
    name = file.create_dataset("secret", **options)
    file["digitStruct/name"][0, 0] = name.ref


def external_link(file):
    one_picture(file)
    replace(file, "b/left", lambda path: file.__setitem__(path, h5py.ExternalLink("/tmp/x", "x")))


def soft_link(file):
    one_picture(file)
    replace(file, "b/left", lambda path: file.__setitem__(path, h5py.SoftLink("/b/top")))


def virtual(file):
    one_picture(file)
    layout = h5py.VirtualLayout((9, 1), "u2")
    layout[:] = h5py.VirtualSource("/tmp/x", "x", (9, 1))
    file["digitStruct/name"][0, 0] = file.create_virtual_dataset("secret", layout).ref


def huge_name(file):
    one_picture(file)
    name = file.create_dataset("huge", shape=(1 << 40, 1), dtype="u2", chunks=(1024, 1))
    file["digitStruct/name"][0, 0] = name.ref


def huge_list(file):
    one_picture(file)
    for field in ("name", "bbox"):
        options = {"shape": (1 << 40, 1), "dtype": h5py.ref_dtype, "chunks": (1024, 1)}
        replace(file, f"digitStruct/{field}", lambda p, o=options: file.create_dataset(p, **o))


def many_to_one(file):
    """A hundred thousand boxes of a thousand digits, which are one box of one digit."""
    name, _ = one_picture(file)
    digits = np.full((1000, 1), file["b/left"].ref, h5py.ref_dtype)
    many = file.create_group("many")
    for field in ("left", "top", "width", "height", "label"):
        many[field] = digits
    for field, target in (("name", name.ref), ("bbox", many.ref)):
        refs = np.full((100_000, 1), target, h5py.ref_dtype)
        options = {"data": refs, "chunks": True, "compression": "gzip"}
        replace(file, f"digitStruct/{field}", lambda p, o=options: file.create_dataset(p, **o))


def itself(file):
    one_picture(file)
    file["digitStruct/bbox"][0, 0] = file["digitStruct"].ref
    file["digitStruct/left"] = h5py.SoftLink("/digitStruct/left")


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (external_storage, "content in other files"),
        (virtual, "content in other files"),
        (external_link, "a link instead of left"),
        (soft_link, "a link instead of left"),
        (huge_name, "more content than the file has room for"),
        (huge_list, "more content than the file has room for"),
        (many_to_one, "more content than the file has room for"),
        (itself, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_made_to_harm(tmp_path, build, match):
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": hdf5(build)})
    check_refused(tmp_path / "x.tar.gz", f"structure.*{match}")


def test_a_mistake_of_ours_is_not_blamed_on_the_file(tmp_path, mat, monkeypatch):
    monkeypatch.setattr(digit_struct, "FIELDS", (None,))
    tar(tmp_path / "x.tar.gz", {"train/digitStruct.mat": mat})
    with pytest.raises(AttributeError):
        read(tmp_path / "x.tar.gz")
