"""Whole pages about trained runs."""

import json
import re

import pytest

from stn_jax.errors import UserError
from stn_jax.report import render, write_report
from stn_jax.report.runs import read_runs
from stn_jax.training import commands
from stn_jax.workdir import claim_workdir
from tests.report.fakes import digits_run, numbers_run
from tests.report.html import Parsed
from tests.training.tiny import tiny_config
from tests.training.tiny_numbers import tiny_numbers_config


@pytest.fixture(scope="module")
def compared(trained):
    """A page about both runs."""
    return write_report(trained)


def test_the_page_needs_nothing_beside_it(compared):
    seen = Parsed(compared.read_text())
    sources = seen.values("src")
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(link.startswith(("#", "data:")) for link in seen.values("href"))
    assert not {"script", "iframe", "object", "base"} & {tag for tag, _ in seen.elements}
    assert "url(" not in compared.read_text() and "@import" not in compared.read_text()


def test_the_page_has_the_results_of_the_runs_and_their_names(compared, trained):
    assert compared == trained[0] / "report.html"
    texts = Parsed(compared.read_text()).texts
    for workdir in trained:
        result = json.loads((workdir / "result.json").read_text())
        assert workdir.name in texts
        assert f"{result['test_error_percent']:.2f}%" in texts
        assert f"{result['test_loss']:.4f} nats" in texts
        assert f"{result['num_params']:,}" in texts
        assert result["device"] in texts


def test_a_network_without_a_transformer_has_no_pictures_of_one(trained):
    with_transformer, without = (Parsed(render([run])).texts for run in read_runs(trained))
    assert {"Spatial transformers", "Class means"} <= set(with_transformer)
    assert not {"Spatial transformers", "Class means"} & set(without)
    assert {"Curves", "Test images", "Confusion matrix", "Settings"} <= set(without)


def test_the_findings_are_the_test_set_in_its_order(trained):
    run, _ = read_runs(trained)
    found = run.findings
    assert len(found.losses) == len(found.answers) == len(found.labels) == 1000
    assert found.first.labels.tolist() == found.labels[: len(found.first.labels)].tolist()
    worst = found.worst
    wrong = worst.answers != worst.labels
    assert wrong.all() == (found.wrong.sum() >= len(wrong))
    assert worst.losses[0] == found.losses[found.wrong].max()
    assert (worst.losses[:-1] >= worst.losses[1:])[wrong[1:]].all()


def test_numbers_have_errors_by_length_and_pictures_of_each_transformer():
    seen = Parsed(render([numbers_run()]))
    assert any("how many digits" in text for text in seen.texts)
    assert "What each transformer reads of its own input" in seen.values("alt")


def test_without_errors_there_are_no_worst_ones():
    run = digits_run()
    perfect = run.findings._replace(answers=run.findings.labels)
    assert "Worst errors" in Parsed(render([run])).texts
    assert "Worst errors" not in Parsed(render([run._replace(findings=perfect)])).texts


def test_runs_of_one_name_are_told_apart_by_their_paths(trained, tmp_path):
    again = tmp_path / trained[1].name
    again.symlink_to(trained[0])
    assert [run.name for run in read_runs([trained[1], again.resolve()])] == [
        trained[1].name,
        trained[0].name,
    ]


def claim(folder, config):
    claim_workdir(folder, config)
    return folder


def test_what_cannot_be_reported_is_told_in_one_line(trained, tmp_path):
    digits = claim(tmp_path / "digits", tiny_config())
    numbers = claim(tmp_path / "numbers", tiny_numbers_config("cnn", tmp_path))
    for workdirs, message in [
        ([tmp_path / "nowhere"], "no run in"),
        ([trained[0], tmp_path / "nowhere"], "no run in"),
        ([digits], "has saved no checkpoint yet"),
        ([trained[0], trained[0]], "is named twice"),
        ([trained[0], numbers], "a run of street_numbers, .* one of distorted_mnist"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            write_report(workdirs)
        assert "\n" not in str(caught.value)
    assert not (digits / "report.html").exists()


def test_a_damaged_result_is_named(trained, tmp_path):
    for path in trained[1].iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "result.json").unlink()
    (tmp_path / "result.json").write_text("[")
    with pytest.raises(UserError, match=r"result.json cannot be read"):
        read_runs([tmp_path])


def test_the_command_says_where_the_page_is(trained, capsys):
    commands.report(None, [str(trained[1])], [])
    path = re.search("report: (.*)", capsys.readouterr().out)[1]
    assert path == str(trained[1] / "report.html")


def test_only_a_report_takes_more_than_one_run(trained):
    both = [str(workdir) for workdir in trained]
    for command, workdirs, message in [
        (commands.evaluate, both, "given 2 times: only --mode=report"),
        (commands.predict, both, "given 2 times: only --mode=report"),
        (commands.report, [], "--workdir is missing"),
    ]:
        with pytest.raises(UserError, match=message):
            command(None, workdirs, [])
