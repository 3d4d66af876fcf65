import numpy as np
import pytest

from stn_jax.visualization import draw_answer, draw_layers, draw_triptychs, draw_worst
from tests.visualization.drawn import pixels, shown_images, texts, transformed


def test_a_triptych_shows_input_twice_and_output():
    images, grids, outputs = transformed(2)
    figure = draw_triptychs(images, grids, outputs, titles=["one", "two"])
    shapes = [image.shape for image in shown_images(figure)]
    assert shapes == [(12, 12), (12, 12), (6, 6)] * 2
    assert {"one", "two", "sampling grid"} <= set(texts(figure))
    assert pixels(figure).std() > 10


def test_triptychs_of_arrays_that_do_not_fit_are_refused():
    images, grids, outputs = transformed(3)
    with pytest.raises(ValueError, match="images 3, grids 3, outputs 2"):
        draw_triptychs(images, grids, outputs[:2])
    with pytest.raises(ValueError, match=r"images must have shape \[N, H, W, C\], got \(12, 12"):
        draw_triptychs(images[0], grids, outputs)
    with pytest.raises(ValueError, match="images 3, titles 1"):
        draw_triptychs(images, grids, outputs, titles=["one"])


@pytest.mark.parametrize("with_outputs", [True, False])
def test_the_worst_errors_come_first_and_right_answers_never(with_outputs):
    images, _, outputs = transformed(40)
    images[:] = np.arange(40).reshape(-1, 1, 1, 1)
    images[:, 0, 0] = -1  # so that no image is of a single value
    losses = np.arange(40.0)
    right = np.arange(40) % 2 == 0
    figure = draw_worst(
        images,
        outputs if with_outputs else None,
        answers=["1" if fine else "2" for fine in right],
        labels=["1"] * 40,
        losses=losses,
    )
    titles = [text for text in texts(figure) if "loss" in text]
    assert titles == [f"2, not 1\nloss {loss:.1f} nats" for loss in range(39, 8, -2)]
    assert len(shown_images(figure)) == 16 * (2 if with_outputs else 1)


def test_no_errors_are_said_to_be_none():
    images, _, _ = transformed(3)
    figure = draw_worst(
        images, None, answers=["1"] * 3, labels=["1"] * 3, losses=np.array([1.0, 2, 3])
    )
    assert texts(figure) == ["no errors in 3 examples"]


def test_layers_show_each_input_and_output_with_their_sizes():
    first, second = transformed(2, channels=3), transformed(2, channels=5, size=8)
    figure = draw_layers([first, second], first[0])
    shapes = [image.shape for image in shown_images(figure)]
    assert shapes == [(12, 12, 3), (12, 12, 3), (8, 8), (6, 6, 3), (4, 4)] * 2
    written = texts(figure)
    assert "transformer 2\n8x8x5 to 4x4x5" in written
    assert written.count("input, grid") == written.count("output") == 2


def test_an_answer_shows_what_each_transformer_did():
    images, grids, outputs = transformed(2)
    views = list(zip(images, grids, outputs, strict=True))
    figure = draw_answer(images[0], views, title="7 (99%)", captions=["turned", "scale 2.00"])
    assert [image.shape for image in shown_images(figure)] == [(12, 12), (12, 12), (6, 6)] * 2
    assert {"7 (99%)", "turned", "scale 2.00", "sampling grid"} <= set(texts(figure))
    assert pixels(figure).std() > 10
    alone = draw_answer(images[0], [], title="7 (99%)", captions=[])
    assert [image.shape for image in shown_images(alone)] == [(12, 12)]
    with pytest.raises(ValueError, match="transformers 2, captions 1"):
        draw_answer(images[0], views, title="", captions=["turned"])
