import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments import predict_files as predict_files_module
from stn_jax.experiments.inference import infer
from stn_jax.experiments.predict_files import predict_files
from stn_jax.experiments.trained_networks import pretrained_network


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Returns the paths of seven strokes that differ, the third of which cannot be read."""
    folder = tmp_path_factory.mktemp("digits")
    for place in range(7):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[4:24, 12 : 14 + place] = 255
        Image.fromarray(pixels).save(folder / f"{place}.png")
    (folder / "2.png").write_text("no picture")
    return sorted(folder.iterdir())


def test_files_are_answered_in_batches_of_one_size_as_one_by_one(digits, monkeypatch):
    shapes = []

    def noted(model, state, images):
        shapes.append(images.shape)
        return infer(model, state, images)

    monkeypatch.setattr(predict_files_module, "infer", noted)
    network = pretrained_network("st_cnn_affine")
    alone = [outcome for path in digits for outcome in predict_files(network, [path])]
    assert shapes == [(1, 42, 42, 1)] * 6

    shapes.clear()
    network.config.eval_batch_size = 4
    together = list(predict_files(network, digits))
    assert shapes == [(4, 42, 42, 1)] * 2

    errors, predictions = (
        [outcome for outcome in together if isinstance(outcome, UserError) == wrong]
        for wrong in (True, False)
    )
    assert [str(digits[2]) in str(error) for error in errors] == [True]
    del alone[2], digits[2]
    assert [prediction.path for prediction in predictions] == digits
    for one, other in zip(alone, predictions, strict=True):
        assert [answer.text for answer in one.answers] == [answer.text for answer in other.answers]
        for first, second in zip(one.answers, other.answers, strict=True):
            assert first.probability == pytest.approx(second.probability, abs=1e-5)
        np.testing.assert_allclose(
            one.thetas["transformer"], other.thetas["transformer"], atol=1e-5
        )
    assert len({str(prediction.thetas) for prediction in predictions}) == 6
