"""Keeps processes that share a folder from writing to it at the same time."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from stn_jax.errors import UserError

LOCK_FILE = ".lock"

_held: set[int] = set()  # descriptors
_POLL_SECONDS = 0.1
_HOLDER_BYTES = 200


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Locks the folder, which must exist, for one process or thread at a time.

    The lock is that of the file `.lock` in the folder, which is there only while the lock is held,
    or after a kill. The operating system releases the lock when the process ends, even if it is
    killed; child processes do not keep it.

    Hosts that share the folder exclude each other if the file system passes on locks of files, as
    NFS does unless it is mounted with `nolock` or `local_lock`. A file system without locks gives a
    warning, and no protection. A folder that this process cannot write to needs no lock.

    Args:
        folder: the folder to lock.
        wait: whether to wait, and to say so in one line, while somebody else holds the lock.

    Raises:
        UserError: if somebody else holds the lock, unless `wait`.
    """
    path = folder / LOCK_FILE
    said = False
    while True:
        try:
            descriptor = _acquired(path)
            break
        except BlockingIOError:
            if not wait:
                raise UserError(f"{folder} is in use by {_holder(path)}") from None
            if not said:
                print(f"waiting for {_holder(path)}, which writes to {folder}", file=sys.stderr)
                said = True
            time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if descriptor is not None:
            _release(path, descriptor)


def _acquired(path: Path) -> int | None:
    """Returns the descriptor of the locked file, or None if a lock is of no use or impossible.

    Raises:
        BlockingIOError: if somebody else holds the lock.
    """
    while True:
        descriptor = _opened(path)
        if descriptor is None:
            return None
        _held.add(descriptor)
        try:
            _lock(descriptor)
            if _is(path, descriptor):
                _write_holder(descriptor)
                return descriptor
        except BlockingIOError:
            _close(descriptor)
            raise
        except OSError as error:
            print(f"{path.parent} cannot be locked ({error.strerror})", file=sys.stderr)
            _close(descriptor)
            return None
        _close(descriptor)  # whoever held the lock before has just removed the file


def _opened(path: Path) -> int | None:
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
        return None
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)  # another user's


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(path: Path, descriptor: int) -> None:
    if descriptor not in _held:  # in a fork
        return
    # Removed before it is unlocked, so that nobody else's file is. Windows keeps open files.
    with contextlib.suppress(OSError):
        path.unlink()
    _close(descriptor)


def _close(descriptor: int) -> None:
    _held.discard(descriptor)
    os.close(descriptor)


def _write_holder(descriptor: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    text = f"process {os.getpid()} on {socket.gethostname()} since {since}\n"
    with contextlib.suppress(OSError):  # it only serves messages
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())


def _holder(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_HOLDER_BYTES).decode(errors="replace")
    except OSError:
        text = ""
    return "".join(filter(str.isprintable, text.strip())) or "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Windows forbids others to read what is locked: lock a byte behind the text.
        os.lseek(descriptor, _HOLDER_BYTES, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _close_held() -> None:
        while _held:
            os.close(_held.pop())

    os.register_at_fork(after_in_child=_close_held)
