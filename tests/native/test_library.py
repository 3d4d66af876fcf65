"""Tests where the kernels come from: the compiler, the cache, and what may be wrong with them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import stn_jax
from stn_jax import cache
from stn_jax.native import compiler, library, status
from tests.native.builds import GARBAGE, Builds, builds, replace_library

__all__ = ["builds"]

ROOT = os.name == "posix" and os.geteuid() == 0
OTHER_USER = 12345


def restarted(monkeypatch):
    """Returns the status after forgetting what this process knows, as a new process would."""
    monkeypatch.setattr(library, "_last", None)
    monkeypatch.setattr(library, "_warned", set())
    library.is_available()
    return status()


def give_away(path, monkeypatch):
    """Makes another user the owner of a file or folder."""
    if ROOT:
        os.chown(path, OTHER_USER, OTHER_USER)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("stn_jax")]


def test_a_failure_is_reported_once_and_its_repair_is_noticed(builds, caplog):
    builds.compiler("echo 'In file a.h:' >&2; echo 'a.h:1: error: too old' >&2; exit 7")
    assert [library.is_available() for _ in range(3)] == [False] * 3
    (line,) = lines(caplog)
    assert "failed (exit code 7): a.h:1: error: too old" in line and "\n" not in line
    assert status().problem in line and not status().available

    builds.compiler()
    assert library.is_available()
    assert status().available and status().problem is None
    assert len(lines(caplog)) == 1


def test_another_compiler_is_tried(builds, caplog, monkeypatch):
    for wanted, problem in [
        ("no-such-compiler", "no C++ compiler: cannot find 'no-such-compiler' of CXX"),
        ("'c++", "CXX='c++: No closing quotation"),
        (builds.compiler("exit 3", name="broken"), "broken failed (exit code 3): no message"),
        (builds.compiler("kill -9 $$", name="killed"), "killed failed (killed by signal 9)"),
    ]:
        monkeypatch.setenv("CXX", wanted)
        assert not library.is_available()
        assert problem in lines(caplog)[-1]
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", str(builds.folder))
    assert not library.is_available()
    assert "cannot find any of c++, g++, clang++" in lines(caplog)[-1]
    assert len(lines(caplog)) == 5
    shutil.copy(builds.compiler("/bin/cp {kernels} $output"), builds.folder / "g++")
    assert library.is_available()
    assert status().compiler == f"{builds.folder / 'g++'}: compiler 1.0"


def test_status_tries_again(builds):
    headers = builds.folder / "headers"  # no change of the compiler or the environment
    builds.compiler(f"test -e {headers} && cp {{kernels}} $output")
    assert not library.is_available()
    headers.touch()
    assert not library.is_available()
    assert status().available and library.is_available()


def test_the_kernels_can_be_switched_off(builds, monkeypatch, caplog):
    monkeypatch.setenv("STN_JAX_NATIVE", "0")
    assert not library.is_available()
    assert str(status()) == "C++ kernels: not in use (switched off by STN_JAX_NATIVE=0)"
    monkeypatch.delenv("STN_JAX_NATIVE")
    assert library.is_available()
    monkeypatch.setenv("STN_JAX_NATIVE", "0")
    assert not library.is_available()
    assert not lines(caplog)


def test_other_systems_are_not_warned(builds, monkeypatch, caplog):
    monkeypatch.setattr(sys, "platform", "win32")
    assert not library.is_available()
    assert status().problem == "not supported on win32"
    assert not lines(caplog)


def test_a_library_is_kept_for_one_compiler_and_one_machine(builds, monkeypatch):
    paths = [status().library]

    def check(is_new):
        path = restarted(monkeypatch).library
        assert path in builds.stored
        assert (path not in paths) == is_new
        paths.append(path)

    check(False)
    builds.compiler(version="1.1")
    check(True)
    monkeypatch.setenv("CXX", builds.compiler(name="elsewhere"))
    check(True)
    monkeypatch.setenv("CXX", os.environ["CXX"] + " -stdlib=libc++")
    check(True)
    monkeypatch.setattr(cache, "_machine", lambda: b"another processor")
    check(True)
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-g"))
    check(True)
    check(False)


def test_without_a_compiler_what_the_user_compiled_before_is_used(builds, monkeypatch, caplog):
    path = status().library
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert restarted(monkeypatch) == library.Status(True, path)
    assert not lines(caplog)


@pytest.mark.parametrize("does", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_does_not_load_is_not_kept(does, builds, monkeypatch, caplog):
    good = builds.compiler()
    monkeypatch.setenv("CXX", builds.compiler(does, name="broken"))
    assert not library.is_available() and status().problem
    assert len(lines(caplog)) == 1 and "\n" not in lines(caplog)[0]
    assert not builds.stored
    monkeypatch.setenv("CXX", good)
    assert library.is_available() and len(builds.stored) == 1


def damage(path):
    path.write_bytes(path.read_bytes()[:1000])


def unreadable(path):
    path.unlink()
    path.symlink_to("nowhere")


def replace_by_garbage(path):
    replace_library(path, b"garbage")


def open_to_others(path):
    path.chmod(0o666)


@pytest.mark.parametrize("change", [damage, unreadable, replace_by_garbage, open_to_others])
def test_a_stored_library_that_cannot_be_trusted_is_built_again(
    change, builds, monkeypatch, caplog
):
    path = status().library
    change(path)
    assert restarted(monkeypatch).library == path
    assert builds.stored == [path] and path.read_bytes() == builds.kernels.read_bytes()
    assert len(lines(caplog)) == 1 and "compiled the C++ kernels again" in lines(caplog)[0]
    caplog.clear()
    assert restarted(monkeypatch).library == path and not lines(caplog)

    change(path)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not restarted(monkeypatch).available
    assert len(lines(caplog)) == 1


def test_a_library_of_another_user_is_not_loaded(builds, monkeypatch):
    path = status().library
    opened = []
    monkeypatch.setattr(library, "_open", lambda path: opened.append(path) or {})
    give_away(path, monkeypatch)
    assert restarted(monkeypatch).available
    assert opened and path not in opened


@pytest.mark.parametrize("mode", [0o777, 0o775, None], ids=["others", "group", "owner"])
@pytest.mark.parametrize("level", range(2))
def test_a_folder_that_others_can_write_to_is_not_used(mode, level, builds, monkeypatch, caplog):
    path = status().library
    folder = path.parents[level]
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(mode) if mode else give_away(folder, monkeypatch)
    opened, load = [], library._open
    monkeypatch.setattr(library, "_open", lambda path: opened.append(path) or load(path))

    now = restarted(monkeypatch)
    assert now.available and now.library is None and str(folder) in now.problem
    assert opened and path not in opened and not opened[-1].exists()
    (line,) = lines(caplog)
    assert now.problem in line and "\n" not in line
    assert builds.stored == [path]


def test_a_parent_folder_that_everyone_can_write_to_must_be_sticky(builds, monkeypatch):
    home = Path(os.environ["XDG_CACHE_HOME"])
    home.mkdir()
    home.chmod(0o777)
    assert not status().library and "everyone can replace" in status().problem
    home.chmod(0o1777)
    assert restarted(monkeypatch).library


def a_file(home, monkeypatch):
    home.write_text("a file, not a folder")


def no_permission(home, monkeypatch):
    if ROOT:
        pytest.skip("root may write everywhere")
    home.mkdir(0o500)


def no_home(home, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: OTHER_USER)


def a_relative_home(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "relative")


def a_folder_instead_of_the_library(home, monkeypatch):
    path = status().library
    path.unlink()
    path.mkdir()


FAULTS = [a_file, no_permission, no_home, a_relative_home, a_folder_instead_of_the_library]


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_usable_folder_each_process_compiles(fault, builds, monkeypatch, caplog):
    monkeypatch.chdir(builds.folder)
    fault(Path(os.environ["XDG_CACHE_HOME"]), monkeypatch)
    now = restarted(monkeypatch)
    assert now.available and now.library is None and now.problem
    assert len(lines(caplog)) == 1 and "\n" not in lines(caplog)[0]
    assert not Path("relative").exists()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not restarted(monkeypatch).available


def test_importing_compiles_nothing(tmp_path):
    code = "import stn_jax; from stn_jax.native import library; print(library._last)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "None\n"
    assert not list(tmp_path.iterdir())


AS_OTHER_USER = f"""
import os
import numpy.testing
import jax, numpy as np, stn_jax
from stn_jax.native import library
image, grid = np.ones((4, 4, 1), np.float32), np.zeros((2, 2, 2), np.float32)
jax.jit(jax.vmap(stn_jax.sample))(image[None], grid[None])
del os.environ["STN_JAX_NATIVE"], os.environ["XDG_CACHE_HOME"], os.environ["HOME"]
os.setgroups([]); os.setgid({OTHER_USER}); os.setuid({OTHER_USER})
for home in ("/", "/nonexistent", None):
    os.environ.update({{"HOME": home}} if home else {{}})
    np.testing.assert_allclose(jax.jit(lambda *args: stn_jax.sample(*args) + 2)(image, grid), 3)
    print(stn_jax.native.status())
    library._last, library._register = None, lambda kernels: None
    os.environ.pop("HOME", None)
"""


PACKAGE = Path(stn_jax.__file__).parent
OTHERS_MAY_READ = all(folder.stat().st_mode & 0o005 == 0o005 for folder in PACKAGE.parents)


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
@pytest.mark.skipif(not OTHERS_MAY_READ, reason="other users cannot read this checkout")
def test_an_unknown_user_gets_kernels(builds):
    """As in a container that runs under an id that has no name and no home folder."""
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o755)
        other = Builds(Path(public), builds.kernels)
        other.kernels.chmod(0o755)
        run = subprocess.run(
            [sys.executable, "-c", AS_OTHER_USER],
            # The cache of compiled programs belongs to this user.
            env=os.environ
            | {"STN_JAX_NATIVE": "0", "CXX": other.compiler(), "HOME": "/"}
            | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("C++ kernels: in use (") == 3
    assert len(run.stderr.splitlines()) == 3, run.stderr
    assert run.stderr.count("each process compiles the C++ kernels again") == 3
