import numpy as np
from PIL import Image

from stn_jax.experiments.tasks import read_image
from stn_jax.experiments.traffic_signs.config import make_config
from stn_jax.experiments.traffic_signs.task import input_shape, model_name


def test_of_a_wide_or_high_photograph_the_middle_square_is_read(tmp_path):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:, 20:80] = (255, 0, 0)
    pixels[:, 20:50, 1] = 255
    config = make_config("cnn", None)
    config.data.contrast = "none"
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    Image.fromarray(pixels.swapaxes(0, 1)).save(tmp_path / "high.png")
    wide = read_image(tmp_path / "wide.png", config) + 0.5
    assert wide.shape == input_shape(config) == (32, 32, 3)
    np.testing.assert_allclose(wide[:, :15], np.broadcast_to([1, 1, 0], (32, 15, 3)))
    np.testing.assert_allclose(wide[:, 17:], np.broadcast_to([1, 0, 0], (32, 15, 3)))
    high = read_image(tmp_path / "high.png", config) + 0.5
    np.testing.assert_allclose(high, wide.swapaxes(0, 1))


def test_fine_detail_is_averaged(tmp_path):
    checks = np.indices((320, 320)).sum(axis=0) % 2 * 255
    checks[:, :160] //= 2
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "checks.png")
    config = make_config("cnn", None)
    config.data.contrast = "none"
    image = read_image(tmp_path / "checks.png", config)
    assert image[:, 17:].std() < 0.01


def test_names():
    names = [model_name(make_config(network, None)) for network in ("cnn", "single", "multi")]
    assert names == ["cnn", "st_cnn_single", "st_cnn_multi"]
