"""The cache on disk for compiled programs and kernels, which later processes reuse."""

import os
import platform
import sys
from pathlib import Path

import jax

from stn_jax.files import digest


def cache_folder() -> Path:
    """Returns `$XDG_CACHE_HOME/stn_jax/MACHINE` or `~/.cache/stn_jax/MACHINE`.

    The folder is not created. MACHINE is a digest of the processor's architecture and features,
    because machines that share a home folder may not be able to run each other's programs.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "stn_jax" / digest(_machine())


def keep_compiled_programs() -> None:
    """Makes JAX store compiled programs in `cache_folder()`, so that later runs start faster.

    Does nothing if the user has set the environment variable JAX_COMPILATION_CACHE_DIR.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "programs"))


def _machine() -> bytes:
    features = b""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
        features = next(
            (line for line in lines if line.lower().startswith((b"flags", b"features"))), b""
        )
    return " ".join(platform.uname()[4:]).encode() + features
