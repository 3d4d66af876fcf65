"""Makes the parts of a page: from plain text, HTML in which all text is escaped."""

import base64
import struct
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from stn_jax.experiments.report.text_tables import TextTable

SMALLEST_SCALE = 0.66
"""Pictures shrink to this scale in a narrow window; in a narrower one they scroll sideways."""


def page(title: str, introduction: str, sections: Mapping[str, Sequence[str]]) -> str:
    """Returns a whole page that needs no other file.

    Args:
        title: plain text.
        introduction: plain text, a sentence or two.
        sections: HTML parts by plain-text heading; sections without parts are left out.
    """
    style = (resources.files(__package__) / "style.css").read_text()
    filled = {heading: parts for heading, parts in sections.items() if parts}
    links = [
        f'<a href="#section-{number}">{escape(heading)}</a>'
        for number, heading in enumerate(filled)
    ]
    bodies = [
        f'<section id="section-{number}">\n<h2>{escape(heading)}</h2>\n{"".join(parts)}</section>\n'
        for number, (heading, parts) in enumerate(filled.items())
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # Without an icon in the page, browsers request one from its server.
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<header>\n<h1>{escape(title)}</h1>\n"
        f"<p>{escape(introduction)}</p>\n<nav>{' '.join(links)}</nav>\n</header>\n<main>\n"
        f"{''.join(bodies)}</main>\n</body>\n</html>\n"
    )


def paragraph(text: str) -> str:
    """Returns plain text as a paragraph."""
    return f"<p>{escape(text)}</p>\n"


def table(content: TextTable, caption: str) -> str:
    """Returns a table whose first column names its rows, with a plain-text caption."""
    titles = "".join(f'<th scope="col">{escape(text)}</th>' for text in content.head)
    lines = [
        f'<tr class="{"marked" if number < content.marked else "plain"}">'
        f'<th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in rest)
        + "</tr>\n"
        for number, (first, *rest) in enumerate(content.rows)
    ]
    hint = "<small> (scrolls sideways)</small>" if len(content.head) > 2 else ""
    return _scrolled(
        caption,
        f"<table>\n<caption>{escape(caption)}{hint}</caption>\n<thead><tr>{titles}</tr></thead>\n"
        f"<tbody>\n{''.join(lines)}</tbody>\n</table>",
    )


def figure(png: bytes, caption: str) -> str:
    """Returns a picture, embedded as data, with its caption, which is also its alternative text."""
    width, height = struct.unpack(">II", png[16:24])  # a PNG's first chunk starts with its size
    data = base64.b64encode(png).decode()
    image = (
        f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}" width="{width}" '
        f'height="{height}" style="min-width: {SMALLEST_SCALE * width:.0f}px">'
    )
    under = f"<figcaption>{escape(caption)}</figcaption>"
    return f"<figure>\n{_scrolled(caption, image)}{under}\n</figure>\n"


def beside(*parts: str) -> str:
    """Returns the parts side by side where there is room, otherwise one below the other."""
    return f'<div class="beside">\n{"".join(f"<div>{part}</div>" for part in parts)}</div>\n'


def _scrolled(label: str, inner: str) -> str:
    """Returns a box that scrolls sideways, also by keyboard, if its content is too wide."""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">\n{inner}\n'
        "</div>\n"
    )
