"""Where things that were compiled for this machine are kept for the next process."""

import hashlib
import os
import platform
import sys
from pathlib import Path

import jax


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/stn_jax/MACHINE`, else `~/.cache/stn_jax/MACHINE`; may not exist yet.

    MACHINE is a digest of the processor's features: a home folder may be shared by machines that
    cannot run each other's programs.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "stn_jax" / digest(_machine())


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles in `cache_folder()`: a later run of the same starts sooner.

    Does nothing where the user has chosen a folder, by JAX_COMPILATION_CACHE_DIR.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "programs"))


def digest(content: bytes) -> str:
    """Of any content, short enough for a file's name."""
    return hashlib.sha256(content).hexdigest()[:16]


def _machine() -> bytes:
    features = b""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
        features = next(line for line in lines if line.lower().startswith((b"flags", b"features")))
    return " ".join(platform.uname()[4:]).encode() + features
