import json

import pytest
from PIL import Image

from stn_jax.experiments.robustness.command import main
from stn_jax.experiments.robustness.moves import MOVES
from stn_jax.experiments.workdir.run_config import claim_workdir
from tests.experiments.tiny import save_untrained, tiny_config
from tests.experiments.tiny_numbers import tiny_numbers_config


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        config = tiny_config("fcn", eval_batch_size=500)
        save_untrained(config, folder / name)
    return [folder / "a", folder / "b"]


def flags(workdirs):
    return [f"--workdir={workdir}" for workdir in workdirs]


def test_runs_are_shown_side_by_side(workdirs, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main([*flags(workdirs), f"--out={out}"]) == 0
    assert str(out / "robustness.md") in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        f"robustness.{e}" for e in ("json", "md", "png")
    }
    one, other = json.loads((out / "robustness.json").read_text())
    assert (one["run"], other["run"], one["network"], one["step"]) == ("a", "b", "fcn", 0)
    # These runs are of the same network.
    assert one["robustness"] == other["robustness"]
    assert one["robustness"].keys() == MOVES.keys()
    lines = (out / "robustness.md").read_text().splitlines()
    assert len(lines) == len(MOVES) * 4 + len(MOVES) - 1
    turned = " | ".join(f"{error:.2f}" for _, error in one["robustness"]["rotation"])
    assert lines[0] == "| rotation (degrees) | 0 | 15 | 30 | 45 | 60 | 75 | 90 |"
    assert lines[2] == f"| a | {turned} |"
    with Image.open(out / "robustness.png") as plot:
        assert plot.width > 800


WRONG = {
    "nothing": ([], "--workdir is missing"),
    "no run": (["--workdir=nowhere"], "no run in --workdir=nowhere"),
    "empty": (["--workdir="], "--workdir is empty"),
    "twice": (["--workdir={r}", "--workdir={r}"], "is named twice"),
    "other task": (["--workdir={r}", "--workdir={numbers}"], "are not comparable"),
    "no checkpoint": (["--workdir={numbers}"], "no checkpoint"),
    "out": (["--workdir={r}", "--out={r}/config.json/out"], "cannot write to --out="),
    "option": (["--workdir={r}", "--config=x"], "--config=x"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_reported_in_one_line(workdirs, tmp_path, capsys, case):
    arguments, message = WRONG[case]
    claim_workdir(tmp_path / "numbers", tiny_numbers_config("cnn", tmp_path))
    folders = {"r": workdirs[0], "numbers": tmp_path / "numbers"}
    before = sorted(workdirs[0].rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main([argument.format(**folders) for argument in arguments])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert sorted(workdirs[0].rglob("*")) == before
