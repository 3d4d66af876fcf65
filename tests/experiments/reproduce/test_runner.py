"""Tests which rows are run, and that a row that was killed ends like one that was not.

Where the training itself does not matter, it is replaced by made-up results.
"""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from stn_jax.experiments.locks import locked
from stn_jax.experiments.reproduce import forecast, runner
from stn_jax.experiments.reproduce.command import main
from stn_jax.experiments.reproduce.paper_tables import find_tables
from stn_jax.experiments.training.diverged import TrainingDivergedError
from tests.experiments.reproduce.fakes import fake_runs
from tests.experiments.tiny import PATIENCE, REPOSITORY, environment


@pytest.fixture
def trained(monkeypatch):
    """Replaces the training by a function that lists its calls in `asked`.

    Rows in `broken` raise the exception there.
    """
    asked, broken = [], {}

    def train(config, seeds, workdir, robustness):
        row, _ = config.name.rsplit("-", 1)
        asked.append((row, tuple(seeds)))
        if row in broken:
            raise broken[row]
        workdir.mkdir()
        return fake_runs(row, seeds, robustness=robustness)

    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(runner, "train_seeds", train)
    train.asked, train.broken = asked, broken
    return train


def reproduce(out, *arguments, rows="r-fcn"):
    return main(["mnist", f"--out={out}", f"--rows={rows}", *arguments])


def read(out, row="r-fcn", budget="minutes"):
    return json.loads((out / "mnist" / budget / f"{row}.json").read_text())


def test_rows_that_match_are_run_and_recorded(trained, tmp_path, capsys):
    assert reproduce(tmp_path, "--seeds=2", rows="r*-fcn") == 0
    assert trained.asked == [("r-fcn", (0, 1)), ("rts-fcn", (0, 1))]
    record = read(tmp_path)
    assert (record["table"], record["row"], record["budget"]) == ("mnist", "r-fcn", "minutes")
    assert record["config"]["data.distortion"] == "r"
    assert not record["config"].keys() & {"seed", "data.manual_dir", "data.data_dir", "name"}
    assert record["scaled"]["num_epochs"] == [640.0, 8.0]
    assert record["scaled"]["optimizer.name"] == ["sgd", "adam"]
    assert not [key for key in record["scaled"] if key.startswith("model.")]
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert all(run.keys() >= {"commit", "modified"} for run in record["runs"])
    printed = capsys.readouterr().out
    assert "r-fcn: 2.05 ± 0.07 (paper: 2.1); rows left: 1, about" in printed


def test_only_some_rows_are_tested_on_moved_images(trained, tmp_path):
    for row in ("rts-fcn", "rts-deep_cnn-modern"):
        reproduce(tmp_path, "--seeds=2", rows=row)
        for run in read(tmp_path, row)["runs"]:
            assert ("robustness" in run) == (row == "rts-deep_cnn-modern")


def test_an_error_on_other_data_than_the_papers_is_reported_as_such(trained, tmp_path, capsys):
    reproduce(tmp_path, "--budget=trial")
    assert "r-fcn: 2.00 (paper: 2.1, on other data)" in capsys.readouterr().out


def test_a_finished_row_is_not_run_again_and_only_missing_seeds_are(trained, tmp_path):
    reproduce(tmp_path)
    reproduce(tmp_path)
    assert trained.asked == [("r-fcn", (0,))]
    reproduce(tmp_path, "--seeds=3")
    assert trained.asked[1:] == [("r-fcn", (1, 2))]
    assert [run["seed"] for run in read(tmp_path)["runs"]] == [0, 1, 2]
    reproduce(tmp_path, "--seeds=2")
    assert len(trained.asked) == 2


def test_unfinished_work_of_other_seeds_and_settings_is_kept(trained, tmp_path):
    work = tmp_path / ".work" / "mnist" / "minutes" / "r-fcn"
    (work / "1-2-digest").mkdir(parents=True)
    reproduce(tmp_path)
    assert [path.name for path in work.iterdir()] == ["1-2-digest"]


