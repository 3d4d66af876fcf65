import json
import os

import jax
import pytest

from stn_jax.experiments.training.environment import environment, note_environment
from stn_jax.native.library import is_available


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_the_device_tells_the_cores_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert environment()["device"].endswith(f" x cpu (cores: {len(allowed)})")
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert environment()["device"].endswith(" x cpu (cores: 1)")
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_settings_that_decide_the_bits_are_recorded(tmp_path):
    note_environment(tmp_path, 0)
    [part] = json.loads((tmp_path / "environment.json").read_text())["parts"]
    assert part == {"from_step": 0, **environment()}
    assert part["settings"]["native_kernels"] == str(is_available())
    assert part["settings"]["jax_enable_x64"] == "False"
    assert part["versions"]["jaxlib"]


def test_a_resume_with_the_same_settings_says_nothing(tmp_path, capsys):
    for step in (0, 10, 20):
        note_environment(tmp_path, step)
    assert capsys.readouterr().err == ""
    [part] = json.loads((tmp_path / "environment.json").read_text())["parts"]
    assert part["from_step"] == 0


def test_a_resume_with_other_settings_says_which_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    note_environment(tmp_path, 0)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with jax.enable_x64():
        note_environment(tmp_path, 10)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("from step 10 on, numbers may differ")
    assert "XLA_FLAGS was unset and is --xla_cpu_enable_fast_math=true" in line
    assert "jax_enable_x64 was False and is True" in line
    parts = json.loads((tmp_path / "environment.json").read_text())["parts"]
    assert [part["from_step"] for part in parts] == [0, 10]
    # Steps 10 to 20 are done again as the first were, and are no longer those of the second part.
    monkeypatch.setenv("XLA_FLAGS", "")
    note_environment(tmp_path, 10)
    assert capsys.readouterr().err == ""
    parts = json.loads((tmp_path / "environment.json").read_text())["parts"]
    assert [part["from_step"] for part in parts] == [0]


def test_a_run_that_recorded_nothing_is_gone_on_with(tmp_path, capsys):
    note_environment(tmp_path, 10)
    assert capsys.readouterr().err == ""
    assert (tmp_path / "environment.json").exists()
