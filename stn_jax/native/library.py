"""Loads the C++ kernels when they are first needed, compiling them if necessary.

The compiled library is kept in the folder of `stn_jax.cache`. Its name has digests of the sources,
of the compiler and of its own content, so a damaged library or one of other sources is never used.
One of another compiler is used only if there is no compiler now.

Without a C++ compiler, or with the environment variable STN_JAX_NATIVE=0, plain JAX computes the
same results, up to rounding, more slowly.
"""

import contextlib
import ctypes
import dataclasses
import logging
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import jax

from stn_jax import cache
from stn_jax.errors import one_line
from stn_jax.files import digest
from stn_jax.native import compiler

KERNELS = (
    "sample_read",
    "sample_read_transpose",
    "sample_shift_transpose",
    "convolution",
    "convolution_input_gradient",
    "convolution_kernel_gradient",
)
"""The functions of the library, each of which computes the primitive of the same name."""

_Kernels = dict[str, Any]  # name -> the function, as JAX takes it


@dataclasses.dataclass(frozen=True)
class Status:
    """Whether JAX can use the C++ kernels; see `status`.

    >>> print(Status(False, problem="switched off by STN_JAX_NATIVE=0"))
    C++ kernels: not in use (switched off by STN_JAX_NATIVE=0)
    """

    available: bool
    """Whether programs for the CPU that are compiled from now on use the kernels."""
    library: Path | None = None
    """The file that the kernels were loaded from, or None if it was not kept."""
    compiler: str | None = None
    """The path of the C++ compiler, its options and its version."""
    problem: str | None = None
    """Why the kernels are not in use, or why the library was not kept for other processes."""

    def __str__(self) -> str:
        parts = (self.library, self.compiler, self.problem)
        details = "; ".join(str(part) for part in parts if part)
        return f"C++ kernels: {'in use' if self.available else 'not in use'} ({details})"


_log = logging.getLogger(__name__)
_lock = threading.Lock()
_last: Status | None = None
_last_conditions: tuple[object, ...] = ()
_warned: set[str] = set()


def is_available() -> bool:
    """Returns whether JAX can use the kernels; the first call may compile them, taking seconds.

    If that failed, a warning says why, and a later call tries again once there is another compiler.
    """
    if _excluded():
        return False
    with _lock:
        now = _attempt(again=False)
    if now.problem:
        what = "each process compiles the C++ kernels again" if now.available else "no C++ kernels"
        _warn_once(f"{what}: {now.problem}")
    return now.available


def status() -> Status:
    """Returns whether JAX can use the C++ kernels on the CPU, and if not, why.

    Compiles the kernels if they have not been needed yet, and tries again if that failed before.
    Programs that JAX has compiled in the meantime keep what they use; `jax.clear_caches()` makes
    JAX compile them again. Programs in float64 and exported ones never use the kernels.

    >>> print(stn_jax.native.status())  # doctest: +ELLIPSIS
    C++ kernels: ...
    """
    if reason := _excluded():
        return Status(False, problem=reason)
    with _lock:
        return _attempt(again=True)


def target_name(kernel: str) -> str:
    """Returns the name under which a kernel is registered with JAX."""
    return f"stn_jax_{kernel}"


def _excluded() -> str | None:
    if os.environ.get("STN_JAX_NATIVE") == "0":
        return "switched off by STN_JAX_NATIVE=0"
    if sys.platform not in ("linux", "darwin"):
        return f"not supported on {sys.platform}"
    return None


def _attempt(again: bool) -> Status:
    """Returns the status after trying to load the kernels, unless that cannot change anything."""
    global _last, _last_conditions
    if _last is not None and _last.available:
        return _last
    conditions = _conditions()
    if _last is None or again or conditions != _last_conditions:
        _last_conditions = conditions
        try:
            _last = _load()
        except Exception as error:
            # Plain JAX works without the kernels, whatever is wrong with the compiler.
            _last = Status(False, problem=_one_line(error))
    return _last


