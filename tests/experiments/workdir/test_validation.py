"""Tests that files which parse, but are not what they should be, are refused in one line."""

import io
import json
import math
import random

import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.reproduce.paper_tables import find_tables
from stn_jax.experiments.reproduce.results_page import render
from stn_jax.experiments.reproduce.row_records import add_runs, read_record, record_path
from stn_jax.experiments.training.environment import note_environment
from stn_jax.experiments.workdir.film_frames import read_frames
from stn_jax.experiments.workdir.metrics import MetricLog, read_metrics
from stn_jax.experiments.workdir.result import read_result, write_result
from stn_jax.experiments.workdir.run_config import claim_workdir, read_config
from stn_jax.experiments.workdir.theta_history import add_thetas, read_theta_history
from tests.experiments.reproduce.fakes import fake_runs
from tests.experiments.tiny import tiny_config

STRANGE = (None, True, -1, 0.5, math.nan, math.inf, 10**400, "x", [], ["x"], {}, {"x": 1}, [[1], 2])
RESULT = {
    **{"epochs": 2.0, "train_seconds": 3.0, "num_params": 3, "steps": 4},
    **{"dataset": "mnist", "model": "fcn", "device": "1 x cpu"},
    "versions": {"jax": "0.10.2", "flax": "0.12.8"},
}


def altered(content, rng):
    """Returns JSON content with one entry, at any depth, removed or replaced."""
    if not isinstance(content, dict | list) or not content or rng.random() < 0.2:
        return rng.choice(STRANGE)
    content = content.copy()
    key = rng.choice([*content] if isinstance(content, dict) else range(len(content)))
    if rng.random() < 0.3:
        del content[key]
    else:
        content[key] = altered(content[key], rng)
    return content


def is_one_line(error):
    return len(str(error.value).splitlines()) == 1


def refusal(use, path):
    """Returns the message of the UserError that `use(path)` raises, if it raises one."""
    try:
        use(path)
    except UserError as error:
        return str(error)
    return None


@pytest.fixture
def files(tmp_path):
    """Returns each JSON file of a run or a table, and a function that reads and uses it."""
    claim_workdir(tmp_path, tiny_config())
    write_result(tmp_path, RESULT)
    note_environment(tmp_path, 0)
    table = find_tables()["mnist"]
    add_runs(tmp_path, "mnist", table, "minutes", "r-fcn", fake_runs("r-fcn", (0, 1)))

    def use_result(path):
        result = read_result(path.parent)
        f"{result['num_params']:,} {result['train_seconds']:.0f} {result['versions']['flax']}"
        ", ".join(f"{name} {version}" for name, version in result["versions"].items())

    return {
        tmp_path / "config.json": lambda path: claim_workdir(path.parent, tiny_config()),
        tmp_path / "result.json": use_result,
        tmp_path / "environment.json": lambda path: note_environment(path.parent, 5),
        record_path(tmp_path, "mnist", "minutes", "r-fcn"): lambda path: render(
            tmp_path, {"mnist": table}
        ),
    }


@pytest.mark.parametrize("seed", range(60))
def test_altered_json_is_used_or_refused(files, seed):
    rng = random.Random(seed)
    for path, use in files.items():
        content = json.loads(path.read_text())
        path.write_text(json.dumps(altered(content, rng)))
        message = refusal(use, path)
        assert message is None or (str(path.parent) in message and "\n" not in message)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[" * 100_000, b"\xff\xfe{\x00}\x00", b"\x00" * 50, b'{"a": \xff}'],
    ids=["empty", "half", "null", "deep", "utf-16", "zeros", "latin-1"],
)
def test_what_is_no_json_is_refused(files, content):
    for path, use in files.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{path.name} cannot be read") as error:
            use(path)
        assert is_one_line(error)
        path.unlink()
        path.mkdir()
        with pytest.raises(UserError, match=f"{path.name} cannot be read: Is a directory"):
            use(path)


def test_files_that_an_editor_wrote_otherwise_are_read(files):
    for path, use in files.items():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        use(path)


def test_a_result_without_an_entry_names_it(tmp_path):
    for name in RESULT:
        write_result(tmp_path, {key: value for key, value in RESULT.items() if key != name})
        with pytest.raises(UserError, match=f"result.json cannot be read: it has no {name}"):
            read_result(tmp_path)


def test_a_record_in_another_rows_place_is_refused(tmp_path):
    table = find_tables()["mnist"]
    add_runs(tmp_path, "mnist", table, "minutes", "r-fcn", fake_runs("r-fcn", (0,)))
    path = record_path(tmp_path, "mnist", "minutes", "r-fcn")
    with pytest.raises(UserError, match=r"it is the record of r-fcn, budget minutes"):
        read_record(path.rename(path.with_name("r-cnn.json")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mnist = 3", "mnist must be a table"),
        ("[mnist]\nminutes = 3", "mnist.minutes must be a table"),
        ("[mnist.minutes]\nr-fcn = 3", "r-fcn must be a text in one line"),
        ('[mnist.minutes]\nr-fcn = """\ntwo\nlines"""', "r-fcn must be a text in one line"),
        ("a = " + "[" * 100_000, "cannot be read"),
        (b"\xff", "cannot be read"),
    ],
)
def test_notes_of_another_form_are_refused(tmp_path, text, problem):
    path = tmp_path / "notes.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=rf"notes.toml.*{problem}") as error:
        render(tmp_path, find_tables())
    assert is_one_line(error)


LINES = [json.dumps({"step": n, "loss": [0.5, n], "train_seconds": 0.1 * n}) for n in range(1, 6)]


