import gzip
import os
import tracemalloc

import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.distorted_mnist import idx_files

CONTENTS = {name: name.encode() * 100 for name in idx_files._CONTENTS}
URL = "https://example.com/"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Makes `CONTENTS` MNIST's."""
    digests = {
        name: idx_files._Content(len(content), idx_files.hashlib.sha256(content).hexdigest())
        for name, content in CONTENTS.items()
    }
    monkeypatch.setattr(idx_files, "_CONTENTS", digests)


def write(folder, rename="{}.gz", pack=gzip.compress):
    for name, content in CONTENTS.items():
        path = folder / rename.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack(content))
    return folder


@pytest.mark.parametrize("folder", ["", "raw/", "MNIST/raw/"])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda content: gzip.compress(content, 1, mtime=5) + bytes(9)]
)
def test_names_and_compressions_that_are_in_use(tmp_path, folder, ending, pack):
    assert idx_files.read(write(tmp_path, f"{folder}{{}}{ending}", pack), URL) == CONTENTS


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_names_with_a_dot(tmp_path, ending):
    write(tmp_path, f"{{}}{ending}")
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert idx_files.read(tmp_path, URL) == CONTENTS


def test_a_damaged_file_does_not_hide_a_sound_one(tmp_path):
    write(tmp_path, "{}", bytes)
    write(tmp_path, "{}.gz", lambda content: content[:5])
    assert idx_files.read(tmp_path, URL) == CONTENTS


FAULTS = {
    "empty": lambda content: b"",
    "shorter": lambda content: content[:-1],
    "longer": lambda content: content + b"0",
    "another": lambda content: content[::-1],
    "shorter in gzip": lambda content: gzip.compress(content[:-1]),
    "longer in gzip": lambda content: gzip.compress(content + bytes(5)),
    "truncated gzip": lambda content: gzip.compress(content)[:-20],
    "truncated trailer": lambda content: gzip.compress(content)[:-2],
    "altered checksum": lambda content: gzip.compress(content)[:-8] + bytes(8),
    "altered content": lambda content: gzip.compress(content)[:12] + b"\xff" * 90,
    "rubbish after gzip": lambda content: gzip.compress(content) + b"rubbish",
    "gzip in gzip": lambda content: gzip.compress(gzip.compress(content)),
    "only gzip's first bytes": lambda content: b"\x1f\x8b",
    "a zip file": lambda content: b"PK\x03\x04" + content,
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_not_mnists(tmp_path, name, fault):
    path = write(tmp_path) / f"{name}.gz"
    path.write_bytes(FAULTS[fault](CONTENTS[name]))
    with pytest.raises(UserError, match=f"{name}.gz is damaged .*fetch it again from {URL}{name}"):
        idx_files.read(tmp_path, URL)


def test_a_bomb_takes_no_memory(tmp_path):
    path = write(tmp_path) / f"{min(CONTENTS)}.gz"
    path.write_bytes(gzip.compress(bytes(1 << 26)))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="is damaged"):
            idx_files.read(tmp_path, URL)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_counts_as_missing(tmp_path, make):
    path = write(tmp_path) / f"{min(CONTENTS)}.gz"
    path.unlink()
    make(path)
    with pytest.raises(UserError, match=f"lacks {path.name}: fetch what is missing"):
        idx_files.read(tmp_path, URL)


def test_the_digests_are_those_of_mnist(mnist_archives, monkeypatch):
    monkeypatch.undo()
    contents = idx_files.read(mnist_archives, URL)
    assert {name: len(content) for name, content in contents.items()} == {
        name: num_bytes for name, (num_bytes, _) in idx_files._CONTENTS.items()
    }
