"""Reads gzipped tar archives from start to end, without trusting the sizes in its headers.

`tarfile` reads a header of any size into memory, seeks to the end of any member, one buffer after
the other, and expands sparse members. Here a claim costs no more time or memory than the bytes
that are really there, and those are bounded by the size of the file.
"""

import gzip
import tarfile
from collections.abc import Iterator
from typing import Any

_BLOCK = tarfile.BLOCKSIZE
_LARGEST_HEADER = 1 << 20
_CHUNK = 1 << 20
_MOST_FREE, _MOST_GAIN = 1 << 28, 16  # digitStruct.mat shrinks to a 15th, pictures hardly
_NAME_FIELDS = {tarfile.GNUTYPE_LONGNAME: "name", tarfile.GNUTYPE_LONGLINK: "linkname"}
_PAX_NAME_FIELDS = {b"path": "name", b"linkpath": "linkname"}
_SPARSE = "GNU.sparse"


class TarStream:
    """The unzipped bytes of a `.tar.gz`.

    Args:
        raw: a file, of which only `read` is used.
        num_bytes: the size of the file.
    """

    def __init__(self, raw: Any, num_bytes: int):
        self._zipped = gzip.GzipFile(fileobj=raw, mode="rb")
        self._position = 0
        self._longest = _MOST_FREE + _MOST_GAIN * num_bytes

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Yields each member's header, and reads to the end, where gzip verifies its checksum.

        `read` then gives the member's content, from the start and at most to its `size`.

        Raises:
            tarfile.TarError: a header is damaged.
            ValueError: a member is sparse, or the archive unpacks to far more than its size, as no
                archive of pictures does.
            EOFError: the archive ends in a member.
            gzip.BadGzipFile, zlib.error: it is not a gzip file, or a damaged one.
        """
        try:
            yield from self._members()
        except tarfile.TarError:
            self._drain()  # raises gzip's error instead if the bytes are altered
            raise
        self._drain()

    def _members(self) -> Iterator[tarfile.TarInfo]:
        everywhere: dict[str, Any] = {}
        here: dict[str, Any] = {}
        while any(block := self._up_to(_BLOCK)):
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if member.type in _NAME_FIELDS:
                here[_NAME_FIELDS[member.type]] = _text(self._header(member).split(b"\0")[0])
            elif member.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                here |= _pax_fields(self._header(member))
            elif member.type == tarfile.XGLTYPE:
                everywhere |= _pax_fields(self._header(member))
            else:
                end = self._position + self._complete(member, everywhere | here)
                here = {}
                yield member
                self._skip(end - self._position)

    def _complete(self, member: tarfile.TarInfo, fields: dict[str, Any]) -> int:
        """Applies fields from other headers; returns how many bytes of content follow."""
        sparse = fields.pop(_SPARSE, member.type == tarfile.GNUTYPE_SPARSE)
        for field, value in fields.items():
            setattr(member, field, value)
        if sparse:
            raise ValueError(f"has a sparse member ({member.name}): pack it without holes")
        if member.type in tarfile.SUPPORTED_TYPES and not member.isreg():
            member.size = 0
        self._check_length(self._position + member.size)
        return _padded(member.size)

    def read(self, size: int) -> bytes:
        """Returns the next `size` bytes.

        Raises:
            EOFError: there are fewer.
        """
        content = self._up_to(size)
        if len(content) < size:
            raise EOFError
        return content

    def _header(self, member: tarfile.TarInfo) -> bytes:
        if member.size > _LARGEST_HEADER:
            raise tarfile.HeaderError(f"a header of {member.size} bytes")
        return self.read(_padded(member.size))[: member.size]

    def _up_to(self, size: int) -> bytes:
        content = self._zipped.read(size)
        self._position += len(content)
        self._check_length(self._position)
        return content

    def _check_length(self, length: int) -> None:
        if length > self._longest:
            raise ValueError(f"unpacks to over {self._longest} bytes, far more than its size")

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.read(min(size, _CHUNK)))

    def _drain(self) -> None:
        while self._up_to(_CHUNK):
            pass


def _padded(size: int) -> int:
    if size < 0:
        raise tarfile.HeaderError(f"a size of {size} bytes")
    return -(-size // _BLOCK) * _BLOCK


def _pax_fields(records: bytes) -> dict[str, Any]:
    """Returns the attributes of a TarInfo that PAX records, "LENGTH key=value\\n", replace."""
    fields: dict[str, Any] = {}
    start = 0
    while start < len(records) and records[start]:  # it may be padded with zeros
        space = records.find(b" ", start, start + 20)
        length = records[start:space]
        stop = start + int(length) if space > 0 and length.isdigit() else 0
        key, equals, value = records[space + 1 : stop - 1].partition(b"=")
        if not (start < stop <= len(records) and equals):
            raise tarfile.HeaderError("a PAX record without its length")
        if key.startswith(_SPARSE.encode()):
            fields[_SPARSE] = True
        elif key == b"size":
            if not (value.isdigit() and len(value) < 20):
                raise tarfile.HeaderError("a PAX size that is not a number")
            fields["size"] = int(value)
        elif key in _PAX_NAME_FIELDS:
            fields[_PAX_NAME_FIELDS[key]] = _text(value).rstrip("/")
        start = stop
    return fields


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
