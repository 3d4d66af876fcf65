"""What the pages of the documentation show works as written."""

import os
import subprocess
import sys

import pytest

from tests.docs.page_runner import BLOCKS, alike
from tests.experiments.tiny import PATIENCE, REPOSITORY

DOCS = REPOSITORY / "docs"
OWN_TEST = {"own_photographs.md"}  # needs photographs
RUNNING = sorted(
    path.name
    for path in DOCS.glob("*.md")
    if BLOCKS.search(path.read_text()) and path.name not in OWN_TEST
)


@pytest.mark.stress
@pytest.mark.parametrize("page", RUNNING)
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, tmp_path):
    if "import equinox" in (DOCS / page).read_text():
        pytest.importorskip("equinox", reason="the extra docs is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.page_runner", str(DOCS / page)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_numbers_of_a_page_may_differ_a_little_and_words_may_not():
    assert alike("error 7%, in\n[8, 28]", "error 8.1%, in [8, 28]\n")
    assert not alike("error 7%", "error 70%")
    assert not alike("error 7%", "loss 7%")
