"""What the pages of the documentation show works as written."""

import os
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

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
    if "import onnxruntime" in (DOCS / page).read_text():
        for name in ("flatbuffers", "onnx", "onnxruntime"):
            pytest.importorskip(name, reason="the extras export and onnx are not installed")
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


@pytest.mark.stress
def test_the_pictures_are_those_that_the_script_draws(tmp_path):
    runpy.run_path(str(DOCS / "pictures.py"))["main"](tmp_path)
    drawn = {path.name: path for path in tmp_path.iterdir()}
    assert drawn.keys() == {path.name for path in (DOCS / "pictures").iterdir()}
    for name, path in drawn.items():
        old, new = (
            np.array(Image.open(each).convert("RGBA"), int)
            for each in (DOCS / "pictures" / name, path)
        )
        assert old.shape == new.shape, name
        assert np.abs(old - new).mean() < 3, name  # grey levels; fonts differ between versions


def anchors(text):
    """Returns the anchors that the headings of a page get on GitHub and on the site."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{p.name}" for p in DOCS.glob("*.md"))]
)
def test_links_to_a_section_lead_to_one(page):
    path = REPOSITORY / page
    text = path.read_text()
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text):
        linked = path.parent / target if target else path
        known = anchors(linked.read_text())
        if linked.name == "performance.md":  # includes the measurements
            known |= anchors((REPOSITORY / "benchmarks" / "results" / "results.md").read_text())
        assert anchor in known, f"{target}#{anchor}"


def test_the_start_page_links_to_every_page():
    linked = re.findall(r"\]\((\w+\.md)\)", (DOCS / "index.md").read_text())
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} == set(linked)


def test_the_commands_of_all_rows_name_a_row_and_a_budget():
    tables = runpy.run_path(str(DOCS / "tables.py"))["find_tables"]()
    rows = re.split(r"^### ", (DOCS / "rows.md").read_text(), flags=re.MULTILINE)[1:]
    command = re.compile(
        r"stn-jax reproduce (\w+) --budget=(\w+) --rows=(\S+)(?: --seeds=\d+)? --out="
    )
    for section in rows:
        row = section.splitlines()[0]
        commands = command.findall(section)
        assert commands, row
        for table, budget, name in commands:
            assert name == row
            assert (REPOSITORY / "results" / table / budget / f"{row}.json").exists()
            assert row in [each.name for each in tables[table].rows]


def test_numbers_of_a_page_may_differ_a_little_and_words_may_not():
    assert alike("error 7%, in\n[8, 28]", "error 8.1%, in [8, 28]\n")
    assert not alike("error 7%", "error 70%")
    assert not alike("error 7%", "loss 7%")
