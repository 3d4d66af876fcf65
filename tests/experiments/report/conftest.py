"""Runs to report on, made and evaluated once per session."""

from pathlib import Path

import pytest

from stn_jax.experiments.report import render, write_report
from stn_jax.experiments.report.runs import read_runs
from tests.experiments.report.fakes import digits_run, numbers_run
from tests.experiments.tiny import save_untrained, tiny_config


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """Returns the folder of a run that was stopped before its first step.

    A report does not depend on what the network has learned, and training would take long.
    """
    folder = tmp_path_factory.mktemp("runs") / "a & <b>"
    save_untrained(tiny_config(), folder)
    return folder


@pytest.fixture(scope="session")
def run(workdir):
    return read_runs([workdir])[0]


@pytest.fixture(scope="session")
def compared(workdir, run):
    """Returns the path of a page that compares that run with another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stn_jax.experiments.report.read_runs", lambda folders: [run, digits_run()])
        return write_report([workdir, Path("unread")])


@pytest.fixture(scope="session")
def numbers_page(tmp_path_factory):
    """Returns the path of a page about a run on street numbers."""
    path = tmp_path_factory.mktemp("numbers") / "report.html"
    path.write_text(render([numbers_run()]))
    return path
