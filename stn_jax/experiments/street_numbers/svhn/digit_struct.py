"""Reads and writes digitStruct.mat, the file that describes the pictures of SVHN's "Format 1".

The file has MATLAB's format 7.3, which is HDF5. `/digitStruct/name` and `/digitStruct/bbox` are
[N, 1] references to names (UTF-16 codes) and to groups of the fields `height, left, top, width,
label`; a field is one number, or [k, 1] references to numbers. The file holds millions of small
objects, which h5py's low-level interface opens ten times faster than its high-level one.
"""

import array
import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5r, h5s, h5t

from stn_jax.errors import one_line

FIELDS = ("left", "top", "width", "height", "label")
_LEAST_BYTES, _MOST_BYTES = 64, 1 << 13  # of an element that is read, of a picture that is written
_RESERVE_BYTES = 1 << 18
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
            return _Reader(file.id, path.stat().st_size).read()
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:  # h5py raises these
        raise ValueError(f"does not have Format 1's structure ({one_line(error)})") from error


class _Reader:
    """Reads a file that may be made to harm: only its own content, and not more than its size.

    A file of this structure takes up far more than `_LEAST_BYTES` for each element of a data set.
    Shapes and repeated references could let it claim any number of them.
    """

    def __init__(self, file: h5f.FileID, num_bytes: int):
        self._file = file
        self._elements_left = num_bytes // _LEAST_BYTES

    def read(self) -> DigitStruct:
        struct = _child(h5g.open(self._file, b"/"), b"digitStruct", h5g.open)
        name = _child(struct, b"name", h5d.open)
        bbox = _child(struct, b"bbox", h5o.open)
        texts: Iterator[h5d.DatasetID]
        if isinstance(bbox, h5g.GroupID):  # MATLAB stores a 1x1 struct's fields without references
            texts, groups = iter([name]), iter([bbox])
        else:
            names, bboxes = self._references(name), self._references(bbox)
            if len(names) != len(bboxes):
                raise ValueError(f"{len(names)} names, {len(bboxes)} boxes")
            texts, groups = self._referred(names), self._referred(bboxes)
        boxes = array.array("d")
        starts = [0]
        for group in groups:
            if isinstance(group, h5g.GroupID):  # otherwise an empty struct: no digits
                columns = [self._numbers(group, field.encode()) for field in FIELDS]
                for row in zip(*columns, strict=True):
                    boxes.extend(row)
            starts.append(len(boxes) // len(FIELDS))
        numbers = np.array(boxes).reshape(-1, len(FIELDS))
        return DigitStruct([self._text(text) for text in texts], numbers, np.array(starts))

    def _text(self, dataset: h5d.DatasetID) -> str:
        return self._values(dataset, "<u2", h5t.STD_U16LE).tobytes().decode("utf-16-le")

    def _numbers(self, group: h5g.GroupID, field: bytes) -> list[float]:
        dataset = _child(group, field, h5d.open)
        if dataset.get_type().get_class() == h5t.REFERENCE:
            cells = self._referred(self._references(dataset))
        else:
            cells = iter([dataset])
        return [x for cell in cells for x in self._values(cell, "<f8", h5t.NATIVE_DOUBLE).flat]

    def _references(self, dataset: h5d.DatasetID) -> np.ndarray:
        return self._values(dataset, h5py.ref_dtype, None).ravel()

    def _referred(self, references: np.ndarray) -> Iterator[Any]:
        return (h5r.dereference(reference, self._file) for reference in references)

    def _values(self, dataset: Any, dtype: Any, in_memory: h5t.TypeID | None) -> np.ndarray:
        if not isinstance(dataset, h5d.DatasetID):
            raise ValueError("a group instead of a data set")
        if dataset.get_offset() is None:  # unless it is one piece of this file
            creation = dataset.get_create_plist()
            if creation.get_external_count() or creation.get_layout() == h5d.VIRTUAL:
                raise ValueError("content in other files")
        space = dataset.get_space()
        self._elements_left -= 1 + space.get_simple_extent_npoints()
        if self._elements_left < 0:
            raise ValueError("more content than the file has room for")
        values = np.empty(space.shape, dtype)
        dataset.read(h5s.ALL, h5s.ALL, values, in_memory)
        return values


def _child(group: h5g.GroupID, name: bytes, open_it: Callable[..., Any]) -> Any:
    if group.links.get_info(name).type != h5l.TYPE_HARD:
        raise ValueError(f"a link instead of {name.decode()}")
    return open_it(group, name)


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
            _reserve(path, file.id.get_filesize() + _MOST_BYTES * (1 + len(rows)) + 64 * len(names))
            names.append(matlab.add_text(name))
            bboxes.append(matlab.add_struct(FIELDS, rows))

        yield add
        struct = file.create_group("digitStruct")
        _set_class(struct.id, b"struct")
        for field, refs in (("name", names), ("bbox", bboxes)):
            matlab.write_references(struct.id, field.encode(), refs)
        file.flush()
        size = file.id.get_filesize()
    os.truncate(path, size)
    with path.open("r+b") as raw:
        raw.write(_HEADER)


def _reserve(path: Path, size: int) -> None:
    """Lets a file take up at least `size` bytes of the disk.

    HDF5 crashes the process if there is no room for what it still has to write.

    Raises:
        OSError: the disk is full.
    """
    with path.open("r+b") as raw:
        if hasattr(os, "posix_fallocate") and os.fstat(raw.fileno()).st_size < size:
            os.posix_fallocate(raw.fileno(), 0, size + _RESERVE_BYTES)


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
