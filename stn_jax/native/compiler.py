"""Finds the user's C++ compiler, identifies it, and compiles the kernels with it."""

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import jax
import jaxlib

from stn_jax.files import digest

FOLDER = Path(__file__).parent
SOURCES = tuple(sorted(FOLDER.glob("*.cc")))
HEADERS = tuple(sorted(FOLDER.glob("*.h")))
PROGRAMS = ("c++", "g++", "clang++")
"""The compilers that are looked for if the environment variable CXX is not set."""

_TUNE = {
    **dict.fromkeys(("x86_64", "amd64"), ("-march=native",)),
    **dict.fromkeys(("arm64", "aarch64"), ("-mcpu=native",)),
}
FLAGS = (
    *("-O3", "-fopenmp-simd", "-fno-trapping-math", "-shared", "-fPIC", "-std=c++17"),
    *_TUNE.get(platform.machine().lower(), ()),
)


def find() -> list[str]:
    """Returns the compiler's command: the path of its program, and options if CXX has any.

    Raises:
        OSError: there is no compiler.
    """
    wanted = os.environ.get("CXX", "")
    try:
        program, *options = shlex.split(wanted) or [""]
    except ValueError as error:
        raise OSError(f"CXX={wanted}: {error}") from error
    path = next(filter(None, map(shutil.which, [program] if program else PROGRAMS)), None)
    if path is None:
        missing = f"{program!r} of CXX" if program else f"any of {', '.join(PROGRAMS)}"
        raise OSError(f"no C++ compiler: cannot find {missing}")
    return [path, *options]


def identify(command: Sequence[str]) -> tuple[str, str]:
    """Returns a description of the compiler, and a digest of its command, path and version.

    The compiler takes milliseconds to tell its version.

    Raises:
        OSError: the compiler failed.
    """
    version = _run([*command, "--version"])
    key = digest("\0".join([*command, os.path.realpath(command[0]), version]).encode())
    return f"{shlex.join(command)}: {version.partition(chr(10))[0]}", key


def sources_key() -> str:
    """Returns a digest of all that makes a library, apart from the compiler."""
    code = [path.read_bytes() for path in (*HEADERS, *SOURCES)]
    return digest(b"\0".join([*code, repr(FLAGS).encode(), jaxlib.__version__.encode()]))


def compile_library(command: Sequence[str], output: Path) -> None:
    """Compiles the kernels to the shared library `output`.

    Raises:
        OSError: the compiler failed; the message is its first error.
    """
    include = f"-I{jax.ffi.include_dir()}"
    _run([*command, *FLAGS, include, *map(str, SOURCES), "-o", str(output)])
    if not output.is_file():
        raise OSError(f"{command[0]} wrote no library")


def _run(command: Sequence[str]) -> str:
    """Runs the compiler and returns what it prints."""
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=600,
            env=os.environ | {"LC_ALL": "C"},  # errors in English, which are looked for below
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} took more than {error.timeout} seconds") from error
    if run.returncode:
        lines = [line.strip() for line in run.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if "error:" in line.lower()), "".join(lines[-1:]))
        ended = f"exit code {run.returncode}"
        if run.returncode < 0:
            ended = f"killed by signal {-run.returncode}"
        raise OSError(f"{command[0]} failed ({ended}): {reason or 'no message'}")
    return run.stdout
