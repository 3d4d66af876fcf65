"""Writing files so that a reader never sees half of one."""

import os
from pathlib import Path


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
