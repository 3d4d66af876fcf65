"""Kernels in C++ for the CPU, compiled by the user's compiler when they are first needed.

The library is kept in the folder of `stn_jax.cache`. Without a C++ compiler,
or with the environment variable STN_JAX_NATIVE=0, the same is computed in plain JAX, only slower.
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
from collections.abc import Callable
from pathlib import Path

import jax
import jaxlib
import numpy as np

from stn_jax.cache import cache_folder, digest
from stn_jax.files import write_atomically

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

_log = logging.getLogger(__name__)
_lock = threading.Lock()


def with_kernel(name: str, plain: Callable, unsplit: Callable | None = None) -> Callable:
    """The CPU's lowering rule of the primitive `name`: to its kernel, else by `plain`, also a rule.

    A primitive's parameters are integers. The kernels know float32 only. A program that is exported
    may run where they are missing. `unsplit`, if given, takes the place of `plain` where operands
    are not split over devices.
    """
    if name not in KERNELS:
        return plain
    kernel = jax.ffi.ffi_lowering(_target(name))

    def lowering(ctx, *operands, **params):
        # What is split over devices by its type (explicit sharding) cannot be seen as one batch.
        if any(any(aval.sharding.spec) for aval in ctx.avals_in):
            return plain(ctx, *operands, **params)
        exported = ctx.module_context.lowering_parameters.for_export
        wide = ctx.avals_out[0].dtype != np.float32
        if exported or wide or not is_available():
            return (unsplit or plain)(ctx, *operands, **params)
        return kernel(ctx, *operands, **{key: np.int64(value) for key, value in params.items()})

    return lowering


def is_available() -> bool:
    """Whether JAX has the kernels; the first call compiles them, which takes some seconds."""
    with _lock:
        return _register()


@functools.cache
def _register() -> bool:
    if os.environ.get("STN_JAX_NATIVE") == "0" or sys.platform not in ("linux", "darwin"):
        return False
    try:
        library = ctypes.CDLL(str(_built()))
        for name in KERNELS:
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(_target(name), capsule, platform="cpu")
    except Exception as error:
        # Whatever is wrong with a compiler or a folder, the program can go on without.
        _log.debug("no native kernels, plain JAX instead: %s", error)
        return False
    return True


def _target(name: str) -> str:
    return f"stn_jax_{name}"


def _built() -> Path:
    """The compiled library, built if it is not in the cache."""
    is_arm = platform.machine() in ("arm64", "aarch64")
    tune = "-mcpu=native" if is_arm else "-march=native"
    flags = ["-O3", tune, "-fopenmp-simd", "-fno-trapping-math", "-shared", "-fPIC", "-std=c++17"]
    code = [path.read_bytes() for path in (*HEADERS, *SOURCES)]
    key = digest(b"\0".join([*code, repr(flags).encode(), jaxlib.__version__.encode()]))
    folder = cache_folder()
    # A name ends in the digest of what the file holds: one that is damaged is never loaded.
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
