import io

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.own_pictures.task import labels, model_name
from stn_jax.experiments.report import illustrations, text_tables
from stn_jax.experiments.report.runs import read_comparable_configs
from tests.experiments.report.fakes import digits_run, findings
from tests.experiments.tiny_pictures import tiny_pictures_config


def run_with(names, right, answers, tmp_path):
    config = tiny_pictures_config("unused", tmp_path, data__classes=tuple(names))
    found = findings(np.asarray(right), np.asarray(answers), (3,))
    return digits_run()._replace(config=config, network=model_name(config), findings=found)


def test_the_errors_of_the_classes_are_named(tmp_path):
    run = run_with(["a <b>", "$x$", "never"], [0, 0, 0, 0, 1], [0, 0, 0, 1, 1], tmp_path)
    table = text_tables.by_group([run])
    assert table.head == ["class", "run"]
    assert table.rows == [["a <b>", "25.00% of 4"], ["$x$", "0.00% of 1"]]
    assert labels(run.config).group_errors_caption == "Error, by class"


def test_pictures_of_a_thousand_classes_stay_small_and_show_the_errors(tmp_path):
    right = np.arange(1000)
    answers = np.where(right == 700, 900, right)
    run = run_with([f"class {number}" for number in right], right, answers, tmp_path)
    (confusion,), (means,) = illustrations.confusion(run), illustrations.class_means(run)
    assert "60 classes with the most errors" in confusion.caption
    for picture in (confusion, means):
        with Image.open(io.BytesIO(picture.png)) as image:
            assert max(image.size) < 5000


def test_runs_with_different_classes_are_not_compared(tmp_path):
    for name, names in (("one", ("a", "b")), ("two", ("a", "c"))):
        (tmp_path / name).mkdir()
        config = tiny_pictures_config("unused", tmp_path, data__classes=names)
        (tmp_path / name / "config.json").write_text(config.to_json())
    with pytest.raises(UserError, match="have different classes"):
        read_comparable_configs([tmp_path / "one", tmp_path / "two"])
