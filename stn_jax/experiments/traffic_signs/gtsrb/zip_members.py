"""Reads members of zip archives, without trusting the sizes in their headers."""

import contextlib
import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from stn_jax.errors import UserError, one_line

_LARGEST_MEMBER = 1 << 24  # bytes; a picture of GTSRB has 190 kB, all its CSV files have 2 MB
_LARGEST_READ = 1 << 25  # bytes at once, and so of the archive's directory
_MOST_FREE, _MOST_GAIN = 1 << 28, 16  # pictures hardly shrink
_ENCRYPTED = 0x41  # flags
_PATCHED = 0x20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others do not bound what they give
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OverflowError, ValueError)


class DamagedMemberError(Exception):
    """A member cannot be read. The message is one line that says why."""


class ZipMembers:
    """The files of an open zip archive, of which a few may be damaged.

    Args:
        archive: the archive.
        num_bytes: its size.

    Raises:
        ValueError: the archive is not one of pictures, or made to harm. The message is the end of
            a sentence that starts with the archive.
    """

    def __init__(self, archive: zipfile.ZipFile, num_bytes: int):
        self._archive = archive
        self._members: dict[str, zipfile.ZipInfo] = {}
        unpacked = 0
        for member in archive.infolist():
            name = member.filename
            places = name.replace("\\", "/").split("/")
            if ".." in places or not places[0] or ":" in places[0]:
                raise ValueError(f"has a member that leads outside of its folder ({name})")
            if name in self._members:
                raise ValueError(f"has more than one {name}")
            if member.flag_bits & _ENCRYPTED:
                raise ValueError(f"is encrypted ({name})")
            kind = member.compress_type
            if member.flag_bits & _PATCHED or kind not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                raise ValueError(f"has a member of an unknown compression ({name}): deflate it")
            if member.file_size > _LARGEST_MEMBER:
                raise ValueError(
                    f"has a member of {member.file_size} bytes ({name}), too large for a picture"
                )
            unpacked += member.file_size
            self._members[name] = member
        longest = _MOST_FREE + _MOST_GAIN * num_bytes
        if unpacked > longest:
            raise ValueError(f"unpacks to over {longest} bytes, far more than its size")

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        """Returns the names of all files, in the order of the archive."""
        return [name for name, member in self._members.items() if not member.is_dir()]

    def read(self, name: str) -> bytes:
        """Returns the content of a file.

        Raises:
            DamagedMemberError: it cannot be unpacked, or its checksum is wrong.
        """
        member = self._members[name]
        try:
            with self._archive.open(member) as file:
                return file.read(member.file_size)  # never more than was checked
        except _DAMAGE as error:
            raise DamagedMemberError(one_line(error) or "it ends too early") from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # an impossible place in the archive
                raise
            raise DamagedMemberError("its place is not in the archive") from error


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[ZipMembers]:
    """Opens a zip archive.

    Raises:
        UserError: the archive cannot be used, or the `with` block raises a ValueError, which is the
            end of a sentence that starts with the archive, or a DamagedMemberError.
    """
    try:
        with _SmallReads(io.FileIO(path)) as raw, _opened(raw) as archive:
            yield ZipMembers(archive, path.stat().st_size)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: put the archive there") from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): make it readable") from error
    except (DamagedMemberError, ValueError) as error:
        raise UserError(f"{path} {error}: fetch or make it again") from error


def _opened(raw: io.BufferedReader) -> zipfile.ZipFile:
    start = raw.peek(4)[:4]
    if not start:
        raise ValueError("is empty")
    if not start.startswith(b"PK"):
        raise ValueError("is not a zip archive")
    try:
        return zipfile.ZipFile(raw)
    except (*_DAMAGE, NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(f"is a truncated or damaged zip archive ({one_line(error)})") from error


class _SmallReads(io.BufferedReader):
    """A file that refuses to be read in one piece, as `zipfile` does with a directory of any size.

    It would become a hundred times as large in memory.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LARGEST_READ:
            raise zipfile.BadZipFile(f"a directory of {size} bytes")
        return super().read(size)
