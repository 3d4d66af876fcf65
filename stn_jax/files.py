"""Atomic writing of files, and digests of their content."""

import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a temporary file next to `path`, then renames it to `path`.

    Other processes therefore never see a partly written file.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    if isinstance(content, str):
        content = content.encode()
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def digest(content: bytes) -> str:
    """Returns 16 hexadecimal digits that identify `content`, short enough for a file name."""
    return hashlib.sha256(content).hexdigest()[:16]
