"""Random faults of the cache and the compiler: the results stay the same, with one line at most."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stn_jax.cache import cache_folder, digest, keep_compiled_programs
from stn_jax.native import library
from tests.native.builds import GARBAGE, builds

__all__ = ["builds"]

pytestmark = pytest.mark.stress

USE = """
import hashlib
import jax, numpy as np, stn_jax
from stn_jax.functional import convolution
rng = np.random.default_rng(0)
image, grid, kernel = (
    np.float32(rng.uniform(-1, 1, shape)) for shape in ((9, 8, 3), (7, 7, 2), (3, 3, 3, 5))
)
def loss(image, grid, kernel):
    return (convolution(image[None], kernel) ** 2).sum() + (stn_jax.sample(image, grid) ** 2).sum()
results = jax.jit(jax.grad(loss, (0, 1, 2)))(image, grid, kernel)
print(hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in results)).hexdigest())
print(stn_jax.native.status().available)
"""


def start(**variables):
    return subprocess.Popen(
        [sys.executable, "-c", USE],
        env=os.environ | variables,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Returns the digest of the results, whether kernels were used, and the lines of warnings."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    results, available = out.split()
    return results, available == "True", err.splitlines()


def use(**variables):
    return finish(start(**variables))


@pytest.fixture(scope="module")
def expected():
    """Returns the digests of the right results, with kernels and without: rounding differs."""
    if library.status().library is None:
        pytest.skip(str(library.status()))
    kernels, plain = use(), use(STN_JAX_NATIVE="0")
    assert kernels[1:] == (True, []) and plain[1:] == (False, [])
    return {True: kernels[0], False: plain[0]}


def renamed(path, content):
    """Puts other content at the place of a library, under a name that is right for it."""
    path.unlink()
    key = path.stem.rpartition("-")[0]
    path.with_name(f"{key}-{digest(content)}.so").write_bytes(content)


def cut_off(path, rng):
    with open(path, "r+b") as file:
        file.truncate(rng.integers(path.stat().st_size))


def zeros(path, rng):
    content = bytearray(path.read_bytes())
    start = rng.integers(len(content))
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    path.write_bytes(content)


def other_bytes(path, rng):
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[rng.integers(len(content), size=100)] ^= rng.integers(1, 256, 100, np.uint8)
    path.write_bytes(content.tobytes())


def garbage_of_the_right_name(path, rng):
    renamed(path, rng.bytes(1000))


def nothing_of_the_right_name(path, rng):
    renamed(path, b"")


def a_folder(path, rng):
    path.unlink()
    path.mkdir()


def a_link_to_nothing(path, rng):
    path.unlink()
    path.symlink_to(path.name if rng.integers(2) else "nowhere")


def open_to_all(path, rng):
    path.chmod(0o666)


def an_open_folder(path, rng):
    path.parents[rng.integers(2)].chmod(rng.choice([0o777, 0o770]))


def a_file_for_a_folder(path, rng):
    folder = path.parents[rng.integers(2)]
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def another_owner(path, rng):
    if os.geteuid() == 0:
        os.chown([path, *path.parents][rng.integers(3)], 12345, 12345)


FAULTS = [
    *(cut_off, zeros, other_bytes, garbage_of_the_right_name, nothing_of_the_right_name),
    *(a_folder, a_link_to_nothing, open_to_all, an_open_folder, a_file_for_a_folder, another_owner),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_cache(fault, seed, builds, expected):
    path = library.status().library
    fault(path, np.random.default_rng(seed))
    results, available, warnings = use()
    assert available and results == expected[True]
    assert len(warnings) <= 1, warnings


@pytest.mark.parametrize("does", [*GARBAGE.values(), "kill -9 $$", "exit 1"])
def test_faults_of_the_compiler(does, builds, expected):
    results, available, warnings = use(CXX=builds.compiler(does, name="broken"))
    assert not available and results == expected[False]
    assert len(warnings) == 1, warnings
    assert not builds.stored


@pytest.mark.parametrize("seed", range(2))
def test_many_processes_compile_at_once(seed, builds, expected):
    delay = np.random.default_rng(seed).uniform(0, 0.3)
    builds.compiler(f"sleep {delay:.2f}; cp {{kernels}} $output")
    for process in [start() for _ in range(5)]:
        assert finish(process) == (expected[True], True, [])
    assert len(builds.stored) == 1


@contextlib.contextmanager
def small_disk(folder):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "stn_jax_test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot make a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(builds, expected, caplog, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    with small_disk(cache_folder().parents[1]):
        results, available, warnings = use()
        assert available and results == expected[True]
        assert len(warnings) == 1 and "No space left on device" in warnings[0]
        assert not builds.stored
        caplog.clear()
        keep_compiled_programs()
        assert [record.getMessage().count("no space left") for record in caplog.records] == [1]
        with small_disk(builds.folder / "temporary"):
            results, available, warnings = use(TMPDIR=str(builds.folder / "temporary"))
            assert not available and results == expected[False]
            assert len(warnings) == 1 and "No space left on device" in warnings[0]
