"""Tests of the parts of a page."""

import base64

from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from stn_jax.experiments.report import html
from stn_jax.experiments.report.text_tables import TextTable
from stn_jax.visualization import png_bytes
from tests.experiments.report.html import Parsed

# Control characters are excluded: a parser may read "\r\n" as one character.
TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1).map(str.strip).filter(bool)
PNG = png_bytes(Figure(figsize=(2, 1), dpi=100))


@given(st.lists(TEXT, min_size=2, max_size=2), TEXT)
def test_any_text_is_shown_as_it_is_and_adds_no_element(texts, caption):
    parts = [
        html.table(TextTable(texts, [texts], marked=1), caption),
        html.figure(PNG, caption),
        html.paragraph(caption),
    ]
    harmless = [
        html.table(TextTable(["a", "b"], [["a", "b"]], marked=1), "c"),
        html.figure(PNG, "c"),
        html.paragraph("c"),
    ]
    seen = Parsed(html.page(caption, caption, {caption: parts}))
    plain = Parsed(html.page("c", "c", {"c": harmless}))
    assert [tag for tag, _ in seen.elements] == [tag for tag, _ in plain.elements]
    assert [sorted(names) for _, names in seen.elements] == [
        sorted(names) for _, names in plain.elements
    ]
    assert seen.values("alt") == [caption]
    shown = [text.strip() for text in seen.texts if text.strip()]
    assert shown.count(caption) >= 6 and [text for text in shown if text in texts]


def test_a_picture_is_inside_of_the_page_with_its_size():
    (image,) = [names for tag, names in Parsed(html.figure(PNG, "a")).elements if tag == "img"]
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == PNG
    assert (image["width"], image["height"]) == ("200", "100")


def test_sections_without_content_are_left_out_and_links_lead_to_the_others():
    seen = Parsed(html.page("a", "b", {"one": [html.paragraph("x")], "none": [], "two": ["y"]}))
    assert "none" not in seen.texts
    targets = [link.removeprefix("#") for link in seen.values("href") if link.startswith("#")]
    assert targets == seen.values("id")
    assert len(targets) == 2
