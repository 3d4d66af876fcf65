"""Tests of the whole demo as a person uses it: the command, a browser and a mouse."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request

import pytest

from stn_jax.experiments.demo.numbers import draw as draw_number
from stn_jax.experiments.traffic_signs.drawn_signs import View, photograph
from tests.browser import horizontal_overflow, watched_page
from tests.experiments.tiny import PATIENCE, REPOSITORY, save_untrained
from tests.experiments.tiny_pictures import tiny_pictures_config
from tests.experiments.tiny_signs import tiny_signs_config
from tests.pictures import blank_png

pytest.importorskip("gradio", reason="gradio is not installed")

CHANCES = """() => [...document.querySelectorAll(".stn-bars")].map(
    bars => [...bars.querySelectorAll("div")].map(bar => bar.title).join(" "))"""
CHANGED, SAME = "now.join() !== others.join()", "now.join() === others.join()"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Returns the folders of two runs as training leaves them, but untrained."""
    folder = tmp_path_factory.mktemp("runs")
    pets = tiny_pictures_config("", "", data__classes=("cat", "dog"), data__size=(16, 24))
    configs = {"my signs": tiny_signs_config("single", ""), "my pets": pets}
    for name, config in configs.items():
        save_untrained(config, folder / name)
    return [folder / name for name in configs]


@pytest.fixture(scope="module")
def demo(tmp_path_factory, runs):
    """Returns the demo's address and its folder for uploads. It is started with dead proxies."""
    temporary = tmp_path_factory.mktemp("temporary")
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "socks5://127.0.0.1:9")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "stn_jax.experiments.cli", "demo", f"--port={port}"]
    command += [f"--workdir={run}" for run in runs]
    with subprocess.Popen(
        command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "TMPDIR": str(temporary)} | proxies,
    ) as server:  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(address, server)
            (uploads,) = temporary.glob("stn-jax-demo-*")
            yield address, uploads
        finally:
            server.send_signal(signal.SIGTERM)
            said, _ = server.communicate()
    assert re.fullmatch(rf"({address} \(stop with Ctrl-C\)\n)?stn-jax: stopped\n", said)
    assert server.returncode == 143
    assert not uploads.exists()


def _wait_for(address, server):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the demo did not start: {server.stdout.read() if server.poll() else ''}")


def test_uploads_are_private_and_from_the_page_itself(demo):
    address, uploads = demo
    assert stat.S_IMODE(uploads.stat().st_mode) == 0o700

    def upload(**headers):
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
            b"picture\r\n--x--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"} | headers
        connection.request("POST", "/gradio_api/upload", body, headers)
        return connection.getresponse()

    assert upload(Host="evil.example").status == 403
    assert upload(Origin="http://evil.example").status == 403
    assert not list(uploads.rglob("*.png"))
    response = upload(Origin=address)
    assert response.status == 200
    (path,) = json.load(response)
    assert path.startswith(str(uploads))


@pytest.fixture(scope="module")
def opened(browser, demo):
    with watched_page(browser, width=1280, height=800) as (page, complaints):
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(demo[0])
        page.get_by_role("tab", name="Digits").click()  # the user's own pictures come first
        page.wait_for_selector(".stn-card")
        yield page, complaints


@pytest.fixture
def page(opened):
    """Returns one page for all tests; each test opens the tab that it needs."""
    page, complaints = opened
    yield page
    assert horizontal_overflow(page) == 0
    assert complaints == []


def answers(page):
    return page.locator(".stn-answer:visible").all_inner_texts()


def wait_for_text(page, selector, pattern):
    page.locator(selector, has_text=re.compile(pattern)).first.wait_for()


def chances(page):
    """Returns the probabilities that each network shows, such as "7: 98.1%"."""
    return page.evaluate(f"({CHANCES})()")


def wait_for_chances(page, condition, others):
    """Waits until the page's `chances` meet `condition`, JavaScript on `now` and `others`."""
    page.wait_for_function(
        f"others => {{ const now = ({CHANCES})(); return now.length && {condition}; }}", arg=others
    )
    return chances(page)