def test_rows_left_are_those_that_are_not_on_record(trained, tmp_path, capsys):
    reproduce(tmp_path, rows="rts-fcn")
    assert "rows to run: 1; on record: 0; about " in capsys.readouterr().out
    reproduce(tmp_path, rows="r*-[fc][cn]n")
    printed = capsys.readouterr().out
    assert "rows to run: 3; on record: 1" in printed
    assert "[3/3] rts-cnn" in printed
    assert "r-cnn: 1.50 (paper: 1.2); rows left: 1, about" in printed


def test_how_long_it_takes_is_judged_by_records(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(forecast, "_RECORDS", tmp_path / "none")
    reproduce(tmp_path)
    assert capsys.readouterr().out.startswith("rows to run: 1; on record: 0\n")
    path = tmp_path / "mnist" / "minutes" / "r-fcn.json"
    record = json.loads(path.read_text())  # 8 epochs
    record["runs"][0] |= {"train_seconds": 90.0, "seeds_together": 2}
    path.write_text(json.dumps(record))
    reproduce(tmp_path, "--budget=paper", "--seeds=2", rows="r*-fcn")  # 640 epochs
    told = "rows to run: 2; on record: 0; about 4.0 h, judged by other records"
    assert told in capsys.readouterr().out
    reproduce(tmp_path, "--budget=trial", rows="rts-fcn")  # of other data
    assert capsys.readouterr().out.startswith("rows to run: 1; on record: 0\n")


def test_rows_are_listed_and_not_run(trained, tmp_path, capsys):
    reproduce(tmp_path)
    capsys.readouterr()
    assert reproduce(tmp_path, "--list", rows="r*-fcn") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["r-fcn", "on", "record", "R,", "FCN"],
        ["rts-fcn", "to", "run", "RTS,", "FCN"],
    ]
    assert len(trained.asked) == 1


def test_another_config_is_run_again_and_replaces_the_record(trained, tmp_path):
    reproduce(tmp_path, "--seeds=2")
    path = tmp_path / "mnist" / "minutes" / "r-fcn.json"
    record = json.loads(path.read_text())
    record["config"]["batch_size"] = 7
    path.write_text(json.dumps(record))
    reproduce(tmp_path)
    assert trained.asked[1:] == [("r-fcn", (0,))]
    assert [run["seed"] for run in read(tmp_path)["runs"]] == [0]


def test_a_row_that_another_process_is_at_is_waited_for_and_not_run_again(trained, tmp_path):
    work = tmp_path / ".work" / "mnist" / "minutes" / "r-fcn"
    work.mkdir(parents=True)
    with locked(work):
        thread = threading.Thread(target=reproduce, args=(tmp_path,))
        thread.start()
        reproduce(tmp_path / "other")
        shutil.copytree(tmp_path / "other" / "mnist", tmp_path / "mnist")
    thread.join()
    assert trained.asked == [("r-fcn", (0,))]  # called by `tmp_path / "other"`


def test_where_data_lie_is_no_other_config(trained, tmp_path):
    reproduce(tmp_path)
    reproduce(tmp_path, "--config.data.manual_dir=elsewhere")
    assert len(trained.asked) == 1
    assert "elsewhere" not in (tmp_path / "mnist" / "minutes" / "r-fcn.json").read_text()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TrainingDivergedError("the loss of step 3 is nan"), "the loss of step 3 is nan"),
        (ValueError("several\nlines"), "ValueError: several lines (more in "),
    ],
)
def test_a_row_that_fails_is_reported_in_one_line_and_the_rest_is_run(
    trained, tmp_path, capsys, error, told
):
    trained.broken["r-cnn"] = error
    assert reproduce(tmp_path, rows="r*-[fc][cn]n") == 1
    assert [row for row, _ in trained.asked] == ["r-fcn", "r-cnn", "rts-fcn", "rts-cnn"]
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith(f"r-cnn FAILED: {told}")
    assert "rows that failed: 1," in printed.out
    report = (tmp_path / "README.md").read_text()
    assert "`r-cnn`" not in report
    assert "`rts-cnn`" in report
    trained.broken.clear()
    assert reproduce(tmp_path, rows="r-cnn") == 0
    assert "`r-cnn`" in (tmp_path / "README.md").read_text()


