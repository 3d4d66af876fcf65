"""Tests of where compiled programs are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stn_jax import cache


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_machines_that_share_a_home_share_no_folder(monkeypatch):
    here = cache.cache_folder()
    assert here == cache.cache_folder()
    monkeypatch.setattr(cache, "_machine", lambda: b"another processor")
    assert cache.cache_folder() != here
    assert cache.cache_folder().parent == here.parent


PROGRAM = """
import jax
from stn_jax.cache import keep_compiled_programs
keep_compiled_programs()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: x @ x)(jax.numpy.ones((3, 3)))
"""


@pytest.mark.parametrize("chosen", ["", "a folder"])
def test_programs_are_kept(tmp_path, chosen):
    """They are kept in the folder that the user chose, if any."""
    chosen = chosen and str(tmp_path / chosen)
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": chosen}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)
    ours = cache.cache_folder() / "programs"
    assert list((Path(chosen) if chosen else ours).iterdir())
    assert ours.exists() == (not chosen)