def draw(page, *corners):
    """Draws a stroke on the square, through corners in 0..1, and waits for the answer."""
    box = page.locator("canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    with page.expect_response("**/predict"):
        page.mouse.up()


def clear(page):
    page.get_by_role("button", name="Clear").click()
    wait_for_text(page, ".stn-message", "^Nothing is drawn")


def draw_four(page):
    draw(page, (0.35, 0.2), (0.3, 0.55), (0.7, 0.55))
    draw(page, (0.65, 0.2), (0.65, 0.85))


def test_a_drawn_digit_is_answered_and_a_slider_changes_the_answer(page):
    clear(page)
    draw_four(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.stn-answer')].map(a => a.innerText)"
        ".join(' ').startsWith('4 4 4')"
    )
    upright = chances(page)

    turn = page.get_by_label("range slider for Turn left (degrees)")
    turn.fill("90")
    on_its_side = wait_for_chances(page, CHANGED, upright)
    assert all(old != new for old, new in zip(upright, on_its_side, strict=True))
    assert "4" not in answers(page)

    page.get_by_role("button", name="Reset").click()
    wait_for_chances(page, SAME, upright)
    assert float(turn.input_value()) == 0

    # A typed value is clamped to the slider's range.
    page.get_by_label("number input for Turn left (degrees)").fill("999")
    assert wait_for_chances(page, CHANGED, upright) == on_its_side
    page.get_by_role("button", name="Reset").click()
    wait_for_chances(page, SAME, upright)


def ink(page):
    """Returns how much of the square is bright, 0..1."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas");
            const {width, height} = canvas;
            const copy = new OffscreenCanvas(width, height).getContext("2d");
            copy.drawImage(canvas, 0, 0);
            const pixels = copy.getImageData(0, 0, width, height).data;
            const red = pixels.filter((_, place) => place % 4 === 0);
            return red.filter(value => value > 127).length / red.length;
        }"""
    )


@pytest.fixture
def decode(page):
    """Returns a function; pictures on the square are decoded only when a test calls it."""
    page.evaluate(
        """() => {
            window.waiting = [];
            window.Image = class extends Image { set onload(shown) { waiting.push(shown); } };
        }"""
    )
    yield lambda: page.evaluate("waiting.splice(0).map(shown => shown()).length")
    page.evaluate("() => { window.Image = Object.getPrototypeOf(Image); }")


def test_a_picked_digit_that_comes_late_is_not_painted_over_what_was_done_since(page, decode):
    def pick():
        page.get_by_role("button", name="Pick one").click()
        page.wait_for_function("waiting.length > 0")

    pick()
    assert decode() == 1
    assert ink(page) > 0

    pick()
    clear(page)
    assert decode() == 1
    assert ink(page) == 0

    pick()
    draw(page, (0.5, 0.5))
    dot = ink(page)
    assert dot > 0
    decode()
    assert ink(page) == dot


def test_a_second_stroke_leaves_the_first_where_it_is(page, decode):
    clear(page)
    draw(page, (0.2, 0.2), (0.2, 0.8))
    first = ink(page)
    draw(page, (0.8, 0.2), (0.8, 0.8))
    assert ink(page) == pytest.approx(2 * first, rel=0.05)
    decode()
    assert ink(page) == pytest.approx(2 * first, rel=0.05)


def test_a_picked_digit_is_shown_with_its_label(page):
    page.get_by_role("button", name="Pick one").click()
    wait_for_text(page, ".stn-note", r"^MNIST's label: \d")


def test_a_case_shows_what_its_name_says(page):
    page.get_by_label("Or choose a case").click()
    page.get_by_role("option", name="Turned left: the CNN fails").click()
    wait_for_text(page, ".stn-note", "^MNIST's label: 3")
    assert answers(page) == ["3", "3", "7"]
    page.get_by_role("button", name="Reset").click()


def test_a_link_shows_what_it_was_made_of(page, browser):
    page.get_by_label("range slider for Turn left (degrees)").fill("-30")
    link = page.locator(".stn-link:visible", has_text="Link to this")
    page.locator(".stn-link[href*='turn=-30']").wait_for()
    address, shown = link.evaluate("link => link.href"), chances(page)
    page.get_by_role("button", name="Reset").click()
    with watched_page(browser, width=1280) as (other, _):
        other.goto(address)
        wait_for_chances(other, SAME, shown)
        turn = other.get_by_label("range slider for Turn left (degrees)")
        assert float(turn.input_value()) == -30
        other.goto(page.url + "?number=52&scene=9")
        wait_for_text(other, ".stn-answer", "^52$")
        tab = other.get_by_role("tab", name="Street numbers")
        assert tab.get_attribute("aria-selected") == "true"


def test_a_number_that_is_typed_is_read_and_what_is_none_gets_one_sentence(page):
    page.get_by_role("tab", name="Street numbers").click()
    number = page.get_by_label("Number, 1 to 5 digits")
    number.fill("12")
    wait_for_text(page, ".stn-answer", "^12$")
    number.fill("12a")
    wait_for_text(page, ".stn-message", "^Type a number of 1 to 5 digits")


