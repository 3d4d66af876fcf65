"""Compiles the C++ kernels when they are first needed, and registers them with JAX.

The compiled library is stored in the folder of `stn_jax.cache`. Without a C++ compiler, or with the
environment variable STN_JAX_NATIVE=0, plain JAX computes the same results, up to rounding, more
slowly.
"""

import ctypes
import functools
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import jax
import jaxlib

from stn_jax.cache import cache_folder
from stn_jax.files import digest, write_atomically

FOLDER = Path(__file__).parent
SOURCES = tuple(sorted(FOLDER.glob("*.cc")))
HEADERS = tuple(sorted(FOLDER.glob("*.h")))
KERNELS = (
    "bilinear_read",
    "bilinear_read_transpose",
    "bilinear_shift_transpose",
    "convolution",
    "convolution_input_gradient",
    "convolution_kernel_gradient",
)
"""The functions of the library, each of which computes the primitive of the same name."""

_log = logging.getLogger(__name__)
_lock = threading.Lock()


def is_available() -> bool:
    """Returns whether JAX can use the kernels; the first call may compile them, taking seconds."""
    with _lock:
        return _register()


def target_name(kernel: str) -> str:
    """Returns the name under which a kernel is registered with JAX."""
    return f"stn_jax_{kernel}"


@functools.cache
def _register() -> bool:
    if os.environ.get("STN_JAX_NATIVE") == "0" or sys.platform not in ("linux", "darwin"):
        return False
    try:
        library = ctypes.CDLL(str(_built()))
        for name in KERNELS:
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(target_name(name), capsule, platform="cpu")
    except Exception as error:
        # Plain JAX works without the kernels, whatever is wrong with the compiler or the folder.
        _log.debug("no native kernels, plain JAX instead: %s", error)
        return False
    return True


def _built() -> Path:
    """Returns the path of the compiled library, after building it if it is not in the cache."""
    is_arm = platform.machine() in ("arm64", "aarch64")
    tune = "-mcpu=native" if is_arm else "-march=native"
    flags = ["-O3", tune, "-fopenmp-simd", "-fno-trapping-math", "-shared", "-fPIC", "-std=c++17"]
    code = [path.read_bytes() for path in (*HEADERS, *SOURCES)]
    key = digest(b"\0".join([*code, repr(flags).encode(), jaxlib.__version__.encode()]))
    folder = cache_folder()
    # The name ends in a digest of the content, so a damaged file is never loaded.
    for path in folder.glob(f"{key}-*.so"):
        if path.stem == f"{key}-{digest(path.read_bytes())}":
            return path
    folder.mkdir(parents=True, exist_ok=True)
    content = _compiled(flags)
    path = folder / f"{key}-{digest(content)}.so"
    write_atomically(path, content)
    return path


def _compiled(flags: list[str]) -> bytes:
    compiler = shlex.split(os.environ.get("CXX", "")) or [
        next(filter(shutil.which, ("c++", "g++", "clang++")), "c++")
    ]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "library.so"
        include = f"-I{jax.ffi.include_dir()}"
        command = [*compiler, *flags, include, *map(str, SOURCES), "-o", str(output)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if run.returncode:
            raise OSError(run.stderr)
        return output.read_bytes()
