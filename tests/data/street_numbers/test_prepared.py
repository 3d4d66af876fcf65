import contextlib
import fcntl
import functools
import http.server
import io
import os
import resource
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from stn_jax.data import tfds_support
from stn_jax.data.street_numbers import format1, prepared
from stn_jax.data.street_numbers.format1 import Box, write_archive
from stn_jax.data.street_numbers.prepared import prepare, read_numbers
from stn_jax.errors import UserError

WIDTH, HEIGHT = 20, 16
INFO = "dataset_info.json"
RECORDS = "svhn_full_numbers-train.array_record-00000-of-00001"


def pixels(i):
    return np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def decode(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def encode(image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    content = io.BytesIO()
    image.save(content, **{"format": "png"} | options)
    return content.getvalue()


def boxes(i, length):
    return [Box(2.0 + 3 * j, 3.0, 3.0, 9.0, (i + j) % 10) for j in range(length)]


def plain(count, seed=0):
    return [(encode(pixels(seed + i)), boxes(i, 1 + i % 5)) for i in range(count)]


def number(png, these):
    """What is to be read back of a picture with boxes that lie inside of it."""
    digits = [box.digit for box in these] + [10] * (5 - len(these))
    edges = [[b.left, b.top, b.left + b.width, b.top + b.height] for b in these]
    return decode(png), digits, len(these), edges


def assert_numbers_equal(found, expected):
    assert len(found) == len(expected)
    for one, (image, digits, length, edges) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(decode(one.png), image)
        np.testing.assert_array_equal(one.digits, digits)
        assert one.digits.dtype == np.int32 and one.length == length
        assert one.boxes.dtype == np.float32
        np.testing.assert_allclose(one.boxes, edges, atol=1e-4)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.png == other.png and one.length == other.length
        np.testing.assert_array_equal(one.digits, other.digits)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def write_archives(folder, **pictures):
    folder.mkdir(exist_ok=True)
    for split, these in pictures.items():
        write_archive(folder / f"{split}.tar.gz", split, these)
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No name resolves and no connection opens but to this machine, whatever network it has."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_here(self, address):
        if address[0] != "127.0.0.1":
            raise OSError("Network is unreachable")
        return connect(self, address)

    def resolve_here(host, *rest, **options):
        if host != "127.0.0.1":
            raise OSError("Name or service not known")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return write_archives(tmp_path_factory.mktemp("archives"), train=plain(12), test=plain(5, 100))


@pytest.fixture(scope="module")
def data_dir(archives, tmp_path_factory):
    """A folder in which `archives` are prepared, by a process that then tells what it imported."""
    path = tmp_path_factory.mktemp("data")
    code = (
        "import sys; from stn_jax.data.street_numbers.prepared import prepare\n"
        "assert 'tensorflow_datasets' not in sys.modules\n"
        f"prepare({str(path)!r}, {str(archives)!r})\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert run.returncode == 0, run.stderr
    assert "pictures/s" not in run.stderr and "examples/s" not in run.stderr, run.stderr
    assert "train: 12 of 12 numbers prepared\n" in run.stderr
    return path


@pytest.fixture
def own_data_dir(data_dir, tmp_path):
    """A copy of `data_dir` to be damaged, and the folder of its files."""
    shutil.copytree(data_dir, tmp_path / "data")
    return tmp_path / "data", tmp_path / "data" / "svhn_full_numbers" / "svhn" / "1.0.0"


def refused(match, *args, **kwargs):
    with pytest.raises(UserError, match=match) as error:
        prepare(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def halves(folder):
    return [
        path for path in folder.rglob("*") if "incomplete" in path.name or "array_r" in path.name
    ]


def test_prepared_is_what_the_archives_hold_in_their_order(data_dir):
    builder = prepare(data_dir, None)
    assert set(builder.info.splits) == {"train", "test"}
    for split, pictures in (("train", plain(12)), ("test", plain(5, 100))):
        found = list(read_numbers(builder, split))
        assert_numbers_equal(found, [number(*picture) for picture in pictures])
        assert [one.png for one in found] == [png for png, _ in pictures]  # undecoded
        report = builder.info.metadata[split]
        assert report["kept"] == report["listed"] == len(pictures)
        assert not report["left_out"] and not report["cut_at_the_edge"] and not report["official"]


def test_tfds_reads_the_same(data_dir):
    builder = prepare(data_dir, None)
    source = builder.as_data_source("train")
    for i, (mine, theirs) in enumerate(zip(read_numbers(builder, "train"), source, strict=True)):
        np.testing.assert_array_equal(decode(mine.png), theirs["image"])
        np.testing.assert_array_equal(mine.digits, theirs["digits"])
        assert mine.length == theirs["length"] and theirs["file_name"] == f"{i + 1}.png".encode()
        top, left, bottom, right = np.transpose(theirs["bboxes"])
        edges = np.stack([left * WIDTH, top * HEIGHT, right * WIDTH, bottom * HEIGHT], axis=1)
        np.testing.assert_allclose(mine.boxes, edges, rtol=1e-6)


def test_the_builder_describes_the_data(data_dir):
    info = prepare(data_dir, None).info
    assert "house numbers" in info.description and "Netzer" in info.citation
    assert info.redistribution_info.license == "non-commercial use only"
    assert info.homepage == "http://ufldl.stanford.edu/housenumbers/"
    urls = type(prepare(data_dir, None)).url_infos
    sizes = {infos.filename: int(infos.size) for infos in urls.values()}
    assert sizes == {
        "train.tar.gz": 404141560,
        "test.tar.gz": 276555967,
        "extra.tar.gz": 1955489752,
    }
    assert set(urls) == {format1.archive_url(split) for split in format1.SPLITS}


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

    monkeypatch.setattr(prepared, "_prepare", called)
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
    refused("the street numbers third are not in", tmp_path / "d", None, name="third")


def test_other_archives_than_those_prepared_from(data_dir, tmp_path):
    other = write_archives(tmp_path / "a", train=plain(3, 50), test=plain(2, 60))
    message = refused("were prepared from other archives", data_dir, other)
    assert str(data_dir) in message and str(other) in message


def test_many_shards_hold_the_same(archives, data_dir, tmp_path, monkeypatch):
    from stn_jax.data.street_numbers.svhn_full_numbers import svhn_full_numbers_dataset_builder

    monkeypatch.setattr(svhn_full_numbers_dataset_builder, "_SHARD_BYTES", 4000)
    builder = prepare(tmp_path, archives)
    lengths = builder.info.splits["train"].shard_lengths
    assert len(lengths) > 3 and max(lengths) - min(lengths) <= 1
    for split in ("train", "test"):
        assert_same(read_numbers(builder, split), read_numbers(prepare(data_dir, None), split))


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    rgb = pixels(0)
    grey = rgb[:, :, 0]
    alpha = np.dstack([rgb, grey])
    palette = Image.fromarray(rgb).quantize(16)
    jpeg = encode(rgb, format="jpeg")
    deep = np.asarray(grey, np.uint16) << 8
    kinds = [
        (encode(alpha), rgb),
        (encode(grey), np.dstack([grey] * 3)),
        (encode(np.dstack([grey, grey])), np.dstack([grey] * 3)),
        (encode(palette), np.asarray(palette.convert("RGB"))),
        (encode(palette, transparency=3), np.asarray(palette.convert("RGB"))),
        (encode(rgb, transparency=(1, 2, 3)), rgb),
        (encode(deep), np.dstack([grey] * 3)),
        (jpeg, np.asarray(Image.open(io.BytesIO(jpeg)))),
    ]
    pictures = [(png, boxes(0, 2)) for png, _ in kinds]
    builder = prepare(tmp_path / "d", write_archives(tmp_path / "a", train=pictures, test=plain(1)))
    found = list(read_numbers(builder, "train"))
    for one, (_, image) in zip(found, kinds, strict=True):
        np.testing.assert_array_equal(decode(one.png), image)
        assert one.png[24:26] == b"\x08\x02"  # RGB, 8 bits


def edit_digit_struct(path, edit):
    """Rewrites an archive after `edit` was called with its digitStruct.mat as an h5py.File."""
    with tarfile.open(path) as archive:
        files = [(m, m.isfile() and archive.extractfile(m).read()) for m in archive]
    with tarfile.open(path, "w:gz") as archive:
        for member, content in files:
            if member.name.endswith("digitStruct.mat"):
                mat = path.with_name("mat")
                mat.write_bytes(content)
                with h5py.File(mat, "r+") as file:
                    edit(file)
                content = mat.read_bytes()
                mat.unlink()
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isfile() else None)


def unusable():
    """Pictures to be left out, by the reason that is given."""
    good = encode(pixels(1))
    return {
        "unreadable picture": [
            (b"", boxes(0, 1)),
            (good[: len(good) // 2], boxes(0, 1)),
            (encode(pixels(1), format="bmp"), boxes(0, 1)),
        ],
        "box outside of the picture": [
            (good, [*boxes(0, 1), Box(WIDTH, 3, 4, 5, 1)]),
            (good, [Box(3, -5, 4, 5, 1)]),
            (good, [Box(1e308, 1, 1e300, 5, 1)]),
        ],
        "box without a size": [
            (good, [Box(3, 3, 0, 5, 1)]),
            (good, [Box(3, 3, 5, -1, 1)]),
            (good, [Box(np.nan, 3, 4, 5, 1)]),
            (good, [Box(3, 3, np.inf, 5, 1)]),
            (good, [Box(1e308, 1, 1e308, 5, 1)]),
        ],
    }


def test_what_cannot_be_used_is_left_out_and_told(tmp_path, capsys):
    bad = unusable()
    cases = [picture for pictures in bad.values() for picture in pictures]
    cut = (encode(pixels(2)), [Box(-2, 3, 6, 30, 4), Box(4, 3, 5, 6, 5)])
    long = [(encode(pixels(3)), boxes(0, 6)), (b"", boxes(0, 7))]
    good = [plain(1)[0]] * (100 * (len(cases) + 1) - len(cases) - len(long) - 2)
    pictures = [*good, *cases, cut, *long, plain(1)[0]]
    folder = write_archives(tmp_path / "a", train=pictures, test=plain(1))

    def label_last(file):
        file[file["digitStruct/bbox"][-1, 0]]["label"][...] = 11

    edit_digit_struct(folder / "train.tar.gz", label_last)
    builder = prepare(tmp_path / "d", folder)
    report = builder.info.metadata["train"]
    counts = {reason: entry["count"] for reason, entry in report["left_out"].items()}
    assert counts == {reason: len(these) for reason, these in bad.items()} | {
        "more than 5 digits": 2,
        "label not in 1..10": 1,
    }
    assert report["kept"] == len(good) + 1 and report["cut_at_the_edge"] == 1
    found = list(read_numbers(builder, "train"))
    assert len(found) == report["kept"]
    np.testing.assert_allclose(found[-1].boxes, [[0, 3, 4, HEIGHT], [4, 3, 9, 9]], atol=1e-4)
    assert list(found[-1].digits) == [4, 5, 10, 10, 10]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train:")]
    assert f"{len(good) + 1} of {len(pictures)} numbers prepared" in line
    assert f"label not in 1..10: 1 ({len(pictures)}.png)" in line
    assert "cut at the picture's edge: 1" in line
    # The same is known to whoever opens the prepared data later.
    assert prepare(tmp_path / "d", None).info.metadata["train"] == report


def without(path, names):
    """Rewrites an archive without some of its files."""
    new = path.with_name("new")
    with tarfile.open(path) as old, tarfile.open(new, "w:gz") as archive:
        for member in old:
            if Path(member.name).name not in names:
                archive.addfile(member, old.extractfile(member) if member.isfile() else None)
    new.replace(path)


def test_missing_pictures_are_let_pass_up_to_one_in_a_hundred(tmp_path):
    folder = write_archives(tmp_path / "a", train=[plain(1)[0]] * 200, test=plain(1))
    without(folder / "train.tar.gz", ["7.png", "150.png"])
    report = prepare(tmp_path / "d", folder).info.metadata["train"]
    assert report["left_out"] == {"not in the archive": {"count": 2, "names": ["7.png", "150.png"]}}
    without(folder / "train.tar.gz", ["8.png"])
    refused(r"more than 1% of its 200 pictures.*not in the archive: 3", tmp_path / "e", folder)
    assert not halves(tmp_path / "e")


def test_a_picture_that_is_listed_twice_is_taken_once(tmp_path):
    folder = write_archives(tmp_path / "a", train=[plain(1)[0]] * 100, test=plain(1))

    def rename(file):
        names = file["digitStruct/name"]
        names[70, 0] = names[2, 0]

    edit_digit_struct(folder / "train.tar.gz", rename)
    report = prepare(tmp_path / "d", folder).info.metadata["train"]
    assert report["left_out"] == {"listed twice": {"count": 1, "names": ["3.png"]}}
    assert report["kept"] == 99


def test_too_many_unreadable_pictures(tmp_path):
    pictures = [*plain(50), (b"", boxes(0, 1))]
    folder = write_archives(tmp_path / "a", train=pictures, test=plain(1))
    refused(r"train\.tar\.gz: more than 1%.*unreadable picture: 1", tmp_path / "d", folder)
    assert not halves(tmp_path / "d")


def test_nothing_but_long_numbers(tmp_path):
    folder = write_archives(tmp_path / "a", train=[(b"", boxes(0, 6))], test=plain(1))
    refused("no picture that can be used", tmp_path / "d", folder)
    assert not halves(tmp_path / "d")


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_archive(archives, tmp_path, split):
    shutil.copytree(archives, tmp_path / "a")
    (tmp_path / "a" / f"{split}.tar.gz").unlink()
    refused(f"lacks {split}.tar.gz: put archives", tmp_path / "d", tmp_path / "a")
    refused("lacks train.tar.gz, test.tar.gz", tmp_path / "d", tmp_path / "nowhere")
    assert not (tmp_path / "d").exists()


def test_a_damaged_archive_is_found_before_anything_is_written(archives, tmp_path):
    shutil.copytree(archives, tmp_path / "a")
    path = tmp_path / "a" / "test.tar.gz"
    os.truncate(path, path.stat().st_size - 100)
    assert str(path) in refused("is truncated", tmp_path / "d", tmp_path / "a")
    assert not halves(tmp_path / "d")


def as_official(monkeypatch, folder, altered=()):
    """Has the archives in a folder taken for the official ones."""
    from tensorflow_datasets.core.download import checksums

    from stn_jax.data.street_numbers.svhn_full_numbers.svhn_full_numbers_dataset_builder import (
        Builder,
    )

    infos = {}
    for split, path in format1.archives_in(folder).items():
        info = checksums.compute_url_info(path)
        sha256 = "0" * 64 if split in altered else info.checksum
        infos[format1.archive_url(split)] = checksums.UrlInfo(info.size, sha256, path.name)
    monkeypatch.setattr(Builder, "url_infos", infos)


def test_an_official_archive_that_was_altered(archives, tmp_path, monkeypatch):
    as_official(monkeypatch, archives, altered=["test"])
    refused("test.tar.gz is altered.*fetch it again from http", tmp_path, archives)
    assert not halves(tmp_path)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_downloaded_archives_give_the_same(tmp_path, monkeypatch):
    folder = write_archives(tmp_path / "a", train=plain(4), test=plain(2, 9), extra=plain(3, 20))
    with served(folder) as url:
        monkeypatch.setattr(format1, "URL", url)
        as_official(monkeypatch, folder)
        downloaded = prepare(tmp_path / "d", None)
    from_folder = prepare(tmp_path / "e", folder)
    assert downloaded.info.metadata == from_folder.info.metadata
    assert all(report["official"] for report in downloaded.info.metadata.values())
    for split in ("train", "test", "extra"):
        assert_same(read_numbers(downloaded, split), read_numbers(from_folder, split))


def test_no_network(tmp_path):
    message = refused("cannot be reached", tmp_path, None)
    for way_out in (
        "--config.data.source=synthetic",
        "--config.data.manual_dir=DIR",
        "--config.data.data_dir=DIR",
    ):
        assert way_out in message


def test_data_dir_that_cannot_be_written(archives, tmp_path):
    (tmp_path / "file").touch()
    refused(r"file.*choose another --config\.data\.data_dir", tmp_path / "file" / "d", archives)


def test_a_full_disk_leaves_nothing_and_the_next_try_succeeds(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    folder = write_archives(
        tmp_path / "a", train=[(encode(noise), boxes(0, 1))] * 60, test=plain(1)
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files cannot grow beyond a megabyte: a disk that is full, as far as writers can see.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        for _ in range(2):
            refused("File too large.*see to that and run again", tmp_path / "d", folder)
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
    """While another holds the folder this one waits, and then takes what the other has made."""
    folder = tmp_path / "svhn_full_numbers" / "svhn"
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    asks = threading.Event()
    flock = fcntl.flock

    def ask(*args):
        asks.set()
        flock(*args)

    monkeypatch.setattr(fcntl, "flock", ask)
    builders = []
    thread = threading.Thread(target=lambda: builders.append(prepare(tmp_path, archives)))
    thread.start()
    assert asks.wait(60)
    made = data_dir / "svhn_full_numbers" / "svhn" / "1.0.0"
    shutil.copytree(made, folder / "1.0.0")
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    os.close(descriptor)
    thread.join()
    assert builders[0].info.splits["train"].num_examples == 12
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


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
