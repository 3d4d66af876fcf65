import numpy as np
import pytest
from PIL import Image, ImageCms

from tests import pictures
from tests.experiments.data.seen import assert_seen, mask, opened, written

BLACK, WHITE = (0, 0, 0), (255, 255, 255)

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
def test_a_damaged_profile_is_ignored(tmp_path, scene, profile):
    assert_seen(written(tmp_path / "a.png", scene, icc_profile=profile), scene)


def test_a_profile_for_another_kind_of_image_is_ignored(tmp_path, scene):
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
def test_a_gamma_that_makes_no_sense_is_ignored(tmp_path, scene, gamma):
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


def test_a_value_that_is_not_a_number_is_black(tmp_path):
    values = GREYS / np.float32(255)
    values[0, :3] = np.nan, np.inf, -np.inf
    seen = opened(tmp_path / "a.tif", pictures.tiff(values, 1))
    assert np.abs(seen[1:, :, 0].astype(int) - GREYS[1:]).max() <= 1


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