def _conditions() -> tuple[object, ...]:
    """Returns what affects whether the kernels can be loaded, as far as it is quick to find out."""
    variables = [os.environ.get(name) for name in ("CXX", "HOME", "XDG_CACHE_HOME", "TMPDIR")]
    try:
        program = compiler.find()[0]
        info = os.stat(program)
    except OSError:
        return tuple(variables)
    return *variables, program, info.st_ino, info.st_mtime_ns


def _load() -> Status:
    """Loads the kernels, compiling them unless they are in the cache, and registers them.

    Raises an exception, most likely `OSError`, if that is impossible.
    """
    no_compiler, folder, problem = None, None, None
    try:
        command = compiler.find()
        description, key = compiler.identify(command)
    except OSError as error:
        # Use a library that this user compiled earlier, maybe on another machine of this kind.
        no_compiler, description, key = error, None, "*"
    try:
        folder = cache.private_folder(cache.cache_folder())
    except OSError as error:
        problem = _one_line(error)

    prefix = f"{compiler.sources_key()}-{key}"
    unusable = {}
    for path in sorted(folder.glob(f"{prefix}-*.so")) if folder else ():
        try:
            kernels = _open_stored(path)
        except OSError as error:
            unusable[path] = _one_line(error)
        else:
            cache.mark_as_used(path)
            _register(kernels)
            return Status(True, path, description)
    if no_compiler:
        raise no_compiler

    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "library.so"
        _log.info("stn_jax: compiling the C++ kernels, once for this machine")
        compiler.compile_library(command, output)
        _try_in_another_process(output)
        kept = None
        if folder:
            try:
                kernels, kept = _store(output.read_bytes(), folder, prefix)
            except OSError as error:
                problem = _one_line(error)
        if not kept:
            kernels = _open(output)
    _register(kernels)
    if kept:
        if unusable:
            _warn_once(f"compiled the C++ kernels again: {'; '.join(unusable.values())}")
        for path in unusable.keys() - {kept}:
            with contextlib.suppress(OSError):
                path.unlink()
        cache.remove_unused()
    return Status(True, kept, description, problem)


def _open(path: Path) -> _Kernels:
    """Returns the kernels of a library; raises `OSError` if it cannot be loaded."""
    try:
        library = ctypes.CDLL(str(path))
        return {name: jax.ffi.pycapsule(getattr(library, name)) for name in KERNELS}
    except (OSError, AttributeError) as error:
        reason = str(error).replace(f"{path}: ", "")  # a temporary path does not help
        raise OSError(f"the compiled library cannot be loaded: {reason}") from error


def _try_in_another_process(path: Path) -> None:
    """Raises `OSError` if loading the library crashes a process, as a truncated file may."""
    if not Path(sys.executable or "").name.startswith("python"):
        return  # another program, in which Python is embedded
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    command = [sys.executable, "-I", "-S", "-c", code, str(path)]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    except OSError:  # this user may not run Python's own file
        return
    if run.returncode < 0:
        raise OSError(f"the compiled library is broken (signal {-run.returncode})")


def _open_stored(path: Path) -> _Kernels:
    cache.check_private(path)
    if not path.stem.endswith(digest(path.read_bytes())):  # loading it could crash
        raise OSError(f"{path} is damaged")
    return _open(path)


def _store(content: bytes, folder: Path, prefix: str) -> tuple[_Kernels, Path]:
    """Loads a library from the cache folder; keeps it there if that works."""
    path = folder / f"{prefix}-{digest(content)}.so"
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".so", dir=folder)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        kernels = _open(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return kernels, path


def _register(kernels: _Kernels) -> None:
    for name, kernel in kernels.items():
        jax.ffi.register_ffi_target(target_name(name), kernel, platform="cpu")


def _one_line(error: Exception) -> str:
    return one_line(error) or type(error).__name__


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        _log.warning("stn_jax: %s", message)
