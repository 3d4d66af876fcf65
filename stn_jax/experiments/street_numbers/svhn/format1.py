"""SVHN's "Format 1": archives of pictures, with the boxes of their digits in a MATLAB file.

An archive `train.tar.gz` holds a folder with `1.png`, `2.png`, ... and `digitStruct.mat`, in any
order. It is read twice as a stream and never unpacked, because the official archives take up
gigabytes.
"""

import contextlib
import gzip
import hashlib
import io
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.svhn.digit_struct import (
    DigitStruct,
    digit_struct_writer,
    read_digit_struct,
)
from stn_jax.experiments.street_numbers.svhn.tar_stream import TarStream

URL = "http://ufldl.stanford.edu/housenumbers/"
SPLITS = ("train", "test", "extra")
DIGIT_STRUCT = "digitStruct.mat"
_LARGEST_PICTURE = 1 << 26  # bytes
_CHUNK = 1 << 20


class Box(NamedTuple):
    """A digit and the box around it, in pixels of the picture; (0, 0) is its upper left corner."""

    left: float
    top: float
    width: float
    height: float
    digit: int  # 0..9; -1 if the label read from a file is not one of 1..10


class ArchivePicture(NamedTuple):
    """A picture in an archive, with its description from digitStruct.mat."""

    name: str
    png: bytes  # the unchanged file from the archive, PNG or not
    boxes: tuple[Box, ...]  # in the order of the file, which is the reading order


class Archive(NamedTuple):
    """An archive that has been read to its end and found valid."""

    path: Path
    num_bytes: int
    sha256: str
    digit_struct: DigitStruct
    rows: dict[str, int]  # file name -> its row in digit_struct, the first one if it is repeated
    members: dict[str, int]  # listed file that exists -> its index among the tar's members


def archives_in(folder: Path | None) -> dict[str, Path]:
    """Returns the archives that exist in a folder, by split, such as `train.tar.gz` for "train"."""
    if folder is None:
        return {}
    paths = {split: folder / f"{split}.tar.gz" for split in SPLITS}
    return {split: path for split, path in paths.items() if path.is_file()}


def archive_url(split: str) -> str:
    """Returns the URL of the official archive of a split."""
    return f"{URL}{split}.tar.gz"


def check_archive(path: Path, split: str, scratch: Path | None = None) -> Archive:
    """Reads an archive to its end, and its digitStruct.mat, but decodes no pictures.

    Args:
        path: the `.tar.gz`.
        split: "train", "test" or "extra"; an archive with the folder of another split is rejected.
        scratch: the folder of a temporary copy of digitStruct.mat. None: the system's folder.

    Raises:
        UserError: the archive is missing, truncated, altered or not in Format 1, or a member leads
            outside of its folder.
    """
    places: dict[str, int] = {}
    with (
        tempfile.TemporaryDirectory(dir=scratch) as beside,
        _archive_errors(path),
        path.open("rb") as raw,
    ):
        copy = Path(beside, DIGIT_STRUCT)
        hashing = _HashingReader(raw)
        stream = TarStream(hashing, path.stat().st_size)
        folders = []
        for place, member in enumerate(stream.members()):
            name = _checked_name(member)
            if not member.isfile():
                continue
            folder, base = posixpath.split(name)
            if base == DIGIT_STRUCT:
                folders.append(folder)
                try:
                    _copy(stream, member.size, copy)
                except gzip.BadGzipFile:
                    raise
                except OSError as error:
                    remedy = "" if scratch else ", or set TMPDIR to another folder"
                    raise UserError(
                        f"cannot copy {DIGIT_STRUCT} to {copy.parent.parent} ({error.strerror}): "
                        f"make room there{remedy}"
                    ) from error
            else:
                places[name] = place
        if not folders:
            raise ValueError(f"has no {DIGIT_STRUCT}")
        if len(folders) > 1:
            raise ValueError(f"has more than one {DIGIT_STRUCT}, in {', '.join(folders)}")
        (folder,) = folders
        if folder in SPLITS and folder != split:
            raise ValueError(f"holds the split {folder} instead of {split}")
        try:
            digit_struct = read_digit_struct(copy)
        except ValueError as error:
            raise ValueError(f"has a {DIGIT_STRUCT} that {error}") from error
        if not digit_struct.names:
            raise ValueError(f"has a {DIGIT_STRUCT} that lists no pictures")
        rows: dict[str, int] = {}
        members = {}
        for row, listed in enumerate(digit_struct.names):
            rows.setdefault(listed, row)
            if (member_name := posixpath.join(folder, listed)) in places:
                members[listed] = places[member_name]
        return Archive(path, raw.tell(), hashing.sha256.hexdigest(), digit_struct, rows, members)


