"""A real browser for tests: the system's Chromium, headless, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser():
    """Returns Playwright's browser, one for all tests of a process; skips if it is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as engines:
        browser = engines.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def watched_page(browser, *, width: int, height: int = 900, **options) -> Iterator[tuple]:
    """Opens a page of the given size in CSS pixels; yields it and a list of what goes wrong on it.

    The list grows by a line for each console message, uncaught exception, failed request and
    response with a status of 400 or above. `options` are passed to `browser.new_page`, such as
    `color_scheme="dark"`.
    """
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on(
        "response",
        lambda answer: (
            complaints.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
        ),
    )
    try:
        yield page, complaints
    finally:
        page.close()


def horizontal_overflow(page) -> int:
    """Returns by how many CSS pixels the page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def overlaps(page, selector: str) -> list[str]:
    """Returns the pairs of visible elements that overlap by more than a pixel in both directions.

    Elements that contain each other do not count.
    """
    return page.evaluate(
        """selector => {
            const shown = [...document.querySelectorAll(selector)].map(
                element => [element, element.getBoundingClientRect()]
            ).filter(([_, box]) => box.width > 0 && box.height > 0);
            const name = element => element.tagName + " " + element.textContent.trim().slice(0, 40);
            const pairs = [];
            shown.forEach(([one, a], place) => shown.slice(place + 1).forEach(([other, b]) => {
                if (one.contains(other) || other.contains(one)) return;
                const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (width > 1 && height > 1) pairs.push(name(one) + " / " + name(other));
            }));
            return pairs;
        }""",
        selector,
    )
