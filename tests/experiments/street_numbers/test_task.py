import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.street_numbers.config import make_config
from stn_jax.experiments.street_numbers.task import input_shape, model_name
from stn_jax.experiments.tasks import find_task, read_image


def test_a_picture_is_resized_and_its_middle_less_the_mean_taken(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 40:] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    image = read_image(tmp_path / "halves.png", make_config("cnn", "64"))
    assert image.shape == (54, 54, 3)
    np.testing.assert_allclose(image.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(np.ptp(image, axis=(0, 1)), [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(image[:, :20], np.broadcast_to(image[0, 0], (54, 20, 3)))


def test_a_wide_picture_is_read_without_a_change_of_its_proportions(tmp_path):
    pixels = np.zeros((30, 60, 3), np.uint8)
    pixels[5:25, 20:40] = 255
    Image.fromarray(pixels).save(tmp_path / "square.png")
    config = make_config("cnn", "64")
    config.data.update({"size": 30, "crop": 30, "aspect": 3.0, "letterbox": True})
    image = read_image(tmp_path / "square.png", config)
    assert image.shape == (30, 90, 3)
    bright = image[..., 0] > 0
    assert bright[5:25, 35:55].all() and bright.sum() == 400


@pytest.mark.parametrize(("variant", "size"), [("64", 54), ("128", 112), ("synthetic_small", 112)])
def test_the_input_is_a_crop(variant, size):
    config = make_config("multi", variant)
    assert input_shape(config) == (size, size, 3)
    config.data.aspect = 1.5
    assert input_shape(config) == (size, size * 3 // 2, 3)


def test_names():
    names = [model_name(make_config(network, None)) for network in ("cnn", "single", "multi")]
    assert names == ["cnn", "st_cnn_single", "st_cnn_multi"]


def test_an_unknown_task_is_told():
    config = make_config("cnn", None)
    config.task = "street_number"
    with pytest.raises(UserError, match="did you mean 'street_numbers'"):
        find_task(config)


@pytest.mark.parametrize("contrast", [0.4, 0.2])
def test_a_pale_picture_gets_contrast_and_others_are_left(contrast):
    config = make_config("cnn", "64")
    y, x = np.mgrid[0:64, 0:64]
    wave = 127 * np.sin(x / 5)[..., None] * np.cos(y / 5)[..., None] * np.ones(3)

    def read(share):
        picture = Image.fromarray((128 + share * wave).round().astype(np.uint8))
        return find_task(config).network_input(picture, config)

    np.testing.assert_allclose(read(contrast), read(0.5), atol=0.02)
    np.testing.assert_allclose(read(0.9), 0.9 / 0.7 * read(0.7), atol=0.02)
