"""The whole demo, as a person uses it: the command, a browser, a mouse."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from stn_jax.demo.numbers import draw as draw_number
from tests.browser import horizontal_overflow, watched_page
from tests.pictures import blank_png
from tests.training.tiny import REPOSITORY

pytest.importorskip("gradio", reason="gradio is not installed")

PATIENCE = 120  # seconds; a busy machine is slow


@pytest.fixture(scope="module")
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "stn_jax.demo", f"--port={port}"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | {"JAX_PLATFORMS": "cpu"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as server:  # fmt: skip
        try:
            yield _served(f"http://127.0.0.1:{port}", server)
        finally:
            server.terminate()
            said = server.stdout.read()
    assert "Traceback" not in said


def _served(address, server):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return address
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the demo did not start: {server.stdout.read() if server.poll() else ''}")


@pytest.fixture(scope="module")
def opened(browser, address):
    with watched_page(browser, width=1280, height=800) as (page, complaints):
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        page.wait_for_selector(".stn-card")
        yield page, complaints


@pytest.fixture
def page(opened):
    """One page for all tests: each goes to the tab that it is about."""
    page, complaints = opened
    yield page
    assert horizontal_overflow(page) == 0
    assert complaints == []


def answers(page):
    return page.locator(".stn-answer:visible").all_inner_texts()


def wait_for_text(page, selector, pattern):
    page.locator(selector, has_text=re.compile(pattern)).first.wait_for()


def pictures(page):
    return page.evaluate("[...document.querySelectorAll('.stn-views image')].map(i => i.outerHTML)")


def draw(page, *corners):
    """A stroke on the square, through corners in 0..1."""
    box = page.locator("canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def test_a_drawn_digit_is_answered_and_a_slider_changes_the_answer(page):
    page.get_by_role("button", name="Clear").click()
    wait_for_text(page, ".stn-message", "^Nothing is drawn")
    draw(page, (0.3, 0.2), (0.7, 0.2), (0.45, 0.8))
    page.wait_for_selector(".stn-card")
    assert answers(page) == ["7", "7", "7"]

    before = pictures(page)
    turn = page.get_by_label("range slider for Turn left (degrees)")
    turn.fill("40")
    page.wait_for_function(
        "before => document.querySelector('.stn-views image').outerHTML !== before", arg=before[0]
    )
    assert all(old != new for old, new in zip(before, pictures(page), strict=True))

    typed = page.get_by_label("number input for Turn left (degrees)")
    typed.fill("999")  # as far as the slider goes
    wait_for_text(page, ".stn-card h3", "ST-CNN affine")

    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(
        "before => document.querySelector('.stn-views image').outerHTML === before", arg=before[0]
    )
    assert float(turn.input_value()) == 0


def test_a_picked_digit_is_shown_with_its_label(page):
    page.get_by_role("button", name="Pick one").click()
    wait_for_text(page, ".stn-note", r"^MNIST's label: \d$")


def test_a_number_that_is_typed_is_read_and_what_is_none_gets_one_sentence(page):
    page.get_by_role("tab", name="Street numbers").click()
    number = page.get_by_label("Number, 1 to 5 digits")
    number.fill("12")
    wait_for_text(page, ".stn-answer", "^12$")
    number.fill("12a")
    wait_for_text(page, ".stn-message", "^Type a number of 1 to 5 digits")


def test_a_picture_is_read_and_what_is_none_gets_one_sentence(page, tmp_path):
    page.get_by_role("tab", name="Street numbers").click()
    picture = tmp_path / "house.png"
    draw_number("12", scene=7).pixels.save(picture)
    page.set_input_files("input[type=file]", picture)
    wait_for_text(page, ".stn-note", r"^house\.png$")
    wait_for_text(page, ".stn-answer", "^12$")

    text = tmp_path / "text.png"
    text.write_text("this is no picture")
    page.set_input_files("input[type=file]", text)
    wait_for_text(page, ".stn-message", r"^text\.png cannot be read as an image")

    huge = tmp_path / "huge.png"
    huge.write_bytes(blank_png(13_000, 13_000))
    page.set_input_files("input[type=file]", huge)
    wait_for_text(page, ".stn-message", r"^huge\.png has more than 30 megapixels")

    large = tmp_path / "large.png"
    large.write_bytes(bytes(20_000_000))
    page.set_input_files("input[type=file]", large)
    page.get_by_text("maximum allowed size of 5.0 Mb").wait_for()


def test_a_phone_shows_all_of_it(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Digits").click()
    page.get_by_role("button", name="Pick one").click()
    page.get_by_text("ST-CNN affine").wait_for()
    page.get_by_label("range slider for Bend (pixels)").scroll_into_view_if_needed()
    assert page.get_by_text("ST-CNN affine").bounding_box()["y"] < 844
