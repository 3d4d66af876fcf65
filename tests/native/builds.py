"""Builds of the kernels for tests: each compiler here copies a file, which takes no time."""

import _ctypes
import shutil
from pathlib import Path

import pytest

from stn_jax import cache
from stn_jax.native import library

GARBAGE = {
    "text": "echo garbage > $output",
    "nothing": ": > $output",
    "half of it": "head -c 200000 {kernels} > $output",
    "no file": ":",
    "a folder": "mkdir $output",
    "no kernels": f"cp {_ctypes.__file__} $output",
}
"""What a broken compiler may do and still end with exit code 0."""


class Builds:
    """A cache folder of its own, and compilers that are fast because they copy `kernels`."""

    def __init__(self, folder: Path, kernels: Path) -> None:
        self.folder = folder
        self.kernels = folder / "kernels"
        shutil.copy(kernels, self.kernels)

    def compiler(self, does="cp {kernels} $output", *, version="1.0", name="compiler") -> str:
        """Writes a compiler to `name`; returns its path, for CXX."""
        path = self.folder / name
        path.write_text(
            f"#!/bin/sh\nfor output; do :; done\n"
            f'case " $* " in *" --version "*) echo "compiler {version}"; exit; esac\n'
            f"{does.format(kernels=self.kernels)}\n"
        )
        path.chmod(0o755)
        return str(path)

    @property
    def stored(self) -> list[Path]:
        return [path for path in cache.cache_folder().rglob("*") if path.is_file()]


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """Resets the library to the state of a new process with an empty cache folder."""
    kernels = library.status().library
    if kernels is None:
        pytest.skip(str(library.status()))
    builds = Builds(tmp_path, kernels)
    monkeypatch.setattr(library, "_last", None)
    monkeypatch.setattr(library, "_warned", set())
    monkeypatch.setattr(library, "_register", lambda kernels: None)  # once per process
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", builds.compiler())
    return builds
