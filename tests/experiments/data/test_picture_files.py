import warnings

import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.data.picture_files import open_image
from tests.pictures import blank_png


@pytest.mark.parametrize(("width", "height"), [(6000, 6000), (13_000, 13_000), (20_000, 20_000)])
def test_a_small_file_of_a_huge_picture_is_not_decoded(tmp_path, monkeypatch, width, height):
    path = tmp_path / "house.png"
    path.write_bytes(blank_png(width, height))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the error must be the only message
        with pytest.raises(UserError) as error:
            open_image(path)
    assert str(error.value) == f"{path} has more than 30 megapixels: use a smaller picture"


def test_a_large_photograph_is_read(tmp_path):
    path = tmp_path / "house.png"
    path.write_bytes(blank_png(6000, 4900))
    assert open_image(path).size == (6000, 4900)


def test_what_is_transparent_is_shown_on_white(tmp_path):
    path = tmp_path / "sign.png"
    Image.new("RGBA", (4, 2), (255, 0, 0, 0)).save(path)
    picture = open_image(path)
    assert picture.mode == "RGB"
    assert picture.getcolors() == [(8, (255, 255, 255))]


def test_a_missing_file_and_one_that_is_no_picture_get_one_clear_line(tmp_path):
    path = tmp_path / "house.png"
    with pytest.raises(UserError, match=f"^no image file {path}$"):
        open_image(path)
    path.write_text("this is no picture")
    with pytest.raises(UserError, match="cannot be read as an image: use a PNG or"):
        open_image(path)


def test_a_format_that_another_program_would_draw_is_not_read(tmp_path):
    path = tmp_path / "house.png"
    Image.new("L", (4, 2), 255).save(path, format="EPS")
    with pytest.raises(UserError, match="cannot be read as an image: use a PNG or"):
        open_image(path)
