"""Tests of whole pages about trained runs."""

from pathlib import Path

import numpy as np
import pytest

from stn_jax.errors import UserError
from stn_jax.experiments.cli import modes
from stn_jax.experiments.report import illustrations, write_report
from stn_jax.experiments.report.runs import read_runs, short_names
from stn_jax.experiments.workdir.run_config import claim_workdir
from stn_jax.transforms import FAMILIES, make_family
from tests.experiments.report.fakes import digits_run
from tests.experiments.report.html import Parsed
from tests.experiments.tiny import tiny_config
from tests.experiments.tiny_numbers import tiny_numbers_config


def test_the_page_needs_nothing_beside_it(compared):
    seen = Parsed(compared.read_text())
    sources = seen.values("src")
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(link.startswith(("#", "data:")) for link in seen.values("href"))
    assert not {"script", "iframe", "object", "base"} & {tag for tag, _ in seen.elements}
    assert "url(" not in compared.read_text() and "@import" not in compared.read_text()


def test_the_page_has_the_results_of_the_runs_and_their_names(compared, workdir, run):
    assert compared == workdir / "comparison.html"  # beside the run's own report
    texts = Parsed(compared.read_text()).texts
    assert {"a & <b>", "run"} <= set(texts)
    found = run.findings
    assert f"{100 * np.mean(found.answers != found.labels):.2f}%" in texts
    assert f"{found.losses.mean():.4f} nats" in texts
    assert "25.00%" in texts


def test_runs_of_one_name_are_distinguished_by_their_paths():
    different, same = [Path("x/a"), Path("x/b")], [Path("x/a"), Path("y/a")]
    assert short_names(different) == ["a", "b"]
    assert short_names(same) == ["x/a", "y/a"]


def test_the_findings_are_the_test_set_in_its_order(run):
    found = run.findings
    assert len(found.losses) == len(found.answers) == len(found.labels) == 1000
    assert found.first.labels.tolist() == found.labels[: len(found.first.labels)].tolist()
    np.testing.assert_array_equal(found.first.images, found.images[: len(found.first.images)])
    worst = found.worst
    assert found.wrong.sum() > len(worst.labels)
    assert (worst.answers != worst.labels).all()
    assert worst.losses[0] == found.losses[found.wrong].max()
    assert (worst.losses[:-1] >= worst.losses[1:]).all()


def test_losses_and_probabilities_are_of_the_same_images(run):
    """They come from two separate loops over the data, with different batch sizes."""
    shown = run.findings.first
    right = shown.answers == shown.labels
    assert right.any()
    np.testing.assert_allclose(np.exp(-shown.losses[right]), shown.probabilities[right], rtol=1e-4)


def test_a_network_without_a_transformer_has_no_pictures_of_one():
    run = digits_run(variant="cnn")
    for draw in (illustrations.theta_history, illustrations.class_means):
        assert not list(draw(run))
    for draw in (illustrations.samples, illustrations.confusion, illustrations.worst):
        assert len(list(draw(run))) == 1


def test_numbers_have_errors_by_length_and_pictures_of_each_transformer(numbers_page):
    seen = Parsed(numbers_page.read_text())
    assert any("by number of digits" in text for text in seen.texts)
    assert "What each transformer reads from its input" in seen.values("alt")
    parameters = [text for text in seen.values("alt") if text.startswith("Parameters of")]
    assert len(parameters) == 2


def test_without_errors_there_are_no_worst_ones():
    run = digits_run()
    perfect = run.findings._replace(answers=run.findings.labels)
    assert not list(illustrations.worst(run._replace(findings=perfect)))


def test_curves_are_of_what_was_recorded():
    run = digits_run()._replace(records=[])
    assert illustrations.curves([run]) == []
    drawn = illustrations.curves([run._replace(records=[{"step": 1, "test_loss": 1.0}]), run])
    assert [picture.caption for picture in drawn] == ["Test loss"]


def claim(folder, config):
    claim_workdir(folder, config)
    return folder


def test_a_report_that_cannot_be_made_gets_one_line(workdir, tmp_path):
    digits = claim(tmp_path / "digits", tiny_config())
    numbers = claim(tmp_path / "numbers", tiny_numbers_config("cnn", tmp_path))
    for folders, message in [
        ([tmp_path / "nowhere"], "no run in"),
        ([workdir, tmp_path / "nowhere"], "no run in"),
        ([digits], "has saved no checkpoint yet"),
        ([workdir, workdir], "is named twice"),
        ([workdir, numbers], "a run of street_numbers, .* is one of distorted_mnist"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            write_report(folders)
        assert "\n" not in str(caught.value)
    assert not (digits / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("result.json", b"["), ("result.json", b"[]"), ("theta.npz", b"junk"), ("theta.npz", b"PK")],
)
def test_a_damaged_file_is_named(workdir, tmp_path, name, content):
    (tmp_path / "config.json").symlink_to(workdir / "config.json")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        read_runs([tmp_path])


def test_the_command_says_where_the_page_is(monkeypatch, capsys):
    monkeypatch.setattr(modes, "write_report", lambda workdirs, path: path or workdirs[0] / "x")
    modes.report(None, ["runs/a", "runs/b"], [])
    modes.report(None, ["runs/a", "runs/b"], [], "page.html")
    assert capsys.readouterr().out == "report: runs/a/x\nreport: page.html\n"


def test_only_a_report_takes_more_than_one_run():
    for command, workdirs, arguments, message in [
        (modes.evaluate, ["a", "b"], [], "given 2 times: only --mode=report"),
        (modes.predict, ["a", "b"], ["digit.png"], "given 2 times: only --mode=report"),
        (modes.report, [], [], "--workdir is missing"),
    ]:
        with pytest.raises(UserError, match=message):
            command(None, workdirs, arguments)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_theta_is_drawn_over_training(family):
    """A homography has nine entries, one of which is fixed."""
    run = digits_run(variant="st_cnn_affine,paper", model__family=family)
    theta = make_family(family).theta(np.array(make_family(family).identity, np.float32))
    recorded = np.broadcast_to(np.ravel(theta), (2, 12, np.size(theta)))
    history = run.theta_history._replace(thetas={"transformer": recorded})
    (drawn,) = illustrations.theta_history(run._replace(theta_history=history))
    assert drawn.caption == "Parameters of the transformer, by digit"
