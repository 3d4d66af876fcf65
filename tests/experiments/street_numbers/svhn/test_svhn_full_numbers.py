import io
import tarfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.data import picture_shards
from stn_jax.experiments.street_numbers.svhn import format1
from stn_jax.experiments.street_numbers.svhn.format1 import Box
from stn_jax.experiments.street_numbers.svhn.prepared import prepare, read_numbers
from tests.experiments.data.served import served
from tests.experiments.street_numbers.archives import (
    HEIGHT,
    WIDTH,
    assert_same,
    boxes,
    decode,
    encode,
    halves,
    pixels,
    plain,
    prepare_refused,
    write_archives,
)

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def builder(archives, tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data"), archives)


def test_tfds_reads_the_same(builder):
    source = builder.as_data_source("train")
    for i, (mine, theirs) in enumerate(zip(read_numbers(builder, "train"), source, strict=True)):
        np.testing.assert_array_equal(decode(mine.png), theirs["image"])
        np.testing.assert_array_equal(mine.digits, theirs["digits"])
        assert mine.length == theirs["length"] and theirs["file_name"] == f"{i + 1}.png".encode()
        top, left, bottom, right = np.transpose(theirs["bboxes"])
        edges = np.stack([left * WIDTH, top * HEIGHT, right * WIDTH, bottom * HEIGHT], axis=1)
        np.testing.assert_allclose(mine.boxes, edges, rtol=1e-6)


def test_the_builder_describes_the_data(builder):
    info = builder.info
    assert "house numbers" in info.description and "Netzer" in info.citation
    assert info.redistribution_info.license == "non-commercial use only"
    assert info.homepage == "http://ufldl.stanford.edu/housenumbers/"
    urls = type(builder).url_infos
    sizes = {infos.filename: int(infos.size) for infos in urls.values()}
    assert sizes == {
        "train.tar.gz": 404141560,
        "test.tar.gz": 276555967,
        "extra.tar.gz": 1955489752,
    }
    assert set(urls) == {format1.archive_url(split) for split in format1.SPLITS}


def test_many_shards_hold_the_same(archives, builder, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_shards, "_SHARD_BYTES", 4000)
    sharded = prepare(tmp_path, archives)
    lengths = sharded.info.splits["train"].shard_lengths
    assert len(lengths) > 3 and max(lengths) - min(lengths) <= 1
    for split in ("train", "test"):
        assert_same(read_numbers(sharded, split), read_numbers(builder, split))


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
    """Rewrites an archive after calling `edit` with its digitStruct.mat as an h5py.File."""
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
    """Returns pictures that must be left out, by the reported reason."""
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
    # The report is also available when the prepared data are opened later.
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
    prepare_refused(
        r"more than 1% of its 200 pictures.*not in the archive: 3", tmp_path / "e", folder
    )
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
    prepare_refused(r"train\.tar\.gz: more than 1%.*unreadable picture: 1", tmp_path / "d", folder)
    assert not halves(tmp_path / "d")


def test_a_picture_too_large_to_be_one_is_left_out_before_it_is_decoded(tmp_path):
    bomb = encode(Image.new("1", (10_000, 9_500)))
    assert len(bomb) < 20_000
    folder = write_archives(tmp_path / "a", train=[(bomb, boxes(0, 1))], test=plain(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's
        prepare_refused("picture of more than 16777216 pixels: 1", tmp_path / "d", folder)
    assert not halves(tmp_path / "d")


def test_nothing_but_long_numbers(tmp_path):
    folder = write_archives(tmp_path / "a", train=[(b"", boxes(0, 6))], test=plain(1))
    prepare_refused("no picture that can be used", tmp_path / "d", folder)
    assert not halves(tmp_path / "d")


def as_official(monkeypatch, folder, altered=()):
    """Makes the archives in a folder count as the official ones."""
    from tensorflow_datasets.core.download import checksums

    from stn_jax.experiments.street_numbers.svhn.svhn_full_numbers import Builder

    infos = {}
    for split, path in format1.archives_in(folder).items():
        info = checksums.compute_url_info(path)
        sha256 = "0" * 64 if split in altered else info.checksum
        infos[format1.archive_url(split)] = checksums.UrlInfo(info.size, sha256, path.name)
    monkeypatch.setattr(Builder, "url_infos", infos)


def test_an_official_archive_that_was_altered(archives, tmp_path, monkeypatch):
    as_official(monkeypatch, archives, altered=["test"])
    prepare_refused("test.tar.gz is altered.*fetch it again from http", tmp_path, archives)
    assert not halves(tmp_path)


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
