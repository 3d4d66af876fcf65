import contextlib
import io
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from stn_jax.errors import UserError
from stn_jax.experiments.data.picture_files import open_image
from tests import pictures
from tests.experiments.tiny import REPOSITORY

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@pytest.fixture(scope="module")
def scene():
    """Returns a picture without symmetry, in soft colours: [60, 90, 3] uint8."""
    y, x = np.mgrid[:60, :90]
    colours = np.stack([60 + 2 * x, 200 - 2 * y, 90 + x + y], axis=-1)
    colours[10:25, 50:80] = (230, 220, 40)
    return colours.astype(np.uint8)


def written(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def opened(path, content=None):
    if content is not None:
        path.write_bytes(content)
    picture = open_image(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def assert_seen(path, expected, *, off=1, content=None):
    seen = opened(path, content).astype(int)
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).mean() <= off


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "deflated.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_however_the_camera_was_held(tmp_path, scene, name, orientation):
    stored = {
        1: scene, 2: scene[:, ::-1], 3: scene[::-1, ::-1], 4: scene[::-1],
        5: scene.swapaxes(0, 1), 6: np.rot90(scene), 7: np.rot90(scene[::-1, :]).swapaxes(0, 1)[
            :, ::-1].swapaxes(0, 1), 8: np.rot90(scene, -1),
    }[orientation]  # fmt: skip
    if orientation == 7:
        stored = scene[::-1, ::-1].swapaxes(0, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"a.jpg": {"quality": 95}, "a.webp": {"lossless": True}}.get(name, {})
    if name == "deflated.tif":
        options = {"compression": "tiff_deflate"}
    assert_seen(written(tmp_path / name, stored, exif=exif, **options), scene, off=3)


def test_a_damaged_exif_block_is_overlooked(tmp_path, scene):
    path = written(tmp_path / "a.jpg", scene, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=95)
    assert_seen(path, scene, off=3)


# The primaries of sRGB and of Adobe RGB (1998), and gammas far from and near the usual one.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
ADOBE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


@pytest.mark.parametrize("primaries", [SRGB, ADOBE, SRGB[::-1]], ids=["srgb", "adobe", "bgr"])
@pytest.mark.parametrize("gamma", [1.0, 2.2])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_colours_are_those_that_the_profile_states(tmp_path, scene, primaries, gamma, name):
    linear = (scene / 255) ** 2.2
    theirs = linear @ np.array(SRGB) @ np.linalg.inv(np.array(primaries))
    stored = np.rint(255 * theirs.clip(0, 1) ** (1 / gamma)).astype(np.uint8)
    profile = pictures.colour_profile(*primaries, gamma)
    options = {"a.jpg": {"quality": 98, "subsampling": 0}, "a.webp": {"lossless": True}}
    path = written(tmp_path / name, stored, icc_profile=profile, **options.get(name, {}))
    # Few of the steps of 8 bits are left in the dark if the gamma is 1.
    assert_seen(path, scene, off=4)


@pytest.mark.parametrize("profile", [b"no profile", pictures.colour_profile(*SRGB, 1.0)[:300]])
def test_a_damaged_profile_is_overlooked(tmp_path, scene, profile):
    assert_seen(written(tmp_path / "a.png", scene, icc_profile=profile), scene)


def test_a_profile_for_another_kind_of_image_is_overlooked(tmp_path, scene):
    profile = pictures.colour_profile(*SRGB, 1.0)
    path = written(tmp_path / "a.png", scene[..., 0], icc_profile=profile)
    assert_seen(path, scene[..., :1].repeat(3, axis=-1))


@pytest.mark.parametrize(("srgb", "is_used"), [((), True), (((b"sRGB", b"\0"),), False)])
def test_the_gamma_of_a_png_is_used_unless_it_is_srgb(tmp_path, scene, srgb, is_used):
    linear = np.rint(255 * (scene / 255) ** 2.2).astype(np.uint8)
    gamma = (b"gAMA", (100_000).to_bytes(4))
    content = pictures.png(linear, pictures.RGB, gamma, *srgb)
    assert_seen(tmp_path / "a.png", scene if is_used else linear, off=4, content=content)


@pytest.mark.parametrize("gamma", [0, 1, 2**31 - 1])
def test_a_gamma_that_makes_no_sense_is_overlooked(tmp_path, scene, gamma):
    content = pictures.png(scene, pictures.RGB, (b"gAMA", gamma.to_bytes(4)))
    assert_seen(tmp_path / "a.png", scene, content=content)


@pytest.mark.parametrize(
    ("mode", "name", "options"),
    [
        ("CMYK", "a.tif", {}),
        ("LAB", "a.tif", {}),
        ("RGB", "a.tif", {"compression": "jpeg", "quality": 97}),  # stored as YCbCr
        ("YCbCr", "a.jpg", {"quality": 97}),
        ("CMYK", "a.jpg", {"quality": 97}),
        ("RGB", "a.jpg", {"quality": 97, "progressive": True}),
    ],
)
def test_other_colour_spaces_are_converted(tmp_path, scene, mode, name, options):
    image = Image.fromarray(scene)
    if mode == "LAB":
        srgb, lab = map(ImageCms.createProfile, ("sRGB", "LAB"))
        image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    image.convert(mode).save(tmp_path / name, **options)
    assert_seen(tmp_path / name, scene, off=3)


GREYS = np.arange(256, dtype=np.uint8).reshape(8, 32)
TWELVE_BITS = (np.arange(256).reshape(8, 32) * 4095 // 255).astype(np.uint16)
SIGNED = (np.arange(256).reshape(8, 32) * 100 - 9999).astype(np.int16)


@pytest.mark.parametrize(
    "content",
    [
        pictures.png(GREYS * np.uint16(257), pictures.GREY),
        pictures.png(TWELVE_BITS, pictures.GREY),
        pictures.tiff(GREYS * np.uint16(257), 1),
        pictures.tiff((255 - GREYS) * np.uint16(257), 0),
        pictures.tiff(255 - GREYS, 0),
        pictures.tiff(TWELVE_BITS, 1),
        pictures.tiff(SIGNED, 1),
        pictures.tiff(GREYS * np.int32(2**31 // 255), 1),
        pictures.tiff(GREYS / np.float32(255), 1),
        pictures.tiff(1 - GREYS / np.float32(255), 0),
        pictures.tiff(GREYS.astype(np.float32), 1),
        pictures.tiff(GREYS.astype(np.float32) * 257, 1),
        pictures.tiff(GREYS.astype(np.float32) - 100, 1),
        b"P5 32 8 65535\n" + (GREYS * np.uint16(257)).byteswap().tobytes(),
        b"P5 32 8 255\n" + GREYS.tobytes(),
        b"P2 32 8 255\n" + " ".join(map(str, GREYS.ravel())).encode(),
        b"Pf 32 8 -1.0\n" + (GREYS[::-1] / np.float32(255)).tobytes(),
        pictures.interlaced_png(GREYS),
    ],
)  # fmt: skip
def test_grey_is_as_bright_at_any_depth(tmp_path, content):
    assert_seen(tmp_path / "a", GREYS[..., None].repeat(3, axis=-1), content=content)


def test_what_is_no_number_in_a_picture_is_black_and_no_trouble(tmp_path):
    values = GREYS / np.float32(255)
    values[0, :3] = np.nan, np.inf, -np.inf
    seen = opened(tmp_path / "a.tif", pictures.tiff(values, 1))
    assert np.abs(seen[1:, :, 0].astype(int) - GREYS[1:]).max() <= 1


def mask():
    """Returns where the ink is: [20, 30], 0 or 255."""
    ink = np.zeros((20, 30), np.uint8)
    ink[5:15, 8:12] = 255
    return ink


def on_nothing(colour):
    return np.dstack([np.broadcast_to(np.uint8(colour), (20, 30, 3)), mask()])


@pytest.mark.parametrize(
    ("colour", "ground"),
    [(BLACK, WHITE), (WHITE, BLACK), ((200, 200, 200), BLACK), ((255, 255, 0), BLACK),
     ((0, 0, 255), WHITE), ((110, 110, 110), WHITE)],
)  # fmt: skip
def test_ink_on_nothing_is_shown_on_a_ground_where_it_is_seen(tmp_path, colour, ground):
    expected = np.where(mask()[..., None] > 0, np.uint8(colour), np.uint8(ground))
    rgba = on_nothing(colour)
    for name in ("a.png", "a.tif", "a.webp"):
        options = {"lossless": True, "exact": True} if name == "a.webp" else {}
        assert_seen(written(tmp_path / name, rgba, **options), expected)
    multiplied = np.where(rgba[..., 3:] > 0, rgba, 0)
    multiplied = pictures.tiff(multiplied, 2, extra_samples=1)
    assert_seen(tmp_path / "multiplied.tif", expected, content=multiplied)
    deep = pictures.png(rgba * np.uint16(257), pictures.RGBA)
    assert_seen(tmp_path / "deep.png", expected, content=deep)


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_value_that_stands_for_nothing_is_transparent(tmp_path, ink, dtype):
    white = np.iinfo(dtype).max
    nothing = white // 3
    values = np.where(mask() > 0, ink // 255 * white, nothing).astype(dtype)
    expected = np.where(mask() > 0, np.uint8(ink), np.uint8(255 - ink))[..., None].repeat(3, -1)
    grey = pictures.png(values, pictures.GREY, (b"tRNS", nothing.to_bytes(2)))
    assert_seen(tmp_path / "grey.png", expected, content=grey)
    rgb = np.stack([values] * 3, axis=-1)
    chunk = (b"tRNS", nothing.to_bytes(2) * 3)
    if dtype == np.uint8:
        assert_seen(tmp_path / "rgb.png", expected, content=pictures.png(rgb, pictures.RGB, chunk))


@pytest.mark.parametrize("ink", [BLACK, WHITE])
@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_a_palette_can_hold_a_transparent_colour(tmp_path, ink, name):
    image = Image.fromarray(mask() // 255)
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([99, 0, 0, *ink])
    image.save(tmp_path / name, transparency=0)
    ground = np.uint8(255 - ink[0])
    expected = np.where(mask()[..., None] > 0, np.uint8(ink), ground)
    assert_seen(tmp_path / name, expected)


def test_a_dark_pixel_in_white_ink_does_not_count(tmp_path):
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[20:80, 30:70] = 255
    pixels[50, 50, :3] = 0
    assert opened(written(tmp_path / "a.png", pixels))[0, 0].tolist() == [0, 0, 0]


def test_paper_with_a_transparent_margin_is_put_on_white(tmp_path):
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[20:80, 30:70] = 255
    pixels[40:60, 48:52, :3] = 10
    assert opened(written(tmp_path / "a.png", pixels))[0, 0].tolist() == [255, 255, 255]


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


MEMORY = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stn_jax.experiments.data.picture_files import open_image

def peak():
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit

before = peak()
with ThreadPoolExecutor(5) as threads:
    assert len(list(threads.map(open_image, [Path(sys.argv[1])] * 5))) == 5
print(peak() - before)
"""


def test_large_pictures_that_come_at_once_take_the_memory_of_one(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(pictures.striped_png(5400, 5400, pictures.RGBA))
    command = [sys.executable, "-c", MEMORY, path]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 0.8  # GB; in five threads they took 2.4


def error_of(path):
    with pytest.raises(UserError) as error:
        open_image(path)
    said = str(error.value)
    assert str(path) in said
    assert "\n" not in said.replace(str(path), "")
    return said


def test_what_is_no_picture_gets_one_clear_line(tmp_path):
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
def test_a_blank_picture_is_told(tmp_path, value):
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
def test_a_file_that_is_cut_short_is_told(tmp_path, scene, name):
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
