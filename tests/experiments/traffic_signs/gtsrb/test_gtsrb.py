import io

import numpy as np
import pytest
from PIL import Image

from stn_jax.experiments.traffic_signs.gtsrb.archives import (
    ARCHIVES,
    TEST,
    TEST_CLASSES,
    TRAINING,
    URL,
    SignPicture,
)
from stn_jax.experiments.traffic_signs.gtsrb.prepared import prepare, read_signs
from stn_jax.experiments.traffic_signs.gtsrb.usable import to_example
from tests.experiments.data.fresh_process import prepare_in_fresh_process
from tests.experiments.data.served import served
from tests.experiments.traffic_signs.archives import (
    HEIGHT,
    TRAINING_FOLDER,
    WIDTH,
    contents,
    csv,
    decode,
    halves,
    picture,
    pictures_to_test,
    pixels,
    ppm,
    prepare_refused,
    training,
    write_archives,
    write_zip,
)


@pytest.fixture(scope="module")
def data_dir(archives, tmp_path_factory):
    """Prepares `archives` in a folder, by a separate process that checks its imports."""
    path = tmp_path_factory.mktemp("data")
    told = prepare_in_fresh_process(
        "from stn_jax.experiments.traffic_signs.gtsrb.prepared import prepare",
        f"prepare({str(path)!r}, {str(archives)!r})",
    )
    assert "train: 24 of 24 signs prepared\ntest: 5 of 5 signs prepared\n" in told
    return path


@pytest.fixture(scope="module")
def builder(data_dir):
    return prepare(data_dir, None)


@pytest.mark.parametrize(
    ("split", "pictures"), [("train", training()), ("test", pictures_to_test())]
)
def test_prepared_is_what_the_archives_hold_in_the_order_of_the_lists(builder, split, pictures):
    found = list(read_signs(builder, split))
    assert [sign.name for sign in found] == [p.name for p in pictures]
    for sign, p in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(decode(sign.png), decode(p.ppm))
        assert sign.label == p.row[-1]
        assert sign.track == (int(p.name[6:11]) if split == "train" else -1)
        np.testing.assert_allclose(sign.roi, [2, 3, 15, 14], rtol=1e-6)
    report = builder.info.metadata[split]
    assert report["kept"] == report["listed"] == len(pictures)
    assert not (report["left_out"] or report["resized"] or report["official"])


def test_tfds_reads_the_same(builder):
    for mine, theirs in zip(
        read_signs(builder, "train"), builder.as_data_source("train"), strict=True
    ):
        np.testing.assert_array_equal(decode(mine.png), theirs["image"])
        assert (mine.label, mine.track) == (theirs["label"], theirs["track"])
        assert theirs["file_name"] == mine.name.encode()
        edges = theirs["roi"][[1, 0, 3, 2]] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        np.testing.assert_allclose(mine.roi, edges, rtol=1e-6)


def test_the_builder_describes_the_data(builder):
    info = builder.info
    assert "one of 43 classes" in info.description
    assert info.citation.count("Stallkamp") == 2
    assert info.redistribution_info.license == "free for research with citation"
    assert info.features["label"].num_classes == 43
    names = {name for names in ARCHIVES.values() for name in names}
    assert set(type(builder).url_infos) == {URL + name for name in names}


