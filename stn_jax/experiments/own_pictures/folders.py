"""Pictures in folders: which there are, and which classes they belong to."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stn_jax.errors import UserError, printable
from stn_jax.experiments.data.picture_files import PICTURE_SUFFIXES

LINK_TO_NOWHERE = 0, False
"""The stamp of such a file."""

_NOT_THE_USERS = ("__macosx", "thumbs.db", "desktop.ini")  # what systems leave, in lower case


class PictureFile(NamedTuple):
    """A file that is a picture by its name."""

    name: str  # CLASS/..., relative to the folder of all classes, with / on all systems
    path: Path
    size: int  # bytes
    stamp: tuple[int, bool]  # the time of its last change, and whether it may be read

    @property
    def class_name(self) -> str:
        return self.name.partition("/")[0]


class Folder(NamedTuple):
    """A folder with a subfolder for each class."""

    path: Path
    files: list[PictureFile]  # sorted by name
    empty: list[str]  # subfolders without pictures
    others: Counter[str]  # numbers of files that are no pictures, by the end of their names

    @property
    def class_names(self) -> list[str]:
        """Returns the names of the classes that have pictures, sorted."""
        return sorted({file.class_name for file in self.files})


def subfolders(path: Path) -> list[str]:
    """Returns the names of the folders in a folder; raises UserError if it cannot be listed."""
    return [entry.name for entry in _entries(path) if _is_folder(entry)]


def read_folder(path: Path) -> Folder:
    """Lists the pictures of each class, also those in subfolders of the classes.

    Hidden files and links in a circle are passed over. The names of classes are in Unicode's
    composed form (NFC), because macOS stores decomposed ones.

    Raises:
        UserError: a folder cannot be listed, there are pictures without a class or none at all, or
            the name of a class cannot be printed.
    """
    files: list[PictureFile] = []
    empty: list[str] = []
    others: Counter[str] = Counter()
    loose = 0
    for entry in _entries(path):
        if not _is_folder(entry):
            loose += _is_picture(entry.name)
            continue
        name = unicodedata.normalize("NFC", entry.name)
        if not name.isprintable():
            raise UserError(
                f"the folder {entry.name!r} in {path} has characters that cannot be printed: "
                "rename it, because it is the name of a class"
            )
        found = list(_walk(Path(entry.path), name, {_identity(entry)}, others))
        files += found
        if not found:
            empty.append(name)
    if loose and not files:
        raise UserError(
            f"{path} holds pictures, but no folders of pictures: put those of each class into a "
            f"folder of their own, such as {path / 'CLASS' / '1.png'}"
        )
    if not files:
        kinds = f", only files that end with {', '.join(sorted(others))}" if others else ""
        raise UserError(
            f"{path} holds no pictures in folders of classes{kinds}: put PNG or JPEG files there, "
            f"such as {path / 'CLASS' / '1.png'}"
        )
    if loose:
        others["pictures without a class"] += loose
    return Folder(path, sorted(files), sorted(empty), others)


def _walk(
    folder: Path, name: str, above: set[tuple[int, int]], others: Counter[str]
) -> Iterator[PictureFile]:
    for entry in _entries(folder):
        inside = f"{name}/{entry.name}"
        if _is_folder(entry):
            identity = _identity(entry)
            if identity not in above:
                yield from _walk(Path(entry.path), inside, above | {identity}, others)
        elif _is_picture(entry.name):
            yield _picture_file(entry, inside)
        else:
            others[printable(Path(entry.name).suffix.lower()) or "no ending"] += 1


def _picture_file(entry: os.DirEntry, name: str) -> PictureFile:
    try:
        status = entry.stat()
    except OSError:
        return PictureFile(name, Path(entry.path), 0, LINK_TO_NOWHERE)
    as_who = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    stamp = status.st_mtime_ns, os.access(entry.path, os.R_OK, **as_who)
    return PictureFile(name, Path(entry.path), status.st_size, stamp)


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not _is_hidden(entry.name)]
    except OSError as error:
        raise UserError(
            f"cannot list the folder {folder} ({error.strerror}): fix that, or name another one"
        ) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _NOT_THE_USERS


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


def _identity(entry: os.DirEntry) -> tuple[int, int]:
    status = entry.stat()
    return status.st_dev, status.st_ino
