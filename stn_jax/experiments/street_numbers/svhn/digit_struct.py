"""Reads and writes digitStruct.mat, the file that describes the pictures of SVHN's "Format 1".

The file has MATLAB's format 7.3, which is HDF5. `/digitStruct/name` and `/digitStruct/bbox` are
[N, 1] references to names (UTF-16 codes) and to groups of the fields `height, left, top, width,
label`; a field is one number, or [k, 1] references to numbers. The file holds millions of small
objects, which h5py's low-level interface opens ten times faster than its high-level one.
"""

import array
import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5r, h5s, h5t

FIELDS = ("left", "top", "width", "height", "label")
_NO_MATLAB_73 = "is not in MATLAB's format 7.3 (HDF5)"


class DigitStruct(NamedTuple):
    """The content of a digitStruct.mat with N pictures and K boxes in total."""

    names: list[str]  # N file names
    boxes: np.ndarray  # [K, 5] float64, in the order of FIELDS, in pixels; label as stored
    starts: np.ndarray  # [N + 1]; picture i has the boxes starts[i]:starts[i + 1]


def read_digit_struct(path: Path) -> DigitStruct:
    """Reads a whole digitStruct.mat.

    Raises:
        ValueError: the file is not a digitStruct.mat. The message is the end of a sentence that
            starts with "digitStruct.mat".
    """
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            older = file.read(10) == b"MATLAB 5.0"
        raise ValueError(_NO_MATLAB_73 + (" but in an older one" if older else ""))
    try:
        with h5py.File(path, "r") as file:
            _limit_cache(file)
            return _read(file)
    except Exception as error:  # h5py raises anything from KeyError to RuntimeError
        reason = " ".join(str(error).split())
        raise ValueError(f"does not have Format 1's structure ({reason})") from error


