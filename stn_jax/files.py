"""Atomic writing of files, and digests of their content."""

import contextlib
import hashlib
import os
import re
import secrets
import time
from pathlib import Path

_LEFTOVER = re.compile(r"\..+\.(\d+)-[0-9a-f]{8}\.tmp")
_LONGEST_WRITE = 3600.0  # seconds


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a temporary file next to `path`, then renames it to `path`.

    Other threads and processes therefore never see a partly written file, and may write the same
    path: the last one wins.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    if isinstance(content, str):
        content = content.encode()
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that killed processes left of `write_atomically` in `folder`.

    Files of a process that runs here are kept for an hour, in case its number was given anew.
    """
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # somebody else removed it, or nobody may
            if (found := _LEFTOVER.fullmatch(path.name)) and (
                not _is_running(int(found[1]))
                or time.time() - path.stat().st_mtime > _LONGEST_WRITE
            ):
                path.unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere `os.kill` ends the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def digest(content: bytes) -> str:
    """Returns 16 hexadecimal digits that identify `content`, short enough for a file name."""
    return hashlib.sha256(content).hexdigest()[:16]
