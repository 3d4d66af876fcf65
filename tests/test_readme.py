"""Tests that what the README shows works as written, and that the documentation is complete."""

import importlib
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from stn_jax.experiments.cli.usage import USAGE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PUBLIC = ["stn_jax", "stn_jax.functional", "stn_jax.linen", "stn_jax.native", "stn_jax.nnx"]
PUBLIC += ["stn_jax.sampling", "stn_jax.transforms", "stn_jax.visualization"]
PAGES += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]


def test_the_python_examples_run_and_do_what_they_say():
    names: dict = {}
    for example in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(example, names)
    assert names["grid"].shape == (28, 28, 2)
    assert names["warped"].shape == (8, 28, 28, 1)
    np.testing.assert_allclose(names["outputs"], names["images"], atol=1e-5)


@pytest.mark.parametrize("page", PAGES)
def test_every_config_that_is_named_exists(page):
    for path, variant in re.findall(
        r"(configs/(?!NAME)\w+\.py)(?::([\w,]+))?", (ROOT / page).read_text()
    ):
        module = runpy.run_path(str(ROOT / path))
        if "get_config" in module:
            assert module["get_config"](*filter(None, [variant])).seed == 0


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_linked_or_named_exists(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"(?:\]\(|src=\")(?!https?:)([^)#\"]+)(?:#[^)]*)?[)\"]", text):
        assert ((ROOT / page).parent / target).exists(), target
    for path in re.findall(r"`((?:stn_jax|tests|configs|benchmarks)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_quick_start_has_all_commands():
    assert f"```text\n{USAGE}```" in (ROOT / "docs" / "quickstart.md").read_text()


def test_the_readme_is_short():
    assert len(README.split()) <= 800


def test_tables_of_results_and_networks_are_those_of_the_records_and_cards():
    tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    for page in tables["PAGES"]:
        text = (ROOT / page).read_text()
        assert tables["with_tables"](text) == text, f"run `python docs/tables.py` to renew {page}"


def test_the_results_say_how_many_of_the_papers_errors_are_reached():
    tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    lines = tables["distorted_mnist"]().splitlines()[2:]
    networks = {row.network for row in tables["find_tables"]()["mnist"].rows if not row.recipe}
    of_the_paper = networks - {"FCN of 256 units"}
    cells = [
        cell.strip()
        for line in lines
        if line.split("|")[1].strip() in of_the_paper
        for cell in line.split("|")[2:-1]
        if cell.strip()
    ]
    reached = sum(cell.startswith("**") for cell in cells)
    results = (ROOT / "docs" / "results.md").read_text()
    assert f"on {reached} of its {len(cells)} errors" in results


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(package):
    reference = "".join(path.read_text() for path in (ROOT / "docs" / "api").glob("*.md"))
    described = re.findall(
        r"^\.\. (?:auto\w+|py:data):: (stn_jax.*)$", reference, flags=re.MULTILINE
    )
    for name in importlib.import_module(package).__all__:
        front = {f"stn_jax.{name}"} if package != "stn_jax.nnx" else set()
        assert ({f"{package}.{name}"} | front) & set(described), name
