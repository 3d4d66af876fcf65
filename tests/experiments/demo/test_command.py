import importlib.util
import os
import stat
from pathlib import Path

import pytest

from stn_jax.experiments.demo.command import main, private_environment


def last_words(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_without_gradio_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'stn_jax[demo]'" in last_words([], capsys)


def test_a_wrong_option_gets_one_line(capsys):
    assert "--prot" in last_words(["--prot=1"], capsys)


@pytest.mark.parametrize("port", [-1, 0, 65536, 70000])
def test_a_port_that_there_is_not_gets_one_line(port, capsys):
    assert "--port must be 1 to 65535" in last_words([f"--port={port}"], capsys)


def test_a_folder_that_is_no_run_gets_one_line(tmp_path, capsys):
    pytest.importorskip("gradio", reason="gradio is not installed")
    assert "no config.json" in last_words([f"--workdir={tmp_path}"], capsys)


def test_the_environment_is_restored_and_the_folder_for_uploads_removed(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    before = dict(os.environ)
    folders = []

    def serve():
        with private_environment():
            folders.append(Path(os.environ["GRADIO_TEMP_DIR"]))
            assert stat.S_IMODE(folders[0].stat().st_mode) == 0o700
            assert "https_proxy" not in os.environ
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve()
    assert not folders[0].exists()
    assert os.environ == before


def test_without_a_place_for_uploads_one_line_says_so(monkeypatch, tmp_path, capsys):
    pytest.importorskip("gradio", reason="gradio is not installed")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert "cannot make a folder for uploads" in last_words([], capsys)
