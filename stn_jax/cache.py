"""The cache on disk for compiled programs and kernels, which later processes reuse.

Its files are code that is run, so they must not come from another user.
"""

import contextlib
import logging
import os
import platform
import shutil
import stat
import sys
import time
from pathlib import Path

import jax

from stn_jax.files import digest

_log = logging.getLogger(__name__)

_DAY = 24 * 3600
_KEPT_UNUSED = 90 * _DAY
_LEAST_SPACE = 64 << 20  # bytes
_FEATURES = (b"flags", b"features", b"isa", b"cpu")  # their names on x86, Arm, RISC-V and Power


def cache_folder() -> Path:
    """Returns `$XDG_CACHE_HOME/stn_jax/MACHINE` or `~/.cache/stn_jax/MACHINE`.

    The folder is not created. MACHINE is a digest of the processor's architecture and features,
    because machines that share a home folder may not be able to run each other's programs.

    Raises:
        OSError: the user has no home folder.
    """
    return _root() / digest(_machine())


def private_folder(folder: Path) -> Path:
    """Creates a folder of the cache that only this user can use, and returns it.

    Raises:
        OSError: it cannot be created, or others could have put files into it. The message is a
            single line.
    """
    root = _root()
    for parent in reversed(folder.parents):
        parent.mkdir(0o700, exist_ok=True)
        if parent == root or root in parent.parents:
            check_private(parent)
        elif hasattr(os, "geteuid") and _everyone_can_rename_in(parent):
            raise PermissionError(f"everyone can replace the folders in {parent}")
    folder.mkdir(0o700, exist_ok=True)
    check_private(folder)
    return folder


def check_private(path: Path) -> None:
    """Raises `OSError` if another user, except root, could have written to a file or folder."""
    if not hasattr(os, "geteuid"):  # Windows, where a user's folders are private
        return
    info = path.stat()
    if info.st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{path} belongs to another user")
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"other users can write to {path}: remove it")


def mark_as_used(path: Path) -> None:
    """Notes that a file of the cache has been used, so that `remove_unused` keeps it."""
    with contextlib.suppress(OSError):  # of another owner or on a read-only file system
        os.utime(path)


def remove_unused() -> None:
    """Removes the files of all machines and versions that nobody has used for 90 days.

    Looks for them at most once a day. A process that is about to use such a file compiles it anew.
    """
    root, now = _root(), time.time()
    with contextlib.suppress(OSError):
        if now - root.stat().st_mtime < _DAY:
            return
        os.utime(root)
    last_use = {}
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                info = os.lstat(os.path.join(folder, name))
                # Programs are read by JAX, which does not mark them as used.
                last_use[Path(folder, name)] = max(info.st_atime, info.st_mtime)
        with contextlib.suppress(OSError):
            last_use[Path(folder)] = os.lstat(folder).st_mtime
    for path in sorted(last_use, reverse=True):  # a folder after its files
        if now - last_use[path] > _KEPT_UNUSED:
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()


def keep_compiled_programs() -> None:
    """Makes JAX store compiled programs in `cache_folder()`, so that later runs start faster.

    Does nothing if the user has set the environment variable JAX_COMPILATION_CACHE_DIR. If the
    folder cannot be used, a warning says why.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        folder = private_folder(cache_folder() / "programs")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"cannot write to {folder}")
        if shutil.disk_usage(folder).free < _LEAST_SPACE:  # JAX would warn of each program
            raise OSError(f"no space left on the disk of {folder}")
    except OSError as error:
        _log.warning("stn_jax: compiled programs are not kept for later runs: %s", error)
        return
    remove_unused()
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _root() -> Path:
    """Returns the folder for all machines. The standard says that a relative path is ignored."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not folder.is_absolute():
        with contextlib.suppress(RuntimeError):  # an unknown user
            folder = Path.home() / ".cache"
    if not folder.is_absolute():
        raise FileNotFoundError("no home folder: set XDG_CACHE_HOME to a folder's full path")
    return folder / "stn_jax"


def _everyone_can_rename_in(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH and not mode & stat.S_ISVTX)


def _machine() -> bytes:
    features = b""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            lines = Path("/proc/cpuinfo").read_bytes().splitlines()
            named = (line for line in lines if _name(line) in _FEATURES)
            features = next(named, b"")
    return " ".join(platform.uname()[4:]).encode() + features


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].strip().lower()
