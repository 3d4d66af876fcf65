import os
import resource
import shutil
import threading

import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.data import prepared_data, tfds_support
from stn_jax.experiments.locks import locked
from stn_jax.experiments.street_numbers.svhn.prepared import prepare, read_numbers
from tests.experiments.data.fresh_process import prepare_in_fresh_process
from tests.experiments.street_numbers.archives import (
    assert_numbers_equal,
    assert_same,
    boxes,
    encode,
    halves,
    number,
    plain,
    prepare_refused,
    write_archives,
)

pytestmark = pytest.mark.usefixtures("offline")

INFO = "dataset_info.json"
RECORDS = "svhn_full_numbers-train.array_record-00000-of-00001"


@pytest.fixture(scope="module")
def data_dir(archives, tmp_path_factory):
    """Prepares `archives` in a folder, by a separate process that checks its imports."""
    path = tmp_path_factory.mktemp("data")
    told = prepare_in_fresh_process(
        "from stn_jax.experiments.street_numbers.svhn.prepared import prepare",
        f"prepare({str(path)!r}, {str(archives)!r})",
    )
    assert "train: 12 of 12 numbers prepared\n" in told
    return path


@pytest.fixture
def own_data_dir(data_dir, tmp_path):
    """Returns a copy of `data_dir` that a test may damage, and the folder of its files."""
    shutil.copytree(data_dir, tmp_path / "data")
    return tmp_path / "data", tmp_path / "data" / "svhn_full_numbers" / "svhn" / "1.0.0"


def test_prepared_is_what_the_archives_hold_in_their_order(data_dir):
    builder = prepare(data_dir, None)
    assert set(builder.info.splits) == {"train", "test"}
    for split, pictures in (("train", plain(12)), ("test", plain(5, 100))):
        found = list(read_numbers(builder, split))
        assert_numbers_equal(found, [number(*picture) for picture in pictures])
        assert [one.png for one in found] == [png for png, _ in pictures]  # not re-encoded
        report = builder.info.metadata[split]
        assert report["kept"] == report["listed"] == len(pictures)
        assert not report["left_out"] and not report["cut_at_the_edge"] and not report["official"]


def test_preparing_leaves_only_the_data_behind(data_dir):
    names = {path.relative_to(data_dir).as_posix() for path in data_dir.rglob("*")}
    here = "svhn_full_numbers/svhn/1.0.0"
    assert names == {
        "svhn_full_numbers",
        "svhn_full_numbers/.config",
        "svhn_full_numbers/.config/metadata.json",
        "svhn_full_numbers/svhn",
        here,
        f"{here}/LICENSE",
        f"{here}/{INFO}",
        f"{here}/features.json",
        f"{here}/metadata.json",
        f"{here}/{RECORDS}",
        f"{here}/{RECORDS.replace('train', 'test')}",
    }


def test_prepared_data_need_neither_archives_nor_network(data_dir, archives, monkeypatch):
    def called(*_):
        raise AssertionError

    monkeypatch.setattr(prepared_data, "_prepare", called)
    monkeypatch.setattr(tfds_support, "answers", called)
    for manual_dir in (None, "", archives, "/nowhere"):
        assert prepare(data_dir, manual_dir).info.splits["train"].num_examples == 12


def test_preparing_again_gives_the_same(data_dir, archives, tmp_path):
    again, before = prepare(tmp_path, archives), prepare(data_dir, None)
    assert again.info.metadata == before.info.metadata
    assert again.info.features.to_json() == before.info.features.to_json()
    for split in ("train", "test"):
        assert_same(read_numbers(again, split), read_numbers(before, split))


def test_extra_is_a_split_if_there_is_an_archive_of_it(tmp_path):
    folder = write_archives(tmp_path / "a", train=plain(2), test=plain(2, 10), extra=plain(3, 20))
    builder = prepare(tmp_path / "d", folder)
    assert_numbers_equal(list(read_numbers(builder, "extra")), [number(*p) for p in plain(3, 20)])


def test_names_keep_data_sets_apart(data_dir, archives, tmp_path):
    other = write_archives(tmp_path / "a", train=plain(3, 50), test=plain(2, 60))
    shutil.copytree(data_dir, tmp_path / "d")
    builder = prepare(tmp_path / "d", other, name="synthetic")
    assert_numbers_equal(list(read_numbers(builder, "train")), [number(*p) for p in plain(3, 50)])
    assert prepare(tmp_path / "d", archives).info.splits["train"].num_examples == 12
    prepare_refused("the street numbers third are not in", tmp_path / "d", None, name="third")


