"""Tests that a digit is read alike however it was written, lit and placed."""

import jax
import numpy as np
import pytest
from PIL import Image

from stn_jax.errors import UserError
from stn_jax.experiments.distorted_mnist.digit_pictures import network_input
from stn_jax.experiments.distorted_mnist.sources import load_mnist
from stn_jax.experiments.pretrained import load_pretrained
from stn_jax.experiments.tasks import read_image
from tests import pictures
from tests.experiments.tiny import tiny_config

CANVAS = 42


@pytest.fixture(scope="module")
def digits():
    """Returns images [N, 112, 112] uint8 without greys, and their labels."""
    _, test = load_mnist("embedded", data_dir=None, manual_dir=None)
    chosen = range(0, 1000, 50)
    large = [
        Image.fromarray(test.images[index, ..., 0]).resize((112, 112), Image.Resampling.BICUBIC)
        for index in chosen
    ]
    return np.stack([np.where(np.asarray(each) > 127, 255, 0) for each in large]).astype(
        np.uint8
    ), test.labels[list(chosen)]


@pytest.fixture(scope="module")
def ink(digits):
    return digits[0][3]


@pytest.fixture(scope="module")
def classify():
    """Returns a function from images [N, 42, 42, 1] to probabilities of a shipped network."""
    model, variables, _ = load_pretrained("st_cnn_affine")
    apply = jax.jit(lambda images: jax.nn.softmax(model.apply(variables, images)))
    return lambda images: np.asarray(apply(np.stack(images)))


def saved(name, *, mode=None, **options):
    def write(path, ink):
        image = Image.fromarray(ink)
        image = image.convert(mode) if mode else image
        image.save(path.with_suffix(f".{name}"), **options)
        return path.with_suffix(f".{name}")

    return write


def raw(name, content):
    def write(path, ink):
        path = path.with_suffix(f".{name}")
        path.write_bytes(content(ink))
        return path

    return write


def on_nothing(colour, alpha=1.0):
    def rgba(ink):
        colours = np.broadcast_to(np.uint8(colour), (*ink.shape, 3))
        return np.dstack([colours, (alpha * ink).astype(np.uint8)])

    return rgba


def coloured(ink, digit, paper):
    return np.where(ink[..., None] > 0, np.uint8(digit), np.uint8(paper))


def from_pixels(name, pixels, **options):
    return lambda path, ink: saved(name, **options)(path, pixels(ink))


