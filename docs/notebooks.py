"""Makes a notebook of each page that has Python code, for readers to download and run."""

import json
import re
from pathlib import Path

CODE = re.compile(
    r"^```python\n(?P<python>.*?)^```$|^<!-- run -->\n```sh\n(?P<sh>.*?)^```$",
    flags=re.DOTALL | re.MULTILINE,
)
PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)[^)]*\)")
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")


def notebook(page: str) -> dict | None:
    """Returns a page as a notebook of nbformat 4.5; None if it has no Python code."""
    cells: list[dict] = []
    end = has_python = 0

    def add(kind: str, text: str, **more: object) -> None:
        if text.strip():
            about = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}}
            cells.append(about | {"source": text.strip("\n")} | more)

    for block in CODE.finditer(page):
        add("markdown", _alone(page[end : block.start()]))
        text = block["python"] or f"%%bash\n{block['sh']}"
        add("code", text, execution_count=None, outputs=[])
        has_python += bool(block["python"])
        end = block.end()
    add("markdown", _alone(page[end:]))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    about = {"metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    return {"cells": cells} | about if has_python else None


def _alone(text: str) -> str:
    """Returns text without links to other pages and to pictures."""
    return LINK.sub(r"\1", PICTURE.sub("", text))


def add_link(app, page, source) -> None:
    """Adds a link to a page's notebook below its title."""
    if notebook(source[0]):
        link = f'<a href="notebooks/{page}.ipynb" download>Download as a notebook</a>'
        source[0] = re.sub(r"\A(# .*\n)", rf"\1\n{link}\n", source[0])


def write_notebooks(app, exception) -> None:
    """Writes the notebook of each page to the folder `notebooks` of the site."""
    folder = Path(app.outdir, "notebooks")
    folder.mkdir(exist_ok=True)
    for path in Path(app.srcdir).glob("*.md"):
        if made := notebook(path.read_text()):
            text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
            (folder / f"{path.stem}.ipynb").write_text(text)
