"""The documentation site builds without warnings, its links work, and it needs no network.

The site is built once and opened from its files, without a server.
"""

import contextlib
import html.parser
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from tests.browser import horizontal_overflow, watched_page
from tests.experiments.tiny import PATIENCE, REPOSITORY

pytestmark = pytest.mark.stress
WIDTHS = (1400, 800, 390)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "docs", str(site)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return site


class Page(html.parser.HTMLParser):
    """The anchors of a page, the addresses that it links to, and those that it loads by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        self.anchors.add(given.get("id", ""))
        address = given.get("src") or given.get("href", "")
        if tag in ("a", "form"):
            self.links.append(address or given.get("action", ""))
        elif address and given.get("rel") not in ("index", "search", "next", "prev"):
            self.loads.append(address)


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_every_internal_link_leads_to_a_file_and_an_anchor(site, pages):
    assert len(pages) > 30
    for path, page in pages.items():
        for link in page.links + page.loads:
            if re.match(r"(https?|mailto|data):", link):
                continue
            address, anchor = urldefrag(unquote(link))
            target = (path.parent / address.partition("?")[0]).resolve() if address else path
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].anchors, f"{path.relative_to(site)}: {link}"


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert not [load for load in page.loads if re.match(r"(https?:)?//", load)], path
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text()), style


@contextlib.contextmanager
def opened(browser, scheme):
    """Opens a browser page; yields it and the list of what went wrong or was loaded elsewhere."""
    with watched_page(browser, width=WIDTHS[0], color_scheme=scheme) as (page, complaints):
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:"))
                else complaints.append(f"loaded: {request.url}")
            ),
        )
        yield page, complaints


def test_pages_fit_the_window_and_complain_about_nothing(pages, browser):
    for scheme in ("light", "dark"):
        with opened(browser, scheme) as (page, complaints):
            for path in pages:
                page.goto(path.as_uri())
                for width in WIDTHS:
                    page.set_viewport_size({"width": width, "height": 900})
                    assert horizontal_overflow(page) == 0, (path, width)
                # The theme reports what it does on the console.
                assert not [line for line in complaints if not line.startswith("console:")], path


def test_the_search_works_without_a_server(site, browser):
    with opened(browser, "light") as (page, complaints):
        page.goto(f"{(site / 'search.html').as_uri()}?q=sample")
        page.wait_for_selector("ul.search a")
        found = page.eval_on_selector_all("ul.search a", "links => links.map(a => a.textContent)")
        assert any("stn_jax.sample" in title for title in found), found
        # Without a server, browsers show no excerpts of the pages that were found.
        assert not [line for line in complaints if line.startswith("loaded:")]
