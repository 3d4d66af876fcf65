"""Writing files so that a reader never sees half of one, and reading what may be damaged."""

import contextlib
import fcntl
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stn_jax.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes beside `path`, then renames."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    if isinstance(content, str):
        content = content.encode()
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read: remove it to go on without it") from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time in; the system unlocks when a process ends, however it does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that writes to {folder}", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
