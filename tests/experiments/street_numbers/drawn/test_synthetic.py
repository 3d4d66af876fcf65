import errno
import json
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.locks import LOCK_FILE
from stn_jax.experiments.street_numbers.drawn import synthetic
from stn_jax.experiments.street_numbers.drawn.drawing import draw_picture
from stn_jax.experiments.street_numbers.drawn.synthetic import RECORD, write_synthetic
from stn_jax.experiments.street_numbers.svhn.digit_struct import read_digit_struct

SETTINGS = {"layout": "wide", "train": 5, "test": 3, "seed": 0}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(folder, split):
    """Returns (pixels, [left, top, width, height, label] of each digit) for each picture."""
    with tarfile.open(folder / f"{split}.tar.gz") as tar:
        # Set as an attribute, because Debian 12's Python 3.11.2 lacks the argument `filter`.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder / "read")
    struct = read_digit_struct(folder / "read" / split / "digitStruct.mat")
    images = [np.array(Image.open(folder / "read" / split / name)) for name in struct.names]
    return list(zip(images, np.split(struct.boxes, struct.starts[1:-1]), strict=True))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "new" / "folder"
    write_synthetic(folder, **SETTINGS)
    return folder


def test_a_folder_holds_two_archives_and_a_record(written):
    assert set(contents(written)) == {"train.tar.gz", "test.tar.gz", RECORD}
    record = json.loads((written / RECORD).read_text())
    assert record == {**SETTINGS, "generator_version": synthetic.GENERATOR_VERSION}


@pytest.mark.parametrize(("number", "split", "count"), [(0, "train", 5), (1, "test", 3)])
def test_archives_hold_the_pictures_drawn(written, number, split, count, tmp_path):
    for name, content in contents(written).items():
        (tmp_path / name).write_bytes(content)
    pictures = read(tmp_path, split)
    assert len(pictures) == count
    for i, (pixels, rows) in enumerate(pictures):
        image, boxes = draw_picture(np.random.default_rng((0, number, i)), "wide")
        np.testing.assert_array_equal(pixels, image)
        np.testing.assert_array_equal(rows[:, :4], [box[:4] for box in boxes])
        assert [label % 10 for label in rows[:, 4]] == [box.digit for box in boxes]