def _read(file: h5py.File) -> DigitStruct:
    struct = file["digitStruct"]
    name, bbox = struct["name"], struct["bbox"]
    if isinstance(bbox, h5py.Group):  # MATLAB stores the fields of a 1x1 struct without references
        names, groups = [_text(name.id)], iter([bbox.id])
    else:
        if name.size != bbox.size:
            raise ValueError(f"{name.size} names, {bbox.size} boxes")
        names = [_text(h5r.dereference(ref, file.id)) for ref in name[()].flat]
        groups = (h5r.dereference(ref, file.id) for ref in bbox[()].flat)
    boxes = array.array("d")
    starts = [0]
    for group in groups:
        if isinstance(group, h5g.GroupID):  # otherwise an empty struct: a picture without digits
            columns = [_numbers(group, field.encode(), file) for field in FIELDS]
            for row in zip(*columns, strict=True):
                boxes.extend(row)
        starts.append(len(boxes) // len(FIELDS))
    return DigitStruct(names, np.array(boxes).reshape(-1, len(FIELDS)), np.array(starts))


def _text(dataset: h5d.DatasetID) -> str:
    codes = np.empty(dataset.shape, "<u2")
    dataset.read(h5s.ALL, h5s.ALL, codes, h5t.STD_U16LE)
    return codes.tobytes().decode("utf-16-le")


def _numbers(group: h5g.GroupID, field: bytes, file: h5py.File) -> list[float]:
    dataset = h5d.open(group, field)
    if dataset.get_type().get_class() != h5t.REFERENCE:
        return _floats(dataset)
    refs = np.empty(dataset.shape, h5py.ref_dtype)
    dataset.read(h5s.ALL, h5s.ALL, refs)
    return [number for ref in refs.flat for number in _floats(h5r.dereference(ref, file.id))]


def _floats(dataset: h5d.DatasetID) -> list[float]:
    values = np.empty(dataset.shape)
    dataset.read(h5s.ALL, h5s.ALL, values, h5t.NATIVE_DOUBLE)
    return values.ravel().tolist()


def _limit_cache(file: h5py.File) -> None:
    """Limits HDF5's metadata cache, which is of no use because every object is read only once.

    With HDF5's default limit of 32 MiB, it can take half a gigabyte.
    """
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size, config.min_size, config.max_size = 2 << 20, 1 << 20, 4 << 20
    file.id.set_mdc_config(config)


@contextlib.contextmanager
def digit_struct_writer(
    path: Path,
) -> Iterator[Callable[[str, Sequence[Sequence[float]]], None]]:
    """Yields a function (name, [k, 5] rows in the order of FIELDS) that adds a picture.

    The file is complete when the context exits. The same pictures result in the same bytes.
    """
    with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
        _limit_cache(file)
        matlab = _MatlabWriter(file)
        names: list[h5r.Reference] = []
        bboxes: list[h5r.Reference] = []

        def add(name: str, rows: Sequence[Sequence[float]]) -> None:
            names.append(matlab.add_text(name))
            bboxes.append(matlab.add_struct(FIELDS, rows))

        yield add
        struct = file.create_group("digitStruct")
        _set_class(struct.id, b"struct")
        for field, refs in (("name", names), ("bbox", bboxes)):
            matlab.write_references(struct.id, field.encode(), refs)
    with path.open("r+b") as raw:
        raw.write(_HEADER)


# MATLAB writes the current time here; a constant makes the bytes reproducible.
_HEADER = (
    b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 "
    b"HDF5 schema 1.00 .".ljust(116)
    + bytes(8)
    + b"\x00\x02IM"
)


class _MatlabWriter:
    """Writes the objects that the cells of a MATLAB struct refer to, with names below `/#refs#`."""

    def __init__(self, file: h5py.File):
        self._refs = file.create_group("#refs#").id
        self._count = 0
        self._one = h5s.create_simple((1, 1))
        self._creation = h5p.create(h5p.DATASET_CREATE)
        self._creation.set_obj_track_times(False)

    def add_text(self, text: str) -> h5r.Reference:
        codes = np.frombuffer(text.encode("utf-16-le"), "<u2")[:, None]
        dataset = self._dataset(self._refs, self._next_name(), codes, h5t.STD_U16LE)
        _set_class(dataset, b"char")
        decode = h5a.create(dataset, b"MATLAB_int_decode", h5t.STD_I32LE, _scalar())
        decode.write(np.array(2, np.int32))
        return h5r.create(dataset, b".", h5r.OBJECT)

    def add_struct(self, fields: Sequence[str], rows: Sequence[Sequence[float]]) -> h5r.Reference:
        group = h5g.create(self._refs, self._next_name())
        _set_class(group, b"struct")
        for field, column in zip(fields, zip(*rows, strict=True), strict=True):
            if len(column) == 1:
                self._add_number(group, field.encode(), column[0])
            else:
                refs = [self._add_number(self._refs, self._next_name(), x) for x in column]
                self.write_references(group, field.encode(), refs)
        return h5r.create(group, b".", h5r.OBJECT)

    def write_references(self, group: Any, name: bytes, refs: Sequence[h5r.Reference]) -> None:
        values = np.array(refs, h5py.ref_dtype).reshape(-1, 1)
        self._dataset(group, name, values, h5t.STD_REF_OBJ)

    def _add_number(self, group: Any, name: bytes, number: float) -> h5r.Reference:
        dataset = self._dataset(group, name, np.array([[number]], np.float64), h5t.IEEE_F64LE)
        _set_class(dataset, b"double")
        return h5r.create(dataset, b".", h5r.OBJECT)

    def _dataset(self, group: Any, name: bytes, values: np.ndarray, dtype: Any) -> h5d.DatasetID:
        space = self._one if values.size == 1 else h5s.create_simple(values.shape)
        dataset = h5d.create(group, name, dtype, space, self._creation)
        dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(values))
        return dataset

    def _next_name(self) -> bytes:
        # HDF5 rewrites all names of a group when one is added, so groups must stay small.
        folder, number = divmod(self._count, 4096)
        if number == 0:
            h5g.create(self._refs, str(folder).encode())
        self._count += 1
        return f"{folder}/{number}".encode()


def _set_class(target: Any, name: bytes) -> None:
    dtype = _string_type(len(name))
    attribute = h5a.create(target, b"MATLAB_class", dtype, _scalar())
    attribute.write(np.array(name, f"S{len(name)}"), dtype)


@functools.cache
def _string_type(length: int) -> h5t.TypeID:
    dtype = h5t.C_S1.copy()
    dtype.set_size(length)
    return dtype


@functools.cache
def _scalar() -> h5s.SpaceID:
    return h5s.create(h5s.SCALAR)
