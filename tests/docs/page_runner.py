"""Runs the code of a page, in order: `python -m tests.docs.page_runner PAGE`.

Python blocks share their names. If a block of text follows one, the code must print that text; its
numbers may differ a little, because training ends elsewhere on another processor. Shell blocks run
if `<!-- run -->` stands before them.
"""

import contextlib
import io
import math
import re
import subprocess
import sys
from pathlib import Path

BLOCKS = re.compile(
    r"^```python\n(?P<python>.*?)^```$(?:\n\n```text\n(?P<printed>.*?)^```$)?"
    r"|^<!-- run -->\n```sh\n(?P<sh>.*?)^```$",
    flags=re.DOTALL | re.MULTILINE,
)
NUMBER = re.compile(r"-?\d+(?:\.\d*)?")
STN_JAX = f'stn-jax() {{ {sys.executable} -m stn_jax.experiments.cli "$@"; }}\n'


def run(text: str) -> None:
    """Runs the blocks of a page in the working directory.

    Raises:
        AssertionError: a block prints something else than the page says.
    """
    names: dict = {"__name__": "page"}
    for block in BLOCKS.finditer(text):
        line = text[: block.start()].count("\n") + 1
        if block["sh"]:
            subprocess.run(["bash", "-euo", "pipefail", "-c", STN_JAX + block["sh"]], check=True)
            continue
        code = compile("\n" * line + block["python"], "page", "exec")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, names)
        if block["printed"] is not None:
            assert alike(block["printed"], output.getvalue()), f"line {line}: {output.getvalue()}"


def alike(expected: str, printed: str) -> bool:
    """Returns whether two texts are equal up to spaces and small differences between numbers."""
    numbers = (map(float, NUMBER.findall(text)) for text in (expected, printed))
    return NUMBER.sub("#", expected).split() == NUMBER.sub("#", printed).split() and all(
        math.isclose(one, other, rel_tol=0.4, abs_tol=0.05)
        for one, other in zip(*numbers, strict=True)
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]).read_text())
