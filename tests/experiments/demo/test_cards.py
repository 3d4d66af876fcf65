from xml.etree import ElementTree

import numpy as np
import pytest

from stn_jax.experiments.demo.cards import (
    cards,
    class_chart,
    grid_paths,
    message,
    network_card,
    number_chart,
    ranking,
)
from stn_jax.experiments.distorted_mnist.task import LABELS as DIGITS
from stn_jax.experiments.inference import Inference, TransformerView
from stn_jax.experiments.street_numbers.task import LABELS as NUMBERS
from stn_jax.experiments.traffic_signs.task import LABELS as SIGNS
from stn_jax.transforms import FAMILIES, make_family, regular_grid


def view(family="affine", channels=1):
    identity = make_family(family)
    theta = np.asarray(identity.theta(np.array(identity.identity, np.float32)))
    images = np.random.default_rng(0).uniform(-1, 1, (12, 12, channels)).astype(np.float32)
    return TransformerView(images, theta, regular_grid((8, 8)), images[:8, :8])


def card(seen, name="a network", channels=1, labels=DIGITS, chart=class_chart):
    image = np.zeros((12, 12, channels), np.float32)
    html = network_card(name, "9 parameters", image, seen, labels, chart)
    return ElementTree.fromstring(html)


def texts(element, place):
    return ["".join(found.itertext()) for found in element.findall(place)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_theta_is_shown_number_by_number(family):
    seen = Inference(np.eye(10)[7], {"transformer": view(family)})
    cells = card(seen).findall(".//td")
    numbers = [float(text) for cell in cells for text in cell.itertext()]
    np.testing.assert_allclose(numbers, np.ravel(seen.transformers["transformer"].theta), atol=0.01)


def test_the_answer_is_the_most_probable_digit():
    probabilities = np.full(10, 0.05)
    probabilities[7] = 0.55
    shown = card(Inference(probabilities, {}))
    assert texts(shown, "header/span") == ["7", "55%"]
    best = shown.findall(".//div[@class='stn-best']")
    assert [bar.get("title") for bar in best] == ["7: 55.0%"]


def test_a_number_is_shown_place_by_place():
    probabilities = np.full((5, 11), 0.01)
    for place, digit in enumerate([4, 0, 10, 10, 10]):
        probabilities[place, digit] = 0.9
    shown = card(
        Inference(probabilities, {"a": view(channels=3)}), labels=NUMBERS, chart=number_chart
    )
    assert texts(shown, "header/span")[0] == "40"
    assert texts(shown, ".//div[@class='stn-places']/div/b") == ["4", "0", "-", "-", "-"]


def test_answers_in_words_are_ranked():
    probabilities = np.full(43, 0.001)
    probabilities[[14, 38, 0]] = 0.6, 0.1, 0.25
    shown = card(Inference(probabilities, {}), channels=3, labels=SIGNS, chart=ranking)
    assert texts(shown, "header/span") == ["stop", "60%"]
    assert texts(shown, ".//div[@class='stn-ranking']/div/b") == [
        *("stop", "speed limit 20 km/h", "keep right"),
    ]
    assert texts(shown, ".//div[@class='stn-ranking']/div/small") == ["60.0%", "25.0%", "10.0%"]


def test_without_a_transformer_the_input_is_shown_and_with_four_all_of_them():
    feature_maps = {f"transformers_{n}": view(channels=c) for n, c in enumerate((3, 4, 8, 8))}
    for transformers, pictures in (({}, 1), (feature_maps, 8)):
        shown = card(Inference(np.eye(10)[0], transformers), channels=3)
        assert len(shown.findall(".//image")) == pictures
        assert len(shown.findall(".//path")) == 6 * len(transformers)


def test_the_identity_grid_goes_from_pixel_centre_to_pixel_centre():
    for path in grid_paths(regular_grid((10, 20)), (10, 20)):
        points = np.array([p.split(",") for p in path.replace("M", " ").split()], float)
        assert points.min(axis=0).min() >= 0.5
        assert (points.max(axis=0) <= (19.5, 9.5)).all()


def test_a_grid_that_is_not_finite_is_still_a_drawing():
    grid = np.full((4, 4, 2), np.nan)
    grid[0], grid[1] = np.inf, -1e30
    assert not any("nan" in path or "inf" in path for path in grid_paths(grid, (10, 10)))


def test_names_and_sentences_are_text_not_html():
    shown = card(Inference(np.eye(10)[0], {}), name="<b>runs & more</b>")
    assert texts(shown, "header/h3") == ["<b>runs & more</b>9 parameters"]
    assert ElementTree.fromstring(message("<i>no</i>")).text == "<i>no</i>"
    assert "<i>" not in cards([], "<i>note</i>")
