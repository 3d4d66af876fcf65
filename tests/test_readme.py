"""Tests that what the README shows works as written."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/experiments.md",
    "docs/own_photographs.md",
    "docs/results.md",
]


def test_the_python_examples_run_and_do_what_they_say():
    names: dict = {}
    for example in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(example, names)
    assert names["grid"].shape == (28, 28, 2)
    assert names["warped"].shape == (8, 28, 28, 1)
    np.testing.assert_allclose(names["theta"], np.tile([[1, 0, 0], [0, 1, 0]], (8, 1, 1)))
    np.testing.assert_allclose(names["outputs"], names["images"], atol=1e-5)


@pytest.mark.parametrize("page", PAGES)
def test_every_config_that_is_named_exists(page):
    for path, variant in re.findall(
        r"(configs/(?!NAME)\w+\.py)(?::([\w,]+))?", (ROOT / page).read_text()
    ):
        module = runpy.run_path(str(ROOT / path))
        if "get_config" in module:
            assert module["get_config"](variant or None).seed == 0


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_linked_or_named_exists(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for path in re.findall(r"`((?:stn_jax|tests|configs|benchmarks)/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_results_are_those_of_the_report():
    report = (ROOT / "results" / "README.md").read_text()
    table = re.search(r"(?:^\|.*\n)+", report, flags=re.MULTILINE)
    assert table and table[0] in README, "copy the first table of results/README.md into README.md"
