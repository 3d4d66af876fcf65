"""Reads and writes arrays in the safetensors format, of which networks need only a part."""

import json
from collections.abc import Mapping

import numpy as np

_DTYPES: dict[str, np.dtype] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_LENGTH = 8  # bytes that hold the length of the header
_ALIGNMENT = 8


def write_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the content of a file with these arrays of float16, float32 or float64."""
    names = {dtype: name for name, dtype in _DTYPES.items()}
    header: dict[str, object] = {"__metadata__": {"format": "flax"}}
    parts: list[bytes] = []
    end = 0
    # The largest numbers come first, so that all of them are aligned.
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        part = array.astype(array.dtype.newbyteorder("<")).tobytes()
        place = [end, end := end + len(part)]
        dtype = names[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": place}
        parts.append(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // _ALIGNMENT) * _ALIGNMENT)
    return b"".join([len(text).to_bytes(_LENGTH, "little"), text, *parts])


def read_safetensors(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by their names.

    Raises:
        ValueError: the content is damaged, or has arrays of another dtype.
    """
    start = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    if not _LENGTH < start <= len(content):
        raise ValueError("it is damaged or cut short")
    try:
        header = json.loads(content[_LENGTH:start])
        header.pop("__metadata__", None)
        return {name: _array(content[start:], **entry) for name, entry in header.items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError("it is damaged or cut short, or has arrays that are not floats") from error


def _array(data: bytes, *, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    first, end = data_offsets
    if not 0 <= first <= end <= len(data):
        raise ValueError
    return np.frombuffer(data[first:end], _DTYPES[dtype]).reshape(shape)