def test_another_number_is_drawn_once(page):
    page.get_by_role("tab", name="Street numbers").click()
    number = page.get_by_label("Number, 1 to 5 digits")
    number.fill("12a")
    wait_for_text(page, ".stn-message", "^Type a number of 1 to 5 digits")
    requests = []

    def note(request):
        requests.append(request)

    page.on("request", note)
    page.get_by_role("button", name="Another one").click()
    page.locator(".stn-places:visible").wait_for()
    number.fill("12b")  # this request follows all requests of the button
    wait_for_text(page, ".stn-message", "^Type a number of 1 to 5 digits")
    page.remove_listener("request", note)
    assert sum("stn-card" in request.response().text() for request in requests) == 1


def upload(page, path):
    page.get_by_role("tabpanel").locator("input[type=file]").set_input_files(path)


def test_a_picture_is_read_and_what_is_none_gets_one_sentence(page, tmp_path):
    page.get_by_role("tab", name="Street numbers").click()
    picture = tmp_path / "house.png"
    draw_number("12", scene=7).pixels.save(picture)
    upload(page, picture)
    wait_for_text(page, ".stn-note", r"^house\.png$")
    wait_for_text(page, ".stn-answer", "^12$")

    text = tmp_path / "text.png"
    text.write_text("this is no picture")
    upload(page, text)
    wait_for_text(page, ".stn-message", r"^text\.png cannot be read as an image")

    huge = tmp_path / "huge.png"
    huge.write_bytes(blank_png(13_000, 13_000))
    upload(page, huge)
    wait_for_text(page, ".stn-message", r"^huge\.png has more than 30 megapixels")

    large = tmp_path / "large.png"
    large.write_bytes(bytes(20_000_000))
    upload(page, large)
    page.get_by_text("maximum allowed size of 5.0 Mb").wait_for()


def test_a_sign_is_drawn_as_the_sliders_say_and_the_best_three_answers_are_shown(page):
    page.get_by_role("tab", name="Traffic signs").click()

    def wait_for_another_photograph(before):
        page.wait_for_function(
            "before => document.querySelector('.stn-photo img').src !== before", arg=before
        )
        return page.locator(".stn-photo:visible img").get_attribute("src")

    def ranked():
        return page.locator(".stn-ranking").last.locator("b").all_inner_texts()

    page.locator(".stn-ranking").last.wait_for()
    assert len(set(ranked())) == 3
    assert page.locator(".stn-card:visible", has_text="my signs").count() == 1
    stop = page.locator(".stn-photo:visible img").get_attribute("src")

    page.get_by_label("range slider for Shade").fill("0.9")
    in_the_shade = wait_for_another_photograph(stop)
    page.get_by_role("button", name="Reset").click()
    assert wait_for_another_photograph(in_the_shade) == stop

    page.get_by_label("Sign", exact=True).click()
    page.get_by_role("option", name="keep right", exact=True).click()
    keep_right = wait_for_another_photograph(stop)
    page.get_by_role("button", name="Another one").click()
    wait_for_another_photograph(keep_right)
    assert page.get_by_label("Sign", exact=True).input_value() != "keep right"


def test_a_photograph_of_a_sign_is_shown_and_what_is_none_gets_one_sentence(page, tmp_path):
    page.get_by_role("tab", name="Traffic signs").click()
    photograph(14, View(), scene=0).save(tmp_path / "sign.png")
    upload(page, tmp_path / "sign.png")
    wait_for_text(page, ".stn-note", r"^sign\.png$")

    (tmp_path / "text.png").write_text("this is no picture")
    upload(page, tmp_path / "text.png")
    wait_for_text(page, ".stn-message", r"^text\.png cannot be read as an image")


def test_a_picture_is_shown_to_a_network_of_own_pictures(page, tmp_path):
    page.get_by_role("tab", name="Your pictures").click()
    wait_for_text(page, ".stn-message:visible", "^Upload a picture")
    photograph(14, View(), scene=0).save(tmp_path / "pet.png")
    upload(page, tmp_path / "pet.png")
    wait_for_text(page, ".stn-note", r"^pet\.png$")
    card = page.locator(".stn-card:visible", has_text="my pets")
    assert card.locator("figcaption").all_inner_texts() == ["grid over input", "output"]
    assert sorted(card.locator(".stn-ranking b").all_inner_texts()) == ["cat", "dog"]


def test_a_phone_shows_all_of_it(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Digits").click()
    page.get_by_role("button", name="Pick one").click()
    page.get_by_text("ST-CNN affine").wait_for()
    page.get_by_label("range slider for Bend (pixels)").scroll_into_view_if_needed()
    assert page.get_by_text("ST-CNN affine").bounding_box()["y"] < 844