WAYS = {
    "png, 1 bit": saved("png", mode="1"),
    "png, palette": saved("png", mode="P"),
    "png, interlaced": raw("png", pictures.interlaced_png),
    "png, 16 bits": raw("png", lambda ink: pictures.png(ink * np.uint16(257), pictures.GREY)),
    "png, 12 of 16 bits": raw("png", lambda ink: pictures.png(ink * np.uint16(16), pictures.GREY)),
    "png, dark on light": from_pixels("png", lambda ink: 255 - ink),
    "png, light grey on white": from_pixels("png", lambda ink: 255 - ink // 4),
    "png, black ink on nothing": from_pixels("png", on_nothing((0, 0, 0))),
    "png, white ink on nothing": from_pixels("png", on_nothing((255, 255, 255))),
    "png, faint white ink on nothing": from_pixels("png", on_nothing((255, 255, 255), 0.5)),
    "png, nothing on white": from_pixels("png", lambda ink: np.dstack([ink * 0, 255 - ink])),
    "png, blue on white": from_pixels("png", lambda ink: coloured(ink, (0, 0, 200), 255)),
    "png, yellow on white": from_pixels("png", lambda ink: coloured(ink, (255, 240, 0), 255)),
    "png, red on green as bright": from_pixels(
        "png", lambda ink: coloured(ink, (200, 0, 0), (0, 102, 0))
    ),
    "jpeg": saved("jpg", quality=90),
    "jpeg, progressive": saved("jpg", mode="RGB", quality=90, progressive=True),
    "jpeg, cmyk": saved("jpg", mode="CMYK", quality=90),
    "webp": saved("webp", mode="RGB", quality=90),
    "webp, white ink on nothing": from_pixels(
        "webp", on_nothing((255, 255, 255)), lossless=True, exact=True
    ),
    "gif": saved("gif"),
    "gif, animated": lambda path, ink: saved(
        "gif", save_all=True, append_images=[Image.fromarray(ink.T)]
    )(path, ink),
    "bmp": saved("bmp"),
    "bmp, 32 bits": saved("bmp", mode="RGBA"),
    "tiff, fax": saved("tif", mode="1", compression="group4"),
    "tiff, lzw": saved("tif", compression="tiff_lzw"),
    "tiff, cmyk": saved("tif", mode="CMYK"),
    "tiff, white is zero": raw("tif", lambda ink: pictures.tiff(255 - ink, 0)),
    "tiff, 16 bits, white is zero": raw(
        "tif", lambda ink: pictures.tiff(65535 - ink * np.uint16(257), 0)
    ),
    "tiff, float": raw("tif", lambda ink: pictures.tiff(ink / np.float32(255), 1)),
    "tiff, signed": raw("tif", lambda ink: pictures.tiff(ink * np.int16(8) - np.int16(1024), 1)),
    "pbm": saved("pbm", mode="1"),
    "pgm, 16 bits": raw(
        "pgm", lambda ink: b"P5 112 112 65535\n" + (ink * np.uint16(257)).tobytes()
    ),
}  # fmt: skip


def test_a_digit_is_read_alike_however_it_was_written(tmp_path, ink, classify):
    (tmp_path / "plain").mkdir()
    config = tiny_config(distortion="rts")
    plain = read_image(saved("png")(tmp_path / "plain" / "digit", ink), config)
    images = [plain]
    for number, (way, write) in enumerate(WAYS.items()):
        images.append(read_image(write(tmp_path / str(number), ink), config))
        assert np.abs(images[-1] - plain).max() <= 0.12, way
    probabilities = classify(images)
    assert np.ptp(probabilities, axis=0).max() <= 0.1


def photograph(ink, rng):
    """Returns a sheet with a digit at a random place, in uneven light and with noise."""
    y, x = np.mgrid[0:1:300j, 0:1:400j]
    page = 0.9 - 0.35 * ((x - rng.uniform(0, 1)) ** 2 + (y - rng.uniform(0, 1)) ** 2)
    page = page[..., None].repeat(3, axis=-1)
    top, left = (int(rng.integers(20, side - 132)) for side in page.shape[:2])
    page[top : top + 112, left : left + 112] *= 1 - ink[..., None] / 255 * np.array([0.8, 0.7, 0.4])
    page += rng.normal(0, 0.02, page.shape)
    return Image.fromarray((255 * page.clip(0, 1)).astype(np.uint8))


def test_digits_on_a_page_are_found_and_read(digits, classify):
    rng = np.random.default_rng(0)
    images = [network_input(photograph(ink, rng), CANVAS, cluttered=False) for ink in digits[0]]
    right = classify(images).argmax(axis=-1) == digits[1]
    assert right.mean() >= 0.9


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("place", [(0, 0), (500, 40), (300, 700)])
def test_size_and_place_on_the_page_do_not_matter(ink, scale, place):
    large = np.kron(ink, np.ones((scale, scale), np.uint8))
    page = np.zeros((900, 1200), np.uint8)
    page[place[0] : place[0] + len(large), place[1] : place[1] + len(large)] = large
    found, alone = (
        network_input(Image.fromarray(each).convert("RGB"), CANVAS, cluttered=False)
        for each in (page, np.pad(ink, 9))
    )
    assert np.abs(found - alone).max() < 0.1


@pytest.mark.parametrize("canvas", [28, 42, 60])
def test_a_picture_that_fits_the_canvas_is_taken_as_it_is(digits, canvas):
    pixels = np.asarray(Image.fromarray(digits[0][5]).resize((28, 26)))
    expected = np.zeros((canvas, canvas))
    top, left = (canvas - 26) // 2, (canvas - 28) // 2
    expected[top : top + 26, left : left + 28] = pixels / 255
    picture = Image.fromarray(pixels).convert("RGB")
    image = network_input(picture, canvas, cluttered=False)
    np.testing.assert_allclose(image[..., 0], expected, atol=1e-6)


def uneven(ink, light, dark):
    """Returns ink on paper that grows lighter to the right, from 40 to 140 of 255, or inverted."""
    paper = np.linspace(40, 140, ink.shape[1])
    pixels = paper * (1 - ink / 255) + light * (ink / 255)
    return np.repeat((255 - pixels if dark else pixels)[..., None], 3, axis=-1)


PALE = {
    "dark blue on black": lambda ink: ink[..., None] / 255 * np.array([0, 0, 70]),
    "grey on black": lambda ink: ink[..., None] / 255 * np.array([60, 60, 60]),
    "grey on white": lambda ink: 255 - ink[..., None] / 255 * np.array([60, 60, 60]),
    "white on a gradient": lambda ink: uneven(ink, 230, dark=False),
    "black on a gradient": lambda ink: uneven(ink, 230, dark=True),
}


@pytest.mark.parametrize("way", PALE)
def test_a_small_digit_is_as_bright_as_the_networks_expect(way):
    _, test = load_mnist("embedded", data_dir=None, manual_dir=None)
    for ink in test.images[::200, ..., 0]:
        plain = network_input(Image.fromarray(ink).convert("RGB"), CANVAS, cluttered=False)
        assert plain.max() == 1
        pale = Image.fromarray(PALE[way](ink).round().astype(np.uint8))
        image = network_input(pale, CANVAS, cluttered=False)
        assert image.max() == pytest.approx(1)
        assert np.abs(image - plain).max() < 0.13


def test_what_is_hardly_visible_is_not_stretched():
    with pytest.raises(UserError, match="the picture is blank"):
        network_input(
            Image.fromarray(np.eye(28, dtype=np.uint8) * 20).convert("RGB"), 42, cluttered=False
        )


def page_with(*places):
    page = np.full((200, 300, 3), 250, np.uint8)
    for top, left, height, width in places:
        page[top : top + height, left : left + width] = 20
    return Image.fromarray(page)


FIVE = [(50, 50, 40, 6), (52, 66, 6, 20)]  # two strokes that do not touch


def test_strokes_that_do_not_touch_are_one_digit():
    image = network_input(page_with(*FIVE), 28, cluttered=False)[..., 0]
    assert np.ptp(np.nonzero(image > 0.3)[0]) + 1 == 20
    assert np.ptp(np.nonzero(image > 0.3)[1]) + 1 == 18


def test_dust_is_overlooked():
    alone = network_input(page_with(*FIVE), 28, cluttered=False)
    dusty = network_input(page_with(*FIVE, (5, 290, 3, 3), (150, 20, 8, 8)), 28, cluttered=False)
    np.testing.assert_allclose(dusty, alone, atol=1e-5)


def test_several_things_get_a_sentence_or_are_clutter():
    page = page_with(*FIVE, (100, 220, 40, 8))
    with pytest.raises(UserError, match=r"several things .* crop it to one digit"):
        network_input(page, CANVAS, cluttered=False)
    image = network_input(page, 60, cluttered=True)[..., 0]
    rows, columns = np.nonzero(image > 0.3)
    assert columns.max() - columns.min() == pytest.approx((228 - 50) / 5, abs=2)
    assert rows.max() - rows.min() == pytest.approx((140 - 50) / 5, abs=2)


def test_a_blank_sheet_in_uneven_light_gets_a_sentence():
    y, x = np.mgrid[0:1:300j, 0:1:400j]
    sheet = (255 * (0.9 - 0.4 * (x - 0.3) ** 2 - 0.2 * y)).astype(np.uint8)
    with pytest.raises(UserError, match="no digit found: the picture is blank"):
        network_input(Image.fromarray(sheet).convert("RGB"), CANVAS, cluttered=False)


def test_a_digit_that_is_lost_on_its_page_gets_a_sentence():
    with pytest.raises(UserError, match="no digit found: the largest mark is 5 pixels"):
        network_input(page_with((90, 200, 5, 2)), CANVAS, cluttered=False)


def test_a_sheet_that_does_not_fill_the_picture_gets_a_sentence(ink):
    desk = np.full((300, 400, 3), 60, np.uint8)
    desk[40:260, 80:340] = 240
    desk[60:172, 100:212] -= (ink[..., None] * 0.8).astype(np.uint8)
    with pytest.raises(UserError, match="crop the picture to the digit"):
        network_input(Image.fromarray(desk), CANVAS, cluttered=False)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 500), (500, 1), (3, 2000), (28, 28), (61, 61), (300, 400)]
)
@pytest.mark.parametrize("cluttered", [False, True])
def test_a_picture_of_any_shape_is_an_input_or_gets_a_sentence(size, cluttered):
    rng = np.random.default_rng(0)
    for share in (0, 0.1, 0.5):
        pixels = 255 * (rng.random((*size, 1)) < share) * np.ones(3)
        try:
            image = network_input(
                Image.fromarray(pixels.astype(np.uint8)), CANVAS, cluttered=cluttered
            )
        except UserError:
            continue
        assert image.shape == (CANVAS, CANVAS, 1)
        assert 0 <= image.min() <= image.max() <= 1
