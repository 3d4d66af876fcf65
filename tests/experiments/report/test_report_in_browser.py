"""Tests of pages in a real browser."""

import pytest

from tests.browser import horizontal_overflow, overlaps, watched_page

BLOCKS = "h1, h2, section, figure, figcaption, img, table, caption, p, nav"


@pytest.fixture
def pages(compared, numbers_page):
    return [compared, numbers_page]


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_pages_fit_the_window_and_nothing_overlaps(browser, pages, width):
    for path in pages:
        with watched_page(browser, width=width) as (page, complaints):
            requested = []
            page.on("request", lambda request, seen=requested: seen.append(request.url))
            page.goto(path.as_uri())
            assert horizontal_overflow(page) <= 0
            assert overlaps(page, BLOCKS) == []
            sizes = page.eval_on_selector_all(
                "img", "images => images.map(i => [i.complete, i.naturalWidth, i.clientWidth])"
            )
            assert sizes and all(done and natural and shown for done, natural, shown in sizes)
            assert complaints == []
            assert [url for url in requested if not url.startswith("data:")] == [path.as_uri()]


def test_text_is_readable_in_light_and_dark(browser, pages):
    """Accessibility guidelines ask for a contrast of 4.5 to 1."""
    for scheme in ("light", "dark"):
        with watched_page(browser, width=800, color_scheme=scheme) as (page, _):
            page.goto(pages[0].as_uri())
            for selector in ("p", "a", "td", "caption", "figcaption", ".marked th"):
                assert contrast(page, selector) >= 4.5, (scheme, selector)


def contrast(page, selector):
    colours = page.evaluate(
        """selector => {
            let element = document.querySelector(selector);
            const text = getComputedStyle(element).color;
            const paint = e => getComputedStyle(e).backgroundColor;
            while (element && paint(element) == "rgba(0, 0, 0, 0)") element = element.parentElement;
            return [text, paint(element)].map(c => c.match(/[0-9.]+/g).slice(0, 3).map(Number));
        }""",
        selector,
    )
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (v / 255 for v in colour)
    ]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
