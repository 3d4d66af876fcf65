"""Test archives in SVHN's Format 1, their expected content, and checks of their rejection."""

import io
import tarfile

import h5py
import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.svhn.format1 import (
    Box,
    check_archive,
    read_pictures,
    write_archive,
)
from stn_jax.experiments.street_numbers.svhn.prepared import prepare

WIDTH, HEIGHT = 20, 16


def pixels(i):
    return np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def decode(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def encode(image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    content = io.BytesIO()
    image.save(content, **{"format": "png"} | options)
    return content.getvalue()


def boxes(i, length):
    return [Box(2.0 + 3 * j, 3.0, 3.0, 9.0, (i + j) % 10) for j in range(length)]


def plain(count, seed=0):
    return [(encode(pixels(seed + i)), boxes(i, 1 + i % 5)) for i in range(count)]


def write_archives(folder, **pictures):
    folder.mkdir(exist_ok=True)
    for split, these in pictures.items():
        write_archive(folder / f"{split}.tar.gz", split, these)
    return folder


def number(png, these):
    """Returns what must be read back for a picture whose boxes lie inside it."""
    digits = [box.digit for box in these] + [10] * (5 - len(these))
    edges = [[b.left, b.top, b.left + b.width, b.top + b.height] for b in these]
    return decode(png), digits, len(these), edges


def assert_numbers_equal(found, expected):
    assert len(found) == len(expected)
    for one, (image, digits, length, edges) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(decode(one.png), image)
        np.testing.assert_array_equal(one.digits, digits)
        assert one.digits.dtype == np.int32 and one.length == length
        assert one.boxes.dtype == np.float32
        np.testing.assert_allclose(one.boxes, edges, atol=1e-4)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.png == other.png and one.length == other.length
        np.testing.assert_array_equal(one.digits, other.digits)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def prepare_refused(match, *args, **kwargs):
    with pytest.raises(UserError, match=match) as error:
        prepare(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def halves(folder):
    return [
        path for path in folder.rglob("*") if "incomplete" in path.name or "array_r" in path.name
    ]


def fields(*boxes):
    """Converts (left, top, width, height, label) of each digit to the fields of a bbox."""
    columns = map(list, zip(*boxes, strict=True))
    return dict(zip(("left", "top", "width", "height", "label"), columns, strict=True))


def matlab_file(path, entries, *, bare=False):
    """Writes a digitStruct.mat in MATLAB's layout.

    Args:
        path: the file.
        entries: (name, {field: values}) for each picture.
        bare: whether to store a single entry without references, as MATLAB does with a 1x1 struct.
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


def tar(path, files):
    """Writes a tar.gz of `files`: name -> bytes, or a TarInfo for anything that is not a file."""
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


def check_refused(path, match, split="train"):
    with pytest.raises(UserError, match=match) as error:
        check_archive(path, split)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
