"""What the README shows works as it stands there."""

import re
import runpy
from pathlib import Path

import numpy as np

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_examples_run_and_do_what_they_say():
    names: dict = {}
    for example in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(example, names)
    assert names["grid"].shape == (28, 28, 2)
    assert names["warped"].shape == (8, 28, 28, 1)
    np.testing.assert_allclose(names["theta"], np.tile([[1, 0, 0], [0, 1, 0]], (8, 1, 1)))
    np.testing.assert_allclose(names["outputs"], names["images"], atol=1e-5)


def test_every_config_that_is_named_exists():
    named = re.findall(r"(configs/\w+\.py)(?::([\w,]+))?", README)
    assert len(named) >= 10
    for path, variant in named:
        module = runpy.run_path(str(Path(__file__).parents[1] / path))
        if "get_config" in module:
            assert module["get_config"](variant or None).seed == 0


def test_every_file_that_is_linked_exists():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


def test_the_results_are_those_of_the_report():
    report = (Path(__file__).parents[1] / "results" / "README.md").read_text()
    table = re.search(r"(?:^\|.*\n)+", report, flags=re.MULTILINE)
    assert table and table[0] in README, "copy the first table of results/README.md into README.md"
