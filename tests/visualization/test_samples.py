import warnings
from itertools import pairwise

import numpy as np
import pytest

from stn_jax.visualization import draw_samples, png_bytes
from stn_jax.visualization.style import default_style
from tests.visualization.drawn import pixels, texts, transformed


def draw(transformers, count=11, **changes):
    images, _, _ = transformed(count, channels=3)
    says = {
        "answers": (["7", "12345"] * 6)[:count],
        "labels": ["7"] * count,
        "probabilities": np.linspace(0, 1, count),
    }
    return draw_samples(images, transformers, **says | changes)


def test_each_transformer_adds_two_rows():
    first, second = transformed(4, channels=3), transformed(4, channels=4)
    heights = []
    for transformers in ([], [first], [first, second]):
        picture = pixels(draw(transformers, count=4))
        assert picture.std() > 10
        heights.append(picture.shape[0])
    assert 2 * heights[0] < heights[1] < heights[2]


def test_wrong_answers_are_named_as_such():
    written = texts(draw([], probabilities=np.full(11, 0.25)))  # in two rows
    assert "7 (25%)" in written
    assert "12345, not 7" in written


def test_long_texts_have_several_lines_and_do_not_meet_those_beside_them():
    figure = draw([], count=8, answers=["end of no passing by trucks"] * 8, labels=["stop"] * 8)
    assert texts(figure).count("end of no\npassing by\ntrucks, not stop") == 8
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert all(figure.bbox.contains(*box.min) and figure.bbox.contains(*box.max) for box in boxes)


@pytest.mark.parametrize("name", ["n02085620-Chihuahua_x_longhair", "Labrador_Retriever" * 14])
def test_long_words_are_broken_and_cut_short(name):
    figure = draw([], count=8, answers=[name] * 8, labels=["stop"] * 8)
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert all(box.height < 80 for box in boxes)


@pytest.mark.parametrize("name", ["$x^2$", r"$\frac$", "漢字", "🐈", "a$", "_{}"])
def test_any_name_is_drawn_as_it_is(name):
    with warnings.catch_warnings(action="error"):
        figure = draw([], answers=[name] * 11, labels=[name] * 11)
        png_bytes(figure)
    with default_style():
        assert f"{name} (100%)" in texts(figure)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"images 11, answers 10"):
        draw([], answers=["7"] * 10)
    with pytest.raises(ValueError, match=r"images 11, inputs 3"):
        draw([transformed(3)])