def test_the_region_is_the_same_part_of_a_resized_picture(tmp_path, capsys):
    (first, *others) = training()
    resized = first._replace(ppm=ppm(pixels(0, 2 * HEIGHT, WIDTH // 2)))
    folder = write_archives(tmp_path / "a", train=[resized, *others])
    builder = prepare(tmp_path / "d", folder)
    sign, other, *_ = read_signs(builder, "train")
    np.testing.assert_allclose(sign.roi, [1, 6, 7.5, 28], rtol=1e-6)
    np.testing.assert_allclose(other.roi, [2, 3, 15, 14], rtol=1e-6)
    told = capsys.readouterr().err
    assert "24 of 24 signs prepared; of another size than they are listed with: 1\n" in told


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P6 2 1 65535\n" + bytes([255, 255, 128, 0, 0, 0] * 2), [[255, 128, 0]] * 2),
        (b"P3 2 1 15 15 8 0 15 8 0", [[255, 136, 0]] * 2),
        (b"P5 2 1 255\n\x07\x09", [[7, 7, 7], [9, 9, 9]]),
        (b"P4 2 1\n\x80", [[0, 0, 0], [255, 255, 255]]),
    ],
    ids=["16 bits", "text", "grey", "one bit"],
)
def test_other_pictures_of_the_format_become_rgb_of_8_bits(content, expected):
    sign = SignPicture("1.ppm", content, (2, 1, 0, 0, 2, 1, 3))
    png = to_example(sign, "test")[0]["image"]
    np.testing.assert_array_equal(decode(png)[0], expected)
    assert png[24:26] == b"\x08\x02"  # RGB, 8 bits


def bad_rows():
    """Returns rows of CSV files that cannot be used, by the reported reason."""
    good = (WIDTH, HEIGHT, 2, 3, 15, 14, 0)
    return {
        "a number missing in the CSV file": [
            good[:-1],
            (*good[:-1], "stop"),
            (*good[:-1], ""),
            (*good[:-1], "-1"),
            (*good[:-1], "9" * 5000),
            (20.5, *good[1:]),
        ],
        "class not in 0..42": [(*good[:-1], 43)],
        "class of another folder": [(*good[:-1], 7)],
        "region without a size": [
            (WIDTH, HEIGHT, 15, 3, 15, 14, 0),
            (WIDTH, HEIGHT, 2, 14, 15, 3, 0),
            (0, 0, 0, 0, 0, 0, 0),
        ],
        "region outside of the picture": [
            (WIDTH, HEIGHT, 2, 3, WIDTH + 1, 14, 0),
            (WIDTH, HEIGHT, 2, 3, 15, HEIGHT + 1, 0),
        ],
    }


def bad_pictures():
    whole = ppm(pixels(1))
    png = io.BytesIO()
    Image.fromarray(pixels(1)).save(png, "png")
    bomb = b"P6 10000 9000 255\n" + bytes(100)
    return {
        "unreadable picture": [b"", whole[:-1], whole[:5], png.getvalue(), b"P9" + whole[2:]],
        "picture of more than 16777216 pixels": [bomb],
    }


def test_what_cannot_be_used_is_left_out_and_told(tmp_path, capsys):
    bad = [(row, ppm(pixels(1))) for rows in bad_rows().values() for row in rows]
    bad += [((WIDTH, HEIGHT, 2, 3, 15, 14, 0), p) for ps in bad_pictures().values() for p in ps]
    small = ppm(pixels(3, 2, 2))
    train = [
        picture(f"00000/{i // 30:05d}_{i % 30:05d}.ppm", 0)._replace(ppm=small)
        for i in range(100 * (len(bad) + 4))
    ]
    row = train[0].row
    for i, (row_, content) in enumerate(bad):
        train[50 + i] = train[50 + i]._replace(row=row_, ppm=content)
    members = contents(train, pictures_to_test())[TRAINING]
    extra = [
        p._replace(name=name)
        for p, name in [
            (train[2], train[1].name),
            (train[3], "00000/missing.ppm"),
            (train[4], "00000/track.ppm"),
            (train[5], "00000/../00000/00000_00005.ppm"),
        ]
    ]
    members[f"{TRAINING_FOLDER}00000/GT-00000.csv"] = csv([*train, *extra[:3]]) + (
        ";".join(["../00000/00000_00005.ppm", *map(str, row)]).encode()
    )
    members[f"{TRAINING_FOLDER}00000/track.ppm"] = small
    folder = write_archives(tmp_path / "a")
    write_zip(folder / TRAINING, members)
    report = prepare(tmp_path / "d", folder).info.metadata["train"]
    counts = {reason: entry["count"] for reason, entry in report["left_out"].items()}
    assert counts == {
        "listed twice": 1,
        "not in the archive": 2,
        "file name without a track": 1,
        **{reason: len(rows) for reason, rows in bad_rows().items()},
        **{reason: len(these) for reason, these in bad_pictures().items()},
    }
    assert report["kept"] == report["listed"] - sum(counts.values())
    told = capsys.readouterr().err
    assert f"left out, listed twice: 1 ({train[1].name})" in told and told.count("\n") == 2


def test_too_many_that_cannot_be_used(tmp_path):
    train = training()
    train[5] = train[5]._replace(ppm=b"")
    folder = write_archives(tmp_path / "a", train=train)
    told = prepare_refused("more than 1% of its 24 pictures", tmp_path / "d", folder)
    assert "unreadable picture: 1; the last is 00000/00001_00001.ppm" in told
    assert not halves(tmp_path / "d")


def test_other_archives_than_those_prepared_from(data_dir, tmp_path):
    other = write_archives(tmp_path / "a", test=pictures_to_test(count=3))
    told = prepare_refused("traffic signs.*were prepared from other archives", data_dir, other)
    assert str(data_dir) in told and str(other) in told


@pytest.mark.parametrize("name", [TRAINING, TEST, TEST_CLASSES])
def test_a_missing_archive(archives, tmp_path, name):
    folder = write_archives(tmp_path / "a")
    (folder / name).unlink()
    prepare_refused(f"lacks {name}: put GTSRB's archives there", tmp_path / "d", folder)
    assert not (tmp_path / "d").exists()


def test_no_network_tells_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr("stn_jax.experiments.data.tfds_support.answers", lambda url: False)
    told = prepare_refused("cannot be reached", tmp_path, None)
    for way_out in ("--config.data.manual_dir=DIR", "network", "--config.data.data_dir=DIR"):
        assert way_out in told
    assert all(name in told for name in (TRAINING, TEST, TEST_CLASSES))


def test_downloaded_archives_give_the_same_and_count_as_official(archives, tmp_path, monkeypatch):
    from tensorflow_datasets.core.download import checksums

    from stn_jax.experiments.traffic_signs.gtsrb import gtsrb_dataset_builder, prepared

    with served(archives) as url:
        for module in (gtsrb_dataset_builder, prepared):
            monkeypatch.setattr(module, "URL", url)
        infos = {url + path.name: checksums.compute_url_info(path) for path in archives.iterdir()}
        monkeypatch.setattr(gtsrb_dataset_builder.Builder, "url_infos", infos)
        downloaded = prepare(tmp_path / "d", None)
    from_folder = prepare(tmp_path / "e", archives)
    assert downloaded.info.metadata == from_folder.info.metadata
    assert all(report["official"] for report in downloaded.info.metadata.values())
    for split in ("train", "test"):
        signs = zip(read_signs(downloaded, split), read_signs(from_folder, split), strict=True)
        assert all(one.png == other.png for one, other in signs)
