"""Preparation of data that is killed at any moment, or done by two processes at once."""

import contextlib
import gzip
import hashlib
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.stress

# Starts a process in no time, where all modules are imported already.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "h5py",
        "stn_jax.experiments.distorted_mnist.sources",
        "stn_jax.experiments.own_pictures.sources",
        "stn_jax.experiments.street_numbers.sources",
        "tensorflow_datasets",
        "tensorflow_datasets.image_classification.mnist",
        "tests.experiments.tiny_numbers",
        "tests.experiments.tiny_pictures",
        __name__,
    ]
)
NUMBERS = {"train": 1200, "t10k": 300}


def idx_contents():
    """Returns the content of MNIST's four files as it would be with fewer digits."""
    random_bytes = np.random.default_rng(0).bytes
    contents = {}
    for prefix, count in NUMBERS.items():
        contents[f"{prefix}-images-idx3-ubyte"] = random_bytes(16 + 784 * count)
        labels = np.arange(count, dtype=np.uint8) % 10
        contents[f"{prefix}-labels-idx1-ubyte"] = bytes(8) + labels.tobytes()
    return contents


def load_small_mnist(data_dir):
    from tensorflow_datasets.image_classification import mnist

    from stn_jax.experiments.distorted_mnist import idx_files, tfds_mnist

    contents = idx_contents()
    idx_files._CONTENTS = {
        name: idx_files._Content(len(content), hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    }
    mnist._TRAIN_EXAMPLES, mnist._TEST_EXAMPLES = NUMBERS.values()
    tfds_mnist.LENGTHS = {"train": NUMBERS["train"], "test": NUMBERS["t10k"]}
    archives = data_dir.parent / "archives"
    if not archives.exists():
        beside = archives.with_name(str(os.getpid()))
        beside.mkdir()
        for name, content in contents.items():
            (beside / f"{name}.gz").write_bytes(gzip.compress(content))
        with contextlib.suppress(OSError):
            beside.rename(archives)
    return [array for split in tfds_mnist.load(str(data_dir), str(archives)) for array in split]


def load_drawn_numbers(data_dir):
    from stn_jax.experiments.street_numbers.sources import load_street_numbers
    from tests.experiments.tiny_numbers import tiny_numbers_config

    counts = {"data__synthetic__train": 260, "data__synthetic__test": 20}
    config = tiny_numbers_config("single", data_dir, **counts)
    return [array for split in load_street_numbers(config.data) for array in split]


def load_own_pictures(data_dir):
    from stn_jax.experiments.own_pictures.sources import load_pictures
    from tests.experiments.tiny_pictures import tiny_pictures_config, write_pictures

    pictures = data_dir.parent / "pictures"
    if not pictures.exists():
        beside = pictures.with_name(str(os.getpid()))
        write_pictures(beside, {"train/a": 400, "train/b": 300, "test/a": 60})
        for path in beside.rglob("*.png"):
            os.utime(path, (0, 0))  # as decoded pictures are named after it
        with contextlib.suppress(OSError):
            beside.rename(pictures)
    loaded = load_pictures(tiny_pictures_config(pictures, data_dir).data)
    return [array for examples in (loaded.train, loaded.test) for array in examples]


def prepare(load, data_dir, result):
    os.setsid()  # its children can then be found
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    digest = hashlib.sha256()
    for array in load(data_dir):
        digest.update(np.ascontiguousarray(array))
    Path(result).write_text(digest.hexdigest())


def start(load, data_dir, result):
    process = SERVER.Process(target=prepare, args=(load, data_dir, str(result)))
    process.start()
    return process


def finish(process, result):
    process.join(300)
    assert process.exitcode == 0
    wait_for_its_children(process)
    return Path(result).read_text()


def wait_for_its_children(process):
    deadline = time.monotonic() + 60  # orphans would wait for work for ever
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        raise AssertionError("its children live on")


def names(folder):
    """Returns all names, but for digests in them, which depend on where the folder is."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(re.sub(r"[0-9a-f]{16}", "DIGEST", name) for name in found)


LOADERS = [load_small_mnist, load_drawn_numbers, load_own_pictures]


@pytest.fixture(scope="module", params=LOADERS)
def case(request, tmp_path_factory):
    """Returns what loads data, and the digest, file names and seconds of a run without faults."""
    folder = tmp_path_factory.mktemp("undisturbed")
    load = request.param
    begin = time.monotonic()
    digest = finish(start(load, folder / "data", folder / "result"), folder / "result")
    return load, digest, names(folder / "data"), time.monotonic() - begin


@pytest.mark.parametrize("seed", range(2))
def test_the_start_after_five_kills_succeeds_and_leaves_nothing(case, tmp_path, seed):
    load, digest, expected, seconds = case
    moments = random.Random(seed)
    for _ in range(5):
        process = start(load, tmp_path / "data", tmp_path / "result")
        process.join(moments.uniform(0, seconds))
        kind = moments.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, kind)
        process.join()
        wait_for_its_children(process)
    process = start(load, tmp_path / "data", tmp_path / "result")
    assert finish(process, tmp_path / "result") == digest
    assert names(tmp_path / "data") == expected


@pytest.mark.parametrize("seed", range(10))
def test_two_processes_at_once(case, tmp_path, seed):
    load, digest, expected, seconds = case
    results = [tmp_path / "result0", tmp_path / "result1"]
    processes = []
    for result in results:
        processes.append(start(load, tmp_path / "data", result))
        time.sleep(random.Random(seed).uniform(0, seconds / 4) if seed else 0)
    assert list(map(finish, processes, results)) == [digest, digest]
    assert names(tmp_path / "data") == expected


def test_processes_that_draw_end_with_their_parent(tmp_path):
    process = start(load_drawn_numbers, tmp_path / "data", tmp_path / "result")
    while not any(path.stat().st_size for path in tmp_path.rglob("train.tar.gz")):
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    process.join()
    wait_for_its_children(process)


def test_a_script_without_a_main_guard_fails_and_does_not_wait_for_itself(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from stn_jax.experiments.street_numbers.drawn.synthetic import write_synthetic\n"
        f"folder = Path({str(tmp_path / 'numbers')!r})\n"
        "write_synthetic(folder, layout='close', train=300, test=1, seed=0)"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert "cannot write synthetic numbers" in run.stderr
    assert run.returncode == 1 and not list((tmp_path / "numbers").iterdir())
