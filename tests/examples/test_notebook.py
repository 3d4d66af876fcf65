"""The notebook runs, does what it says, and is committed with the outputs of its cells."""

import re
from pathlib import Path

import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
PATH = ROOT / "examples" / "three_parts.ipynb"
NUMBER = re.compile(r"-?\d+(\.\d*)?(e[-+]?\d+)?")


@pytest.fixture
def kernel_environment(tmp_path, monkeypatch):
    """Sets up a kernel of this interpreter and this checkout, regardless of what is installed."""
    write_kernel_spec(tmp_path / "kernels" / "python3")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's backend draws into the notebook
    return tmp_path


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    """Returns the words that a cell printed, with numbers masked, as rounding may change them."""
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return NUMBER.sub("#", text).split()


def pictures(cell):
    """Returns the media types of each picture that a cell drew."""
    return [sorted(output.data) for output in cell.outputs if output.output_type == "display_data"]


def test_cells_do_what_they_assert_and_the_outputs_in_the_file_are_theirs(kernel_environment):
    stored = nbformat.read(PATH, as_version=4)
    executed = nbformat.read(PATH, as_version=4)
    for cell in code_cells(executed):
        cell.outputs = []
    resources = {"metadata": {"path": str(kernel_environment)}}  # the kernel's working directory
    NotebookClient(executed, timeout=1800, kernel_name="python3", resources=resources).execute()
    for before, now in zip(code_cells(stored), code_cells(executed), strict=True):
        assert printed(before) == printed(now), before.id
        assert pictures(before) == pictures(now), before.id


def test_the_file_holds_one_clean_run_from_top_to_bottom():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}  # no error
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert sum(map(len, map(pictures, cells))) >= 5


def test_the_file_is_small_and_knows_nothing_of_the_machine_it_ran_on():
    text = PATH.read_text()
    assert len(text) < 600_000
    without_pictures = re.sub(r'"image/jpeg": "[^"]*"', "", text)
    assert not re.search(r"/(home|root|tmp|usr|opt|Users)/|site-packages", without_pictures)
    assert nbformat.read(PATH, as_version=4).metadata.kernelspec.name == "python3"