def read_pictures(archive: Archive) -> Iterator[ArchivePicture]:
    """Yields the listed pictures in the order of the archive, which is the same every time.

    Raises:
        UserError: the archive has changed since it was checked.
    """
    names = {place: name for name, place in archive.members.items()}
    with _archive_errors(archive.path), archive.path.open("rb") as raw:
        stream = TarStream(raw, archive.num_bytes)
        for place, member in enumerate(stream.members()):
            if (name := names.pop(place, None)) is None:
                continue
            if posixpath.basename(_checked_name(member)) != posixpath.basename(name):
                raise ValueError("has changed while it was being read")
            png = stream.read(member.size)
            yield ArchivePicture(name, png, _boxes(archive.digit_struct, archive.rows[name]))
        if names:
            raise ValueError("has changed while it was being read")


def _boxes(digit_struct: DigitStruct, row: int) -> tuple[Box, ...]:
    start, stop = digit_struct.starts[row : row + 2]
    return tuple(
        Box(left, top, width, height, int(label) % 10 if label in range(1, 11) else -1)
        for left, top, width, height, label in digit_struct.boxes[start:stop].tolist()
    )


def write_archive(path: Path, split: str, pictures: Iterable[tuple[bytes, Sequence[Box]]]) -> None:
    """Writes an archive as MATLAB and tar would. The same input results in the same bytes.

    Args:
        path: the `.tar.gz`. It appears only once it is complete.
        split: the name of the folder in the archive.
        pictures: PNG files and their boxes, at least one each. They are named 1.png, 2.png, ... in
            this order and consumed one by one.

    Raises:
        ValueError: a picture has no box, or a box's digit is not in 0..9.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        beside, digit_struct = Path(folder, path.name), Path(folder, DIGIT_STRUCT)
        with (
            beside.open("wb") as raw,
            # The fastest level, because PNGs hardly get smaller.
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|", bufsize=_CHUNK) as tar,
        ):
            tar.addfile(_tar_info(split, kind=tarfile.DIRTYPE, mode=0o755))
            with digit_struct_writer(digit_struct) as add:
                for number, (png, boxes) in enumerate(pictures, start=1):
                    add(f"{number}.png", _rows(boxes))
                    tar.addfile(_tar_info(f"{split}/{number}.png", len(png)), io.BytesIO(png))
                    # Otherwise `tar` keeps every member, a kilobyte each.
                    tar.members = []  # type: ignore[attr-defined]
            with digit_struct.open("rb") as content:
                size = digit_struct.stat().st_size
                tar.addfile(_tar_info(f"{split}/{DIGIT_STRUCT}", size), content)
        beside.replace(path)


def _rows(boxes: Sequence[Box]) -> list[list[float]]:
    if not boxes or not all(0 <= box.digit <= 9 for box in boxes):
        raise ValueError(f"a picture needs boxes of digits 0..9, got {boxes}")
    return [[*box[:4], box.digit or 10] for box in boxes]


def _tar_info(
    name: str, size: int = 0, *, kind: bytes = tarfile.REGTYPE, mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode = size, kind, mode
    return info


class _HashingReader:
    """A file that hashes what is read from it."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.sha256.update(content)
        return content


def _copy(stream: TarStream, size: int, path: Path) -> None:
    with path.open("wb") as target:
        while size > 0:
            size -= target.write(stream.read(min(size, _CHUNK)))


def _checked_name(member: tarfile.TarInfo) -> str:
    """Returns the member's name without "./".

    Raises:
        ValueError: the name or the target of a link leads outside of the archive's folder, or the
            member is larger than any that an archive of pictures has.
    """
    target = "."
    if member.issym():
        target = posixpath.join(posixpath.dirname(member.name), member.linkname)
    elif member.islnk():
        target = member.linkname
    outside = posixpath.normpath(target).split("/")[0] in ("", "..")
    if outside or member.name.startswith("/") or ".." in member.name.split("/"):
        link = f" -> {member.linkname}" if member.linkname else ""
        raise ValueError(f"has a member that leads outside of its folder ({member.name}{link})")
    name = posixpath.normpath(member.name)
    if member.size > _LARGEST_PICTURE and posixpath.basename(name) != DIGIT_STRUCT:
        raise ValueError(f"has a member of {member.size} bytes ({name}), too large for a picture")
    return name


@contextlib.contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    """Converts errors that are raised while an archive is read to UserError."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: put the archive there") from error
    except EOFError as error:
        raise UserError(f"{path} is truncated: fetch or make it again") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        if "Not a gzipped file" in str(error):
            raise UserError(
                f"{path} is not a gzipped tar archive: fetch or make it again"
            ) from error
        raise UserError(
            f"{path} is altered and its checksum is wrong ({error}): fetch or make it again"
        ) from error
    except (tarfile.TarError, ValueError) as error:
        problem = "is not a valid tar archive" if isinstance(error, tarfile.TarError) else error
        raise UserError(f"{path} {problem}: fetch or make it again") from error
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): make it readable") from error