def test_pictures_depend_on_neither_their_number_nor_the_processes(written, tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "_CHUNK", 2)
    monkeypatch.setattr(synthetic, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(synthetic.os, "cpu_count", lambda: 2)
    write_synthetic(tmp_path / "same", **SETTINGS)
    assert contents(tmp_path / "same") == contents(written)
    monkeypatch.setattr(synthetic, "_WORTH_PROCESSES", 200)
    write_synthetic(tmp_path / "more", **{**SETTINGS, "train": 7})
    few, more = (
        read(copy(folder, tmp_path / name), "train")
        for name, folder in (("few", written), ("many", tmp_path / "more"))
    )
    for (one, _), (other, _) in zip(few, more[:5], strict=True):
        np.testing.assert_array_equal(one, other)


def copy(folder, to):
    to.mkdir()
    for name, content in contents(folder).items():
        (to / name).write_bytes(content)
    return to


def test_seeds_layouts_and_splits_give_other_pictures(written, tmp_path):
    write_synthetic(tmp_path / "seed", **{**SETTINGS, "seed": 1})
    write_synthetic(tmp_path / "layout", **{**SETTINGS, "layout": "close"})
    folders = [copy(written, tmp_path / "copy"), tmp_path / "seed", tmp_path / "layout"]
    images = [
        image.tobytes() for f in folders for s in ("train", "test") for image, _ in read(f, s)
    ]
    assert len(set(images)) == 3 * 8


def test_drawing_ahead_is_bounded_and_in_order():
    class Pool:
        most = waiting = 0

        def submit(self, draw, start, stop):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            return Result(self, list(range(start, stop)))

    class Result:
        def __init__(self, pool, numbers):
            self.pool, self.numbers = pool, numbers

        def result(self):
            self.pool.waiting -= 1
            return self.numbers

    pool = Pool()
    assert list(synthetic._draw_in_order(None, 10_001, pool)) == list(range(10_001))
    assert pool.most * synthetic._CHUNK < 2000


def forbid_drawing(monkeypatch):
    def called(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr(synthetic, "draw_picture", called)


def test_an_interruption_while_the_processes_start_comes_through(tmp_path, monkeypatch):
    started = []

    def interrupted(thread, start=threading.Thread.start):
        start(thread)
        if thread.daemon:  # the progress bar's thread
            return
        started.append((thread, thread._started))
        thread._started = threading.Event()  # its state while `start` waits for it
        raise SystemExit(143)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(SystemExit, match="143"):
        write_synthetic(tmp_path / "numbers", layout="close", train=400, test=20, seed=0)
    assert not list(tmp_path.rglob("*.tar*"))
    [(thread, event)] = started
    thread._started = event
    thread.join()
    assert not thread.is_alive()


def test_what_a_killed_process_left_is_removed(written, tmp_path):
    folder = copy(written, tmp_path / "copy")
    (folder / ".drawing-abc").mkdir()
    (folder / ".drawing-abc" / "train.tar.gz").touch()
    (folder / LOCK_FILE).touch()
    write_synthetic(folder, **SETTINGS)
    assert contents(folder) == contents(written)


def test_threads_draw_once(written, tmp_path, monkeypatch):
    drawn = []

    def draw(generator, layout):
        drawn.append(generator)
        return draw_picture(generator, layout)

    monkeypatch.setattr(synthetic, "draw_picture", draw)
    threads = [
        threading.Thread(target=write_synthetic, args=(tmp_path,), kwargs=SETTINGS)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(tmp_path) == contents(written) and len(drawn) == 8


def test_writing_again_does_nothing(written, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in written.iterdir()}
    forbid_drawing(monkeypatch)
    write_synthetic(written, **SETTINGS)
    assert {path: path.stat().st_mtime_ns for path in written.iterdir()} == before


@pytest.mark.parametrize(
    "other", [{"layout": "close"}, {"train": 6}, {"test": 2}, {"seed": 1}], ids=str
)
def test_a_folder_of_other_settings_is_refused(written, other, monkeypatch):
    forbid_drawing(monkeypatch)
    before = contents(written)
    with pytest.raises(UserError, match=r"other settings.*delete that folder") as error:
        write_synthetic(written, **{**SETTINGS, **other})
    assert "\n" not in str(error.value)
    assert contents(written) == before


def test_a_folder_of_an_older_generator_is_refused(written, monkeypatch):
    monkeypatch.setattr(synthetic, "GENERATOR_VERSION", synthetic.GENERATOR_VERSION + 1)
    with pytest.raises(UserError, match="generator_version"):
        write_synthetic(written, **SETTINGS)


def test_archives_without_a_record_are_not_touched(tmp_path):
    (tmp_path / "train.tar.gz").write_bytes(b"somebody else's")
    with pytest.raises(UserError, match=r"holds train.tar.gz but no synthetic.json") as error:
        write_synthetic(tmp_path, **SETTINGS)
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == {"train.tar.gz": b"somebody else's"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
def test_damaged_record(written, content, tmp_path):
    folder = copy(written, tmp_path / "copy")
    (folder / RECORD).write_bytes(content)
    with pytest.raises(UserError, match="delete that folder") as error:
        write_synthetic(folder, **SETTINGS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["train.tar.gz", "test.tar.gz"])
def test_a_missing_archive_is_drawn_again(written, name, tmp_path):
    folder = copy(written, tmp_path / "copy")
    (folder / name).unlink()
    write_synthetic(folder, **SETTINGS)
    assert contents(folder) == contents(written)


@pytest.mark.parametrize("processes_from", [0, 200], ids=["processes", "one process"])
def test_a_full_disk_leaves_nothing_and_can_be_repeated(
    tmp_path, monkeypatch, processes_from, written
):
    real = synthetic.write_archive

    def disk_full(path, split, pictures):
        if split == "test":
            next(iter(pictures))
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, split, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "_WORTH_PROCESSES", processes_from)
        patch.setattr(synthetic.os, "cpu_count", lambda: 1)
        patch.setattr(synthetic, "write_archive", disk_full)
        with pytest.raises(UserError, match=r"No space left on device.*make room") as error:
            write_synthetic(tmp_path, **SETTINGS)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    write_synthetic(tmp_path, **SETTINGS)
    assert contents(tmp_path) == contents(written)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another") as error:
        write_synthetic(tmp_path / "file" / "folder", **SETTINGS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"layout": "wild"}, "did you mean 'wide'"),
        ({"train": 0}, r"config\.data\.synthetic\.train must be at least 1, got 0"),
        ({"test": -1}, r"config\.data\.synthetic\.test must be at least 1, got -1"),
        ({"seed": -1}, r"config\.data\.synthetic\.seed must be at least 0, got -1"),
    ],
)
def test_settings_out_of_range(tmp_path, setting, message):
    with pytest.raises(UserError, match=message):
        write_synthetic(tmp_path, **{**SETTINGS, **setting})
    assert not list(tmp_path.iterdir())


def test_a_progress_bar_on_a_terminal_only(tmp_path, capsys, monkeypatch):
    write_synthetic(tmp_path / "file", **SETTINGS)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(synthetic.sys.stderr, "isatty", lambda: True)
    write_synthetic(tmp_path / "terminal", **SETTINGS)
    assert "5/5" in capsys.readouterr().err
