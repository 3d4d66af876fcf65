from pathlib import Path

import pytest

from stn_jax.experiments.cli.parser import Parser, fail


def test_paths_are_read_as_everywhere(monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/somewhere")
    parser = Parser("stn-jax x", None)
    parser.add_path("--out", default="results")
    parser.add_path("--workdir", action="append", default=[])
    assert parser.parse_args([]).out == Path("results")
    assert parser.parse_args(["--out=~/x"]).out == Path("/somewhere/x")
    assert parser.parse_args(["--workdir=~", "--workdir=a"]).workdir == [
        *(Path("/somewhere"), Path("a"))
    ]
    for text, message in [("", "--out is empty"), ("\x1b[31m", r"--out='\x1b[31m' has characters")]:
        with pytest.raises(SystemExit) as ended:
            parser.parse_args([f"--out={text}"])
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith(f"stn-jax x: {message}")


def test_a_message_is_one_line_whatever_it_quotes(capsys):
    with pytest.raises(SystemExit):
        fail("x", "cannot read 'a\n\x1b]0;title\x07\u202eé\udcff'")
    assert capsys.readouterr().err == "x: cannot read 'a \\x1b]0;title\\x07\\u202eé\\udcff'\n"