@pytest.mark.parametrize("end", ['{"step": 6, "loss"', "\0\0\0", "\xff", "[" * 100_000])
def test_a_torn_last_line_of_the_metrics_is_dropped(tmp_path, end):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join([*LINES, end]).encode("latin-1"))
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3, 4, 5]
    with MetricLog(tmp_path, start_step=5):
        assert path.read_text().splitlines() == LINES


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[]", "3", "\xff", "\0", '{"loss": 1}', '{"step": "3"}', '{"step": 3.5}'),
        *('{"step": -1}', '{"step": 99999999999999}', '{"step": true}', '{"step": 3, "loss": "x"}'),
        *('{"step": 3, "loss": [[1], 2]}', '{"step": 3, "train_seconds": NaN}'),
        *('{"step": 3, "train_seconds": [1]}', '{"step": 3, "loss": {}}', "[" * 100_000),
    ],
)
def test_a_damaged_line_among_the_metrics_is_named_and_kept(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join([*LINES[:2], line, *LINES[3:], ""]).encode("latin-1"))
    before = path.read_bytes()
    for read in (lambda: read_metrics(path), lambda: MetricLog(tmp_path, start_step=5)):
        with pytest.raises(
            UserError, match=r"metrics.jsonl cannot be read: line 3 is damaged"
        ) as e:
            read()
        assert is_one_line(e)
    assert path.read_bytes() == before


def archive(arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


THETAS = {"steps": np.arange(2), "labels": np.arange(3), "theta:t": np.zeros((2, 3, 6), np.float32)}
FRAME = {
    "answers": np.array(["1", "2"]),
    "labels": np.array(["1", "3"]),
    "0/inputs": np.zeros((2, 8, 8, 1), np.float16),
    "0/grids": np.zeros((2, 4, 4, 2), np.float16),
    "0/outputs": np.zeros((2, 4, 4, 1), np.float16),
}
ARRAYS = (
    *(np.zeros(0), np.zeros(()), np.zeros((2, 3, 7), "f4"), np.arange(5), np.array("x")),
    *(
        np.full((2, 3, 6), np.nan, "f4"),
        np.zeros((2, 4, 4, 3)),
        np.array([None]),
        np.arange(2)[::-1],
    ),
)


@pytest.mark.parametrize("name", [*THETAS, "0"])
def test_a_history_of_thetas_with_other_arrays_is_refused(tmp_path, name):
    for array in ARRAYS:
        (tmp_path / "theta.npz").write_bytes(archive(THETAS | {name: array}))
        message = refusal(read_theta_history, tmp_path)
        if name != "0" and not (name == "theta:t" and array.shape == (2, 3, 7)):
            assert "theta.npz" in message


def test_thetas_of_another_network_are_not_mixed(tmp_path):
    add_thetas(tmp_path, 0, {"a": np.zeros((3, 6))}, np.arange(3))
    before = (tmp_path / "theta.npz").read_bytes()
    for thetas in ({"a": np.zeros((3, 8))}, {"b": np.zeros((3, 6))}, {"a": np.zeros((2, 6))}):
        with pytest.raises(UserError, match=r"theta.npz is the record of another run"):
            add_thetas(tmp_path, 1, thetas, np.arange(len(next(iter(thetas.values())))))
    assert (tmp_path / "theta.npz").read_bytes() == before


@pytest.mark.parametrize("name", [*FRAME, "1/inputs"])
def test_a_frame_with_other_arrays_is_refused(tmp_path, name):
    (tmp_path / "film").mkdir()
    path = tmp_path / "film" / "000000003.npz"
    path.with_name("notes.npz").write_bytes(b"not a frame")
    path.write_bytes(archive(FRAME))
    assert [frame.step for frame in read_frames(tmp_path)] == [3]
    for array in ARRAYS:
        path.write_bytes(archive(FRAME | {name: array}))
        message = refusal(read_frames, tmp_path)
        if not (array.ndim == 4 and name in ("0/inputs", "0/outputs")):
            assert "000000003.npz" in message


def test_frames_of_other_examples_are_refused(tmp_path):
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "000000003.npz").write_bytes(archive(FRAME))
    other = FRAME | {"labels": np.array(["7", "8"])}
    (tmp_path / "film" / "000000004.npz").write_bytes(archive(other))
    with pytest.raises(UserError, match=r"000000004.npz shows something else than .*000000003.npz"):
        read_frames(tmp_path)


@pytest.mark.parametrize("content", [b"x", np.arange(3).tobytes(), b"\x93NUMPY\x01\x00v\x00{"])
def test_arrays_that_are_no_archive_are_refused(tmp_path, content):
    (tmp_path / "theta.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"theta.npz cannot be read: remove it"):
        read_theta_history(tmp_path)
    np.save(tmp_path / "theta", np.arange(3))
    (tmp_path / "theta.npy").rename(tmp_path / "theta.npz")
    with pytest.raises(UserError, match=r"theta.npz cannot be read: remove it"):
        read_theta_history(tmp_path)


def test_the_config_with_a_byte_order_mark_is_read(tmp_path):
    claim_workdir(tmp_path, tiny_config())
    path = tmp_path / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_config(tmp_path).batch_size == 32


def test_temporary_files_of_a_killed_process_are_removed(tmp_path):
    claim_workdir(tmp_path, tiny_config())
    (tmp_path / "film").mkdir()
    names = ".config.json.999999999-0123abcd.tmp", "film/.000000003.npz.999999999-0123abcd.tmp"
    for name in names:
        (tmp_path / name).write_text("half")
    claim_workdir(tmp_path, tiny_config())
    assert not list(tmp_path.rglob(".*"))
