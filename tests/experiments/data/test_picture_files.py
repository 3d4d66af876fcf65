import contextlib
import io
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.data.picture_files import decode, open_image
from stn_jax.experiments.data.unusable import UnusableError
from tests import pictures
from tests.experiments.data.seen import assert_seen, mask, written
from tests.experiments.tiny import REPOSITORY


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "deflated.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_however_the_camera_was_held(tmp_path, scene, name, orientation):
    stored = {
        1: scene, 2: scene[:, ::-1], 3: scene[::-1, ::-1], 4: scene[::-1],
        5: scene.swapaxes(0, 1), 6: np.rot90(scene), 7: scene[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(scene, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"a.jpg": {"quality": 95}, "a.webp": {"lossless": True}}.get(name, {})
    if name == "deflated.tif":
        options = {"compression": "tiff_deflate"}
    assert_seen(written(tmp_path / name, stored, exif=exif, **options), scene, off=3)


def test_a_damaged_exif_block_is_ignored(tmp_path, scene):
    path = written(tmp_path / "a.jpg", scene, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95)
    assert_seen(path, scene, off=3)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_of_several_frames_or_pages_the_first_is_read_which_is_said(tmp_path, name, caplog):
    first, second = Image.fromarray(mask()), Image.fromarray(mask().T.reshape(20, 30))
    options = {"lossless": True} if name == "a.webp" else {}
    first.save(tmp_path / name, save_all=True, append_images=[second, first], **options)
    assert_seen(tmp_path / name, mask()[..., None].repeat(3, axis=-1))
    assert "the first one is read" in caplog.text


@pytest.mark.parametrize(("width", "height"), [(6000, 6000), (13_000, 13_000), (20_000, 20_000)])
def test_a_small_file_of_a_huge_picture_is_not_decoded(tmp_path, monkeypatch, width, height):
    path = tmp_path / "house.png"
    path.write_bytes(pictures.blank_png(width, height))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the error must be the only message
        with pytest.raises(UserError) as error:
            open_image(path)
    assert str(error.value) == f"{path} has more than 30 megapixels: use a smaller picture"


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_large_picture_is_shrunk_and_looks_the_same(tmp_path, scene, name):
    large = scene.repeat(70, axis=0).repeat(70, axis=1)  # 4200x6300
    path = written(tmp_path / name, large[:4195, :6301])
    picture = open_image(path)
    assert max(picture.size) <= 2048
    seen = np.asarray(picture.resize((90, 60), Image.Resampling.BOX)).astype(int)
    assert np.abs(seen - scene).mean() < 3


@pytest.mark.parametrize("progressive", [False, True])
def test_a_huge_jpeg_is_shrunk_while_it_is_decoded_if_it_can_be(tmp_path, progressive):
    path = tmp_path / "a.jpg"
    Image.new("L", (7000, 5000), 90).save(path, progressive=progressive)
    decoded = path.read_bytes()
    if progressive:  # all of it would be in memory at once
        assert "more than 30 megapixels" in error_of(path)
        with pytest.raises(UnusableError, match="more than 30 megapixels"):
            decode(decoded, 64)
    else:
        assert "is blank" in error_of(path)
        assert decode(decoded, 64).size == (875, 625)


MEMORY = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stn_jax.experiments.data.picture_files import decode, open_image
from stn_jax.experiments.data.unusable import UnusableError

def peak():
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

before = peak()
with ThreadPoolExecutor(3) as threads:
    assert len(list(threads.map(open_image, [Path(sys.argv[1])] * 3))) == 3
print(peak() - before)
"""


@pytest.mark.stress
def test_large_pictures_that_come_at_once_take_the_memory_of_one(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(pictures.striped_png(5400, 5400, pictures.RGBA))
    command = [sys.executable, "-c", MEMORY, path]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 0.7  # GB; in three threads they took 1.5


def error_of(path):
    with pytest.raises(UserError) as error:
        open_image(path)
    said = str(error.value)
    assert str(path) in said
    assert "\n" not in said.replace(str(path), "")
    return said


def test_what_is_not_a_picture_gets_one_clear_line(tmp_path):
    path = tmp_path / "house.png"
    assert error_of(path) == f"no image file {path}"
    path.write_text("this is no picture")
    assert "cannot be read as an image: use a PNG or JPEG" in error_of(path)
    path.write_bytes(b"")
    assert "the file is empty" in error_of(path)
    assert "it is a folder" in error_of(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in error_of(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    error_of(tmp_path / "loop")
    error_of(tmp_path / ("a" * 300))
    error_of(tmp_path / "house.png" / "a.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_gets_one_clear_line(tmp_path):
    path = written(tmp_path / "a.png", mask())
    path.chmod(0)
    assert "no permission" in error_of(path)
    path.chmod(0o600)
    tmp_path.chmod(0)
    try:
        assert "ermission" in error_of(path)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"%PDF-1.7\n", "a PDF"), (b"%!PS-Adobe-3.0", "PostScript"), (b"8BPS\0\1", "Photoshop"),
     (b'<?xml version="1.0"?>\n<svg', "SVG"), (b"\xef\xbb\xbf\n<svg ", "SVG"),
     (b"\0\0\0\x18ftypheic", "HEIC"), (b"\0\0\0\x20ftypavif", "AVIF"),
     (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xff\x0a\xfa", "JPEG XL")],
)  # fmt: skip
def test_a_format_that_is_not_read_is_named_with_what_to_do(tmp_path, start, name):
    path = tmp_path / "a.png"
    path.write_bytes(start + bytes(200))
    said = error_of(path)
    assert name in said
    assert "as PNG or JPEG" in said


def test_a_format_that_another_program_would_draw_is_not_read(tmp_path):
    path = tmp_path / "house.png"
    Image.new("L", (4, 2), 255).save(path, format="EPS")
    assert "PostScript" in error_of(path)


def test_a_file_with_more_bytes_than_its_pixels_can_need_is_not_read(tmp_path):
    path = tmp_path / "a.webp"
    with path.open("wb") as file:
        file.write(b"RIFF\xff\xff\xff\x7fWEBPVP8 ")
        file.truncate(3_000_000_000)  # a hole, which takes no space
    assert "30 megapixels" in error_of(path)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_blank_picture_is_reported(tmp_path, value):
    noise = np.random.default_rng(0).integers(-2, 3, (30, 40))
    path = written(tmp_path / "a.png", np.clip(value + noise, 0, 255).astype(np.uint8))
    assert "is blank" in error_of(path)


@pytest.mark.parametrize("alpha", [0, 1])
def test_a_picture_of_nothing_is_blank(tmp_path, alpha):
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[5:9, :, :3] = 255
    pixels[..., 3] = alpha
    assert "is blank" in error_of(written(tmp_path / "a.png", pixels))


FORMATS = {
    "PNG": {}, "JPEG": {}, "WEBP": {}, "GIF": {}, "BMP": {}, "TIFF": {"compression": "tiff_lzw"},
    "PPM": {},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_cut_short_is_reported(tmp_path, scene, name):
    path = written(tmp_path / "a", scene, format=name, **FORMATS[name])
    content = path.read_bytes()
    for length in (20, len(content) // 2):
        path.write_bytes(content[:length])
        assert "cannot be read as an image" in error_of(path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_gets_one_clear_line(tmp_path, scene, name):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene).save(file, name, **FORMATS[name], exif=exif)
    rng = np.random.default_rng(0)
    path = tmp_path / "a"
    for _ in range(40):
        content = bytearray(file.getvalue())
        start = int(rng.integers(len(content)) ** rng.uniform(0.3, 1))  # headers more often
        for place in range(start, min(start + int(rng.integers(1, 9)), len(content))):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            assert open_image(path).mode == "RGB"
