"""Each page with Python code has a notebook with the same code."""

import re
import runpy
from pathlib import Path

import nbformat
import pytest

from tests.docs.page_runner import BLOCKS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
make_notebook = runpy.run_path(str(DOCS / "notebooks.py"))["notebook"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_is_valid_and_has_the_code_and_the_words_of_its_page(page):
    text = page.read_text()
    made = make_notebook(text)
    assert (made is not None) == ("\n```python\n" in text)
    if made is None:
        return
    notebook = nbformat.from_dict(made)
    nbformat.validate(notebook)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert code == [
        (block["python"] or f"%%bash\n{block['sh']}").strip("\n") for block in BLOCKS.finditer(text)
    ]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not re.search(r"\]\((?!https?:)", prose)  # no links to files that are not there
    titles = re.compile(r"^##+ .*$", re.MULTILINE)
    assert len(titles.findall(prose)) == len(titles.findall(BLOCKS.sub("", text)))
