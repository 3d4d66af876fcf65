"""Reads MNIST's four files, gzipped or not, under the names that are in use."""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import NamedTuple

from stn_jax.errors import UserError


class _Content(NamedTuple):
    num_bytes: int
    sha256: str


# Of the unpacked content, because archives of the same content differ.
_CONTENTS = {
    "t10k-images-idx3-ubyte": _Content(
        7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": _Content(
        10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
    "train-images-idx3-ubyte": _Content(
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": _Content(
        60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
}
ARCHIVES = tuple(f"{name}.gz" for name in _CONTENTS)
_FOLDERS = (".", "raw", "MNIST/raw")  # torchvision's
_GZIP = b"\x1f\x8b"


def read(folder: Path, url: str) -> dict[str, bytes]:
    """Returns the unpacked content of the four files, by name, such as "t10k-images-idx3-ubyte".

    Each file may be gzipped or not, with the ending `.gz` or not, and be called `.idx` instead of
    `-idx`. It may also lie where torchvision keeps it, in `MNIST/raw` or `raw`.

    Args:
        folder: the folder that holds them.
        url: where they can be fetched, for messages.

    Raises:
        UserError: if a file is missing, cannot be read or is not MNIST's.
    """
    paths = {name: _paths(folder, name) for name in _CONTENTS}
    if missing := [f"{name}.gz" for name in _CONTENTS if not paths[name]]:
        raise UserError(
            f"--config.data.manual_dir={folder} lacks {', '.join(missing)}: fetch what is missing "
            f"from {url}"
        )
    return {name: _read_first_right(paths[name], name, url) for name in _CONTENTS}


def _paths(folder: Path, name: str) -> list[Path]:
    bases = (name, name.replace("-idx", ".idx"))
    names = [base + ending for ending in (".gz", "") for base in bases]
    paths = [folder / place / name for place in _FOLDERS for name in names]
    return [path for path in paths if path.is_file()]


def _read_first_right(paths: list[Path], name: str, url: str) -> bytes:
    problems = []
    for path in paths:
        try:
            content = _unpacked(path, _CONTENTS[name].num_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problems.append(f"{path} is damaged ({error})")
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}): make it readable") from error
        else:
            if (len(content), hashlib.sha256(content).hexdigest()) == _CONTENTS[name]:
                return content
            problems.append(f"{path} is damaged or of another data set")
    raise UserError(f"{problems[0]}: fetch it again from {url}{name}.gz")


def _unpacked(path: Path, num_bytes: int) -> bytes:
    """Returns the content of the file, of which at most one byte is too much."""
    with path.open("rb") as file:
        zipped = file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        return (gzip.GzipFile(fileobj=file) if zipped else file).read(num_bytes + 1)
