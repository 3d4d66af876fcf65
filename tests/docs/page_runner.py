"""Runs the code of a page, in order: `python -m tests.docs.page_runner PAGE`.

Python blocks share their names. If a block of text follows one, the code must print that text, in
which `...` stands for anything. Shell blocks run if `<!-- run -->` stands before them.
"""

import contextlib
import doctest
import io
import re
import subprocess
import sys
from pathlib import Path

BLOCKS = re.compile(
    r"^```python\n(?P<python>.*?)^```$(?:\n\n```text\n(?P<printed>.*?)^```$)?"
    r"|^<!-- run -->\n```sh\n(?P<sh>.*?)^```$",
    flags=re.DOTALL | re.MULTILINE,
)
STN_JAX = f'stn-jax() {{ {sys.executable} -m stn_jax.experiments.cli "$@"; }}\n'


def run(text: str) -> None:
    names: dict = {"__name__": "page"}
    for block in BLOCKS.finditer(text):
        line = text[: block.start()].count("\n") + 1
        if block["sh"]:
            subprocess.run(["bash", "-euo", "pipefail", "-c", STN_JAX + block["sh"]], check=True)
            continue
        code = compile("\n" * line + block["python"], "page", "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, names)
        if block["printed"] is not None:
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            fits = doctest.OutputChecker().check_output(block["printed"], printed.getvalue(), flags)
            if "-v" in sys.argv: print(printed.getvalue(), file=sys.stderr)
            assert fits, f"line {line} printed:\n{printed.getvalue()}"


if __name__ == "__main__":
    run(Path(sys.argv[1]).read_text())
