import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.tasks import read_image
from tests.experiments.tiny import tiny_config


def load_digit(path, distortion="r"):
    return read_image(path, tiny_config(distortion=distortion))


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def digit(height, width):
    pixels = np.zeros((height, width), np.uint8)
    pixels[height // 4 : -(height // 4), width // 3 : -(width // 3)] = 255
    return pixels


def test_an_image_of_the_canvas_size_is_taken_as_it_is(tmp_path):
    pixels = digit(28, 28)
    loaded = load_digit(save(tmp_path / "digit.png", pixels))
    np.testing.assert_allclose(loaded[..., 0], pixels / np.float32(255))


def test_a_smaller_image_is_put_in_the_middle_not_enlarged(tmp_path):
    pixels = digit(28, 20)
    loaded = load_digit(save(tmp_path / "digit.png", pixels), "rts")
    np.testing.assert_allclose(loaded[7:35, 11:31, 0], pixels / np.float32(255))
    assert loaded.sum() == pytest.approx(pixels.sum() / 255, rel=1e-5)


def test_the_ink_of_a_larger_image_is_as_large_as_in_mnist_with_its_aspect_kept(tmp_path):
    loaded = load_digit(save(tmp_path / "digit.png", digit(400, 200)))
    inked = np.argwhere(loaded[..., 0] > 0.3)
    height, width = inked.max(axis=0) - inked.min(axis=0) + 1
    assert loaded.shape == (28, 28, 1)
    assert height == 20
    assert abs(width - 20 / 3) <= 1


def test_what_is_said_of_a_picture_names_its_file(tmp_path):
    page = np.zeros((400, 400), np.uint8)
    page[7:10, 7:10] = 255
    path = save(tmp_path / "page.png", page)
    with pytest.raises(UserError, match=f"^{path}: no digit found"):
        load_digit(path)


def test_dark_on_bright_is_inverted(tmp_path):
    pixels = digit(28, 28)
    loaded = load_digit(save(tmp_path / "dark.png", 255 - pixels))
    np.testing.assert_allclose(loaded[..., 0], pixels / np.float32(255), atol=1e-6)


def test_colour_becomes_grey(tmp_path):
    pixels = digit(28, 28)
    loaded = load_digit(save(tmp_path / "colour.png", np.stack([pixels] * 3, axis=-1)))
    np.testing.assert_allclose(loaded[..., 0], pixels / np.float32(255), atol=1e-2)


def test_ink_on_a_transparent_ground_is_seen(tmp_path):
    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[..., 3] = digit(28, 28)  # black ink
    loaded = load_digit(save(tmp_path / "ink.png", pixels))
    np.testing.assert_allclose(loaded[..., 0], digit(28, 28) / np.float32(255), atol=1e-2)


def test_what_is_no_image_is_named(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no image")
    with pytest.raises(UserError, match=r"text.png cannot be read as an image"):
        load_digit(text)
    with pytest.raises(UserError, match="no image file"):
        load_digit(tmp_path / "missing.png")
    with pytest.raises(UserError, match="cannot be read"):
        load_digit(tmp_path)
