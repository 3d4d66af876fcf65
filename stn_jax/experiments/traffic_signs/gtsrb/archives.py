"""The archives of the German Traffic Sign Recognition Benchmark (GTSRB).

The training archive holds `GTSRB/Final_Training/Images/000CC/TTTTT_NNNNN.ppm` for each picture N of
the track T of class C, and `GT-000CC.csv` in each folder. The test archive holds
`GTSRB/Final_Test/Images/NNNNN.ppm`; another one holds `GT-final_test.csv`. Archives are read member
by member and never unpacked.
"""

import csv
import hashlib
import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from stn_jax.experiments.traffic_signs.gtsrb.zip_members import (
    DamagedMemberError,
    ZipMembers,
    open_zip,
)

URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
TRAINING = "GTSRB_Final_Training_Images.zip"
TEST = "GTSRB_Final_Test_Images.zip"
TEST_CLASSES = "GTSRB_Final_Test_GT.zip"
ARCHIVES = {"train": (TRAINING,), "test": (TEST, TEST_CLASSES)}
"""The archives of each split. The pictures are in the first one."""

COLUMNS = ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId")
_FOLDERS = {"train": "GTSRB/Final_Training/Images/", "test": "GTSRB/Final_Test/Images/"}
_TEST_CSV = "GT-final_test.csv"
_CLASS_FOLDER = re.compile(re.escape(_FOLDERS["train"]) + "[0-9]{5}(?=/.)")
_INTEGER = re.compile(r"\s*[0-9]{1,9}\s*", re.ASCII)
_MOST_SIGNS = 250_000  # GTSRB has 39,209


class ListedSign(NamedTuple):
    """A line of a CSV file."""

    name: str  # of the picture, below the folder of all pictures
    numbers: tuple[int, ...] | None  # in the order of COLUMNS; None if some are missing


class SignPicture(NamedTuple):
    """A picture in an archive, with its description from a CSV file."""

    name: str
    ppm: bytes | None  # the file, PPM or not; None if it is damaged
    numbers: tuple[int, ...] | None  # as listed


class Split(NamedTuple):
    """The archives of a split, which have been checked."""

    name: str
    path: Path  # of the archive of pictures
    num_bytes: int
    digests: tuple[str, ...]  # the SHA-256 of each archive
    listed: list[ListedSign]
    present: frozenset[str]  # the names of the pictures that exist


def archives_in(folder: Path | None) -> dict[str, tuple[Path, ...]]:
    """Returns the archives that exist in a folder, by split."""
    if folder is None:
        return {}
    paths = {
        split: tuple(path for name in names if (path := folder / name).is_file())
        for split, names in ARCHIVES.items()
    }
    return {split: these for split, these in paths.items() if these}


def check_split(split: str, paths: Sequence[Path]) -> Split:
    """Reads the list of a split's pictures, but no pictures.

    Args:
        split: "train" or "test".
        paths: the split's archives, in the order of `ARCHIVES`.

    Raises:
        UserError: an archive is missing, damaged, not GTSRB's or made to harm.
    """
    folder = _FOLDERS[split]
    with open_zip(paths[0]) as members:
        names = [name for name in members.names() if name.startswith(folder)]
        if not names:
            _raise_other_content(members, split)
        if split == "train":
            listed = _training_list(members, names)
    if split == "test":
        with open_zip(paths[1]) as members:
            listed = _listed(members, _TEST_CSV)
    return Split(
        split,
        paths[0],
        sum(path.stat().st_size for path in paths),
        tuple(map(_sha256, paths)),
        listed,
        frozenset(name.removeprefix(folder) for name in names),
    )


def _raise_other_content(members: ZipMembers, split: str) -> None:
    for other, folder in _FOLDERS.items():
        if any(name.startswith(folder) for name in members.names()):
            raise ValueError(f"holds the pictures of the split {other} instead of {split}")
    raise ValueError(f"has no {_FOLDERS[split]}")


def _training_list(members: ZipMembers, names: Sequence[str]) -> list[ListedSign]:
    folders = {match[0] for name in names if (match := _CLASS_FOLDER.match(name))}
    listed = []
    for folder in sorted(folders):
        label = posixpath.basename(folder)
        for sign in _listed(members, f"{folder}/GT-{label}.csv"):
            listed.append(sign._replace(name=f"{label}/{sign.name}"))
        _check_count(listed)
    return listed


def _check_count(listed: Sequence[ListedSign]) -> None:
    if len(listed) > _MOST_SIGNS:
        raise ValueError(f"lists more than {_MOST_SIGNS} pictures")


def _listed(members: ZipMembers, name: str) -> list[ListedSign]:
    """Returns the lines of a CSV file of an archive."""
    if name not in members:
        raise ValueError(f"has no {name}")
    try:
        text = members.read(name).decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text), delimiter=";", strict=True)
        header = [column.strip() for column in next(lines, [])]
        missing = [column for column in ("Filename", *COLUMNS) if column not in header]
        if missing:
            raise ValueError(f"has a {name} without the column {', '.join(missing)}")
        places = [header.index(column) for column in COLUMNS]
        name_place = header.index("Filename")
        listed = [
            ListedSign(line[name_place], _integers(line, places))
            for line in islice(lines, _MOST_SIGNS + 1)
            if len(line) > name_place
        ]
    except DamagedMemberError as error:
        raise ValueError(f"has a damaged {name} ({error})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"has a {name} that is not a text") from error
    except csv.Error as error:
        raise ValueError(f"has a {name} that is not in CSV format ({error})") from error
    _check_count(listed)
    return listed


def _integers(line: Sequence[str], places: Sequence[int]) -> tuple[int, ...] | None:
    texts = [line[place] for place in places if place < len(line)]
    if len(texts) < len(places) or not all(map(_INTEGER.fullmatch, texts)):
        return None
    return tuple(map(int, texts))


def read_pictures(split: Split, signs: Iterable[ListedSign]) -> Iterator[SignPicture]:
    """Yields pictures of a split, each read when it is needed.

    Raises:
        UserError: the archive cannot be read any more.
    """
    with open_zip(split.path) as members:
        for sign in signs:
            try:
                content = members.read(_FOLDERS[split.name] + sign.name)
            except DamagedMemberError:
                content = None
            yield SignPicture(sign.name, content, sign.numbers)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
