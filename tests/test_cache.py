"""Tests of where compiled programs are kept."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jax
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


def test_a_processor_may_tell_nothing_about_itself(monkeypatch):
    def machine(read_bytes):
        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        return cache._machine()

    def refuse(path):
        raise PermissionError(path)

    unknown = machine(refuse)
    assert unknown == machine(lambda path: b"processor : 0\n\nno colon\n\xff : \xff\n")
    x86, arm, riscv, power = (
        machine(lambda path, line=line: b"processor\t: 0\n" + line + b"\nbogomips : 1\n")
        for line in (b"flags\t: a", b"Features\t: b", b"isa\t\t: c", b"cpu\t\t: POWER9")
    )
    assert len({unknown, x86, arm, riscv, power}) == 5


def test_a_relative_folder_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".cache" / "stn_jax"
    for relative in ("", "relative", "./here", "~/cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache.cache_folder().parent == expected
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(OSError, match="no home folder: set XDG_CACHE_HOME"):
        cache.cache_folder()


def make(path, *, unused_for, read_before=None):
    """Makes a file that was written, and maybe read, some days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    now = time.time()
    read, written = (now - 86400 * x for x in (read_before or unused_for, unused_for))
    os.utime(path, (read, written))
    return path


def make_folders_old():
    root = cache.cache_folder().parent
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        os.utime(folder, (0, 0))


def test_what_nobody_uses_is_removed(tmp_path):
    here = cache.cache_folder()
    there = here.parent / "another-machine"
    kept = [
        make(here / "a.so", unused_for=80),
        make(here / "programs" / "read", unused_for=300, read_before=20),
        make(there / "programs" / "new", unused_for=1),
        make(here.parents[1] / "another-package" / "old", unused_for=300),
    ]
    removed = [
        make(here / "b.so", unused_for=100),
        make(here / ".temporary.so", unused_for=100),
        make(here / "programs" / "old", unused_for=100),
        make(here.parent / "old-machine" / "programs" / "old", unused_for=100),
        make(there / "empty" / "old", unused_for=100),
    ]
    cache.mark_as_used(make(here / "c.so", unused_for=100))
    kept.append(here / "c.so")
    (there / "link").symlink_to(here.parents[1] / "another-package")
    make_folders_old()

    cache.remove_unused()
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in removed)
    assert not (here.parent / "old-machine").exists()
    assert sorted(there.iterdir()) == [there / "link", there / "programs"]


def test_it_is_looked_for_once_a_day():
    folder = cache.private_folder(cache.cache_folder())
    old = make(folder / "old", unused_for=100)
    cache.remove_unused()
    assert old.exists()
    make_folders_old()
    cache.remove_unused()
    assert not old.exists()
    make(old, unused_for=100)
    cache.remove_unused()
    assert old.exists()


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
    assert chosen or ours.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, None])
def test_no_programs_are_kept_where_others_can_put_some(mode, monkeypatch, caplog):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    home = cache.cache_folder().parents[1]
    if mode:
        cache.private_folder(cache.cache_folder()).chmod(mode)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
        (home / "file").touch()
    cache.keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir == before
    (record,) = caplog.records
    assert "compiled programs are not kept" in record.getMessage()
    assert "\n" not in record.getMessage()