def test_other_archives_than_those_prepared_from(data_dir, tmp_path):
    other = write_archives(tmp_path / "a", train=plain(3, 50), test=plain(2, 60))
    message = prepare_refused("were prepared from other archives", data_dir, other)
    assert str(data_dir) in message and str(other) in message


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_archive(archives, tmp_path, split):
    shutil.copytree(archives, tmp_path / "a")
    (tmp_path / "a" / f"{split}.tar.gz").unlink()
    prepare_refused(f"lacks {split}.tar.gz: put archives", tmp_path / "d", tmp_path / "a")
    assert not (tmp_path / "d").exists()


def test_missing_manual_dir(tmp_path):
    prepare_refused("nowhere does not exist: name the", tmp_path / "d", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    prepare_refused("file is not a folder: name the", tmp_path / "d", tmp_path / "file")
    (tmp_path / "empty").mkdir()
    prepare_refused("lacks train.tar.gz, test.tar.gz", tmp_path / "d", tmp_path / "empty")
    assert not (tmp_path / "d").exists()


def test_a_damaged_archive_is_found_before_anything_is_written(archives, tmp_path):
    shutil.copytree(archives, tmp_path / "a")
    path = tmp_path / "a" / "test.tar.gz"
    os.truncate(path, path.stat().st_size - 100)
    assert str(path) in prepare_refused("is truncated", tmp_path / "d", tmp_path / "a")
    assert not halves(tmp_path / "d")


def test_no_network(tmp_path):
    message = prepare_refused("cannot be reached", tmp_path, None)
    for way_out in (
        "svhn_multi:synthetic_small",
        "--config.data.manual_dir=DIR",
        "--config.data.data_dir=DIR",
    ):
        assert way_out in message


def test_data_dir_that_cannot_be_written(archives, tmp_path):
    (tmp_path / "file").touch()
    prepare_refused(
        r"file.*choose another --config\.data\.data_dir", tmp_path / "file" / "d", archives
    )


def test_a_full_disk_leaves_nothing_and_the_next_try_succeeds(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    folder = write_archives(
        tmp_path / "a", train=[(encode(noise), boxes(0, 1))] * 60, test=plain(1)
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files cannot grow beyond a megabyte, which looks like a full disk to writers.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        for _ in range(2):
            prepare_refused("File too large.*fix that and run again", tmp_path / "d", folder)
            assert not halves(tmp_path / "d")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert prepare(tmp_path / "d", folder).info.splits["train"].num_examples == 60


def test_what_a_killed_process_left_is_removed(archives, tmp_path):
    leftover = tmp_path / "svhn_full_numbers" / "svhn" / "incomplete.ABCDEF_1.0.0"
    leftover.mkdir(parents=True)
    (leftover / RECORDS).write_bytes(b"half")
    prepare(tmp_path, archives)
    assert os.listdir(leftover.parent) == ["1.0.0"]


def test_two_processes_prepare_once(data_dir, archives, tmp_path, monkeypatch):
    """A process waits while another one holds the folder, and then uses what that one has made."""
    folder = tmp_path / "svhn_full_numbers" / "svhn"
    folder.mkdir(parents=True)
    asks = threading.Event()

    def ask(folder):
        asks.set()
        return locked(folder)

    monkeypatch.setattr(tfds_support, "locked", ask)
    builders = []
    thread = threading.Thread(target=lambda: builders.append(prepare(tmp_path, archives)))
    with locked(folder):
        thread.start()
        assert asks.wait(60)
        made = data_dir / "svhn_full_numbers" / "svhn" / "1.0.0"
        shutil.copytree(made, folder / "1.0.0")
        times = {path: path.stat().st_mtime_ns for path in (folder / "1.0.0").rglob("*")}
    thread.join()
    assert builders[0].info.splits["train"].num_examples == 12
    assert {path: path.stat().st_mtime_ns for path in (folder / "1.0.0").rglob("*")} == times
    assert os.listdir(folder) == ["1.0.0"]


def alter(folder):
    path = folder / RECORDS
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / RECORDS, 1000),
        alter,
        lambda folder: (folder / RECORDS).unlink(),
        lambda folder: (folder / INFO).unlink(),
        lambda folder: (folder / "metadata.json").unlink(),
        lambda folder: os.truncate(folder / INFO, 100),
    ],
    ids=["truncated", "altered", "no records", "no info", "no metadata", "truncated info"],
)
def test_damaged_prepared_data(own_data_dir, damage):
    path, folder = own_data_dir
    damage(folder)
    with pytest.raises(UserError, match="delete that folder") as error:
        list(read_numbers(prepare(path, None), "train"))
    assert str(folder.parent) in str(error.value) and "\n" not in str(error.value)
