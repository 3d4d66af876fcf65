import csv
import functools
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError, printable
from stn_jax.experiments import trained_networks
from stn_jax.experiments.cli import modes
from stn_jax.experiments.predict_files import PredictionWriter, picture_paths, predict_files
from stn_jax.experiments.pretrained import load_pretrained
from stn_jax.transforms import make_family


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Returns the paths of seven strokes that differ, the third of which cannot be read."""
    folder = tmp_path_factory.mktemp("digits")
    for place in range(7):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[4:24, 12 : 14 + place] = 255
        Image.fromarray(pixels).save(folder / f"{place}.png")
    (folder / "2.png").write_text("no picture")
    return sorted(folder.iterdir())


def test_files_are_answered_in_batches_of_one_size_as_one_by_one(digits, monkeypatch):
    shapes = []

    def noted(model, state, images):
        shapes.append(images.shape)
        return look(model, state, images)

    look = trained_networks._look
    monkeypatch.setattr(trained_networks, "_look", noted)
    network = load_pretrained("st_cnn_affine")
    alone = [outcome for path in digits for outcome in predict_files(network, [path])]
    assert shapes == [(1, 42, 42, 1)] * 6

    shapes.clear()
    network.config.eval_batch_size = 4
    together = list(predict_files(network, digits))
    assert shapes == [(4, 42, 42, 1)] * 2

    errors, predictions = (
        [(path, outcome) for path, outcome in together if isinstance(outcome, UserError) == wrong]
        for wrong in (True, False)
    )
    assert [(path, str(path) in str(error)) for path, error in errors] == [(digits[2], True)]
    paths = [*digits[:2], *digits[3:]]
    assert [path for path, _ in predictions] == paths
    del alone[2]
    predictions = [outcome for _, outcome in predictions]
    for (_, one), other in zip(alone, predictions, strict=True):
        assert [answer.text for answer in one.answers] == [answer.text for answer in other.answers]
        for first, second in zip(one.answers, other.answers, strict=True):
            assert first.probability == pytest.approx(second.probability, abs=1e-5)
        for field in ("theta", "inputs", "grid", "outputs"):
            first, second = (getattr(x.transformers["transformer"], field) for x in (one, other))
            np.testing.assert_allclose(first, second, atol=1e-5)
    thetas = [prediction.transformers["transformer"].theta for prediction in predictions]
    assert len(set(map(str, thetas))) == 6


def test_a_folder_stands_for_the_pictures_in_it(tmp_path):
    for name in ("b.PNG", "deep/er/a.jpg", "notes.txt", "c.png.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    alone = tmp_path / "notes.txt"
    assert picture_paths([alone, tmp_path]) == [
        *(alone, tmp_path / "b.PNG", tmp_path / "deep" / "er" / "a.jpg")
    ]
    with pytest.raises(UserError, match=r"folder\.png holds no pictures"):
        picture_paths([tmp_path / "folder.png"])


def table(folder):
    text = (folder / "predictions.csv").read_bytes().decode(errors="surrogateescape")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_and_a_picture_per_file_are_written(digits, tmp_path, capsys):
    twin = tmp_path / "other" / digits[0].name
    twin.parent.mkdir()
    shutil.copy(digits[0], twin)
    odd = tmp_path / os.fsdecode(b"\xe9 \x1b[31m.png")
    shutil.copy(digits[1], odd)
    out = tmp_path / "new" / "out"
    with pytest.raises(ExceptionGroup):  # one file cannot be read
        modes.predict(
            *(None, [], [str(digits[0].parent), str(twin), str(odd)]),
            pretrained="st_cnn_affine",
            out=str(out),
        )
    printed = capsys.readouterr().out.splitlines()
    rows = table(out)
    assert [row["file"] for row in rows if row["error"]] == [str(digits[2])]
    assert list(rows[0])[:4] == ["file", "error", "picture", "answer"]
    read = [row for row in rows if not row["error"]]
    assert {row["file"] for row in read} == {
        *(str(path) for path in digits if path != digits[2]), str(twin), str(odd),
    }  # fmt: skip
    for row, line in zip(read, printed, strict=False):
        assert line.startswith(f"{printable(row['file'])}: {row['answer']} (")
        assert line.endswith(f"; {row['motion']}")
        chances = [float(row[f"probability{place}"]) for place in ("", "_2", "_3")]
        assert chances == sorted(chances, reverse=True)
        theta = np.array(row["theta"].split(), float).reshape(2, 3)
        motion = make_family("affine").motion(theta, source_shape=(42, 42))
        assert str(motion) == row["motion"]
        assert float(row["turn"]) == pytest.approx(float(motion.turn), abs=1e-2)
    pictures = [row["picture"] for row in read]
    assert len(set(pictures)) == len(read) == 8
    assert sorted(pictures) == sorted(path.name for path in out.glob("*.png"))
    assert {"0.png", "0-2.png"} <= set(pictures)
    with Image.open(out / "0.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_what_was_answered_is_in_the_table_if_the_rest_is_not(digits, tmp_path):
    ((path, prediction),) = predict_files(load_pretrained("cnn"), digits[:1])

    def stopped():
        with PredictionWriter(tmp_path) as written:
            written.add(path, prediction)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    (row,) = table(tmp_path)
    assert row["file"] == str(digits[0]) and "theta" not in row


def test_a_folder_that_cannot_be_made_gets_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the folder"):
        PredictionWriter(tmp_path / "file")


def test_the_tables_agree_and_crops_are_what_the_transformer_passed_on(digits, tmp_path, capsys):
    paths = [str(path) for path in (*digits[:2], *digits[3:])]
    predict = functools.partial(modes.predict, None, [], paths, pretrained="st_cnn_affine", top=4)
    predict(out=str(tmp_path / "all"), save_crops=True)
    for name in ("alone.csv", "alone.json"):
        predict(out=str(tmp_path / name))
    assert len(capsys.readouterr().out.splitlines()) == 3 * (len(paths) + 1)

    records = json.loads((tmp_path / "all" / "predictions.json").read_text())
    rows = table(tmp_path / "all")
    network = load_pretrained("st_cnn_affine")
    for path, record, row in zip(paths, records, rows, strict=True):
        assert record["file"] == row["file"] == path
        chances = [row[f"probability{place}"] for place in ("", "_2", "_3", "_4")]
        assert [answer["probability"] for answer in record["answers"]] == [*map(float, chances)]
        (transformer,) = record["transformers"]
        assert transformer["theta"] == [*map(float, row["theta"].split())]
        image = network.preprocess(path)
        ((_, prediction),) = predict_files(network, [Path(path)])
        outputs = prediction.transformers["transformer"].outputs[..., 0]
        with Image.open(tmp_path / "all" / record["crop"]) as crop:
            assert crop.size == outputs.shape[::-1]
            low, high = image.min(), image.max()
            shares = np.asarray(crop) / 255 * (high - low) + low
            np.testing.assert_allclose(shares, outputs.clip(low, high), atol=0.01)

    alone = json.loads((tmp_path / "alone.json").read_text())
    assert [{"picture", "crop"} & record.keys() for record in alone] == [set()] * len(paths)
    assert [record["answers"] for record in alone] == [record["answers"] for record in records]
    assert (tmp_path / "alone.csv").read_text().count("\n") == 1 + len(paths)
    assert not (tmp_path / "crops").exists()


def test_crops_need_a_transformer(digits, tmp_path):
    with pytest.raises(UserError, match="no transformer at its input, so no crops"):
        modes.predict(
            *(None, [], [str(digits[0])]), pretrained="cnn", out=str(tmp_path), save_crops=True
        )
    assert not list(tmp_path.glob("*.csv"))