def test_when_it_is_asked_to_stop_no_other_row_is_begun(trained, tmp_path):
    trained.broken["r-fcn"] = SystemExit(143)
    with pytest.raises(SystemExit, match="143"):
        reproduce(tmp_path, rows="r-*")
    assert [row for row, _ in trained.asked] == ["r-fcn"]


WRONG = {
    "table": (["mnits"], "unknown TABLE 'mnits': did you mean 'mnist'?"),
    "budget": (["mnist", "--budget=minute"], "did you mean 'minutes'?"),
    "rows": (["mnist", "--rows=fcn"], "--rows='fcn' matches no row of mnist; its rows: r-fcn,"),
    "no table": (
        ["--seeds=3"],
        "name a TABLE: mnist (section 4.1), svhn (4.2) or gtsrb",
    ),
    "no seeds": (["mnist", "--seeds=0"], "--seeds must be in 1..100, got 0"),
    "seeds": (["mnist", "--seeds=many"], "--seeds"),
    "option": (["mnist", "--bugdet=minutes"], "--bugdet=minutes"),
    "out": (["mnist", "--out=README.md/results"], "cannot write to --out=README.md/results"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_reported_in_one_line(trained, tmp_path, capsys, case):
    arguments, message = WRONG[case]
    with pytest.raises(SystemExit) as ended:
        main([f"--out={tmp_path}", *arguments])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not trained.asked


def test_tables_are_found_in_any_folder(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(find_tables()) == {"gtsrb", "mnist", "svhn"}


def command(out):
    module = [sys.executable, "-m", "stn_jax.experiments.cli", "reproduce", "mnist"]
    return [*module, "--budget=trial", "--rows=r-fcn", "--seeds=2", f"--out={out}"]


def run_to_its_end(out):
    options = {"cwd": REPOSITORY, "env": environment(1), "capture_output": True, "text": True}
    run = subprocess.run(command(out), timeout=PATIENCE, check=False, **options)
    assert run.returncode == 0, run.stderr
    return run.stdout


def result(out):
    """Returns the record without what depends on the clock and the working tree."""
    record = read(out, budget="trial")
    changing = ("train_seconds", "commit", "modified")
    record["runs"] = [
        {key: value for key, value in one.items() if key not in changing} for one in record["runs"]
    ]
    return record


@pytest.mark.stress
def test_a_row_that_was_killed_ends_as_one_that_never_was(tmp_path):
    run_to_its_end(tmp_path / "whole")
    out = tmp_path / "killed"
    process = subprocess.Popen(command(out), cwd=REPOSITORY, env=environment(1))
    deadline = time.monotonic() + PATIENCE
    while not list(out.glob(".work/mnist/trial/r-fcn/*/checkpoints/188")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(out.glob("mnist/trial/*"))
    assert "Nothing has been run" in (out / "README.md").read_text()
    assert "resuming at step" in run_to_its_end(out)
    assert result(out) == result(tmp_path / "whole")
    assert not list(out.glob(".work/*/*/*/*"))
    [zero, one] = result(out)["runs"]
    assert zero["steps"] == one["steps"] == 500
    assert [examples for examples, _ in zero["error_curve"]] == [
        64 * round(62.5 * epoch) for epoch in range(1, 9)
    ]
    assert zero["error_curve"] != one["error_curve"]
    assert max(run["test_error_percent"] for run in (zero, one)) < 30
