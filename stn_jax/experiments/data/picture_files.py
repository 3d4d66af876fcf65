"""Reading of picture files that the user provides, as a person sees them."""

import contextlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from absl import logging
from numpy.typing import ArrayLike
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.data.picture_colours import Tones, on_contrasting_ground, to_srgb
from stn_jax.experiments.data.unusable import UnusableError

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that Pillow decodes itself. For EPS it would start another program."""

PICTURE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
"""How the names of picture files end, in lower case."""

_OTHER_FORMATS = {
    "a PDF": (b"%PDF",),
    "a PostScript": (b"%!PS",),
    "an SVG": (b"<svg", b"<?xml"),
    "a HEIC": (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"),
    "an AVIF": (b"ftypavif", b"ftypavis"),
    "a JPEG XL": (b"\xff\x0a", b"JXL \r\n"),
    "a JPEG 2000": (b"jP  \r\n", b"\xff\x4f\xff\x51"),
    "a Photoshop": (b"8BPS",),
}
"""How files of other picture formats begin, possibly after 4 other bytes."""

_MAX_MEGAPIXELS = 30
_FORBIDDEN = "you have no permission to read it"
_MISSING = "there is no such file"
_TOO_LARGE = f"more than {_MAX_MEGAPIXELS} megapixels"
_SMALL_MEGAPIXELS = 4  # need little memory, also in several threads
_MAX_BYTES_PER_PIXEL = 16
_LARGEST_SIDE = 2048
_LOWEST_CONTRAST = 16  # of 255

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that makes a picture upright, by its EXIF orientation."""

_one_large = threading.Lock()

_decoder = ThreadPoolExecutor(1, "decoder")
"""All pictures are decoded in one thread, because `malloc` keeps freed memory for each thread."""


def open_image(path: Path) -> Image.Image:
    """Returns the picture in `path` as a person sees it: upright, sRGB of 8 bits (mode RGB).

    A picture of more than 2048 pixels on a side is shrunk by a whole number while it is decoded.
    Transparent parts become white, or black if all visible parts are brighter than mid-grey, so
    that white ink stays visible. Only the first frame or page of a file is read. Threads that call
    this at the same time wait for each other, so that only one needs memory, up to 0.2 GB.

    Raises:
        UserError: the file is missing, cannot be read as an image, is blank, or has more than 30
            megapixels (a JPEG file, after it was shrunk). The limit exists because a file of a few
            kilobytes can hold gigabytes of pixels.
    """
    try:
        _check_file(path)
        picture = _decoder.submit(_decode, path).result()
    except UnusableError as error:
        raise _unreadable(path, str(error)) from error
    if np.ptp(np.asarray(picture), axis=(0, 1)).max() < _LOWEST_CONTRAST:
        raise UserError(f"{path} is blank: there is nothing to read in it")
    return picture


def _decode(path: Path) -> Image.Image:
    # Pillow warns about damage that does not matter.
    with warnings.catch_warnings(action="ignore"), _decoding(path) as file:
        if file.format != "MPO" and getattr(file, "is_animated", False):
            logging.warning("%s has several frames or pages: the first one is read", one_line(path))
        factor = _shrinking(file)
        return _loaded(file, (file.width // factor, file.height // factor))


def content_of(path: Path) -> bytes:
    """Returns the content of a picture file.

    Raises:
        UnusableError: it is no regular file, or empty, or too large, or must not be read.
        OSError: it cannot be read now, for another reason.
    """
    try:
        _check_status(path.stat())
        return path.read_bytes()
    except PermissionError as error:
        raise UnusableError(_FORBIDDEN) from error


def decode(content: bytes, enough: int) -> Image.Image:
    """Returns the picture in the content of a file, as `open_image` does.

    Threads decode small pictures at the same time, and large ones one after another. Pillow's
    warnings pass.

    Args:
        content: the content of a file.
        enough: the shorter side, in pixels, that is enough: a JPEG file of at least twice that is
            shrunk while it is decoded, which is faster.

    Raises:
        UnusableError: it cannot be read as an image, or is too large.
    """
    with _decoding(io.BytesIO(content)) as file:
        return _loaded(file, (enough, enough))


def _loaded(file: ImageFile.ImageFile, enough: tuple[int, int]) -> Image.Image:
    whole = file.width * file.height
    file.draft(None, enough)  # JPEG shrinks by itself
    # A progressive file is in memory as a whole before it is shrunk.
    megapixels = (whole if "progressive" in file.info else file.width * file.height) / 1e6
    if megapixels > _MAX_MEGAPIXELS:
        raise Image.DecompressionBombError
    with _one_large if megapixels > _SMALL_MEGAPIXELS else contextlib.nullcontext():
        file.load()
        return as_seen(file)


def as_seen(picture: Image.Image) -> Image.Image:
    """Returns an image of Pillow as `open_image` returns those of files."""
    eight_bits = to_srgb(_shrunk(picture, _shrinking(picture)), picture.info)
    return _upright(on_contrasting_ground(eight_bits), picture)


def picture_of_array(pixels: ArrayLike) -> Image.Image:
    """Returns an array [H, W] or [H, W, 1 or 3] of uint8, or of numbers in 0..1, as a picture.

    Raises:
        UserError: the array has another shape or other values.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
        raise UserError(
            f"a picture must have shape (H, W), (H, W, 1) or (H, W, 3), got {pixels.shape}"
            f"{': prepare the pictures of a batch one by one' if pixels.ndim == 4 else ''}"
        )
    if pixels.dtype != np.uint8:
        if not np.all((pixels >= 0) & (pixels <= 1)):  # or NaN
            raise UserError(
                "a picture must hold uint8 or numbers in 0..1, got "
                f"{pixels.dtype} in {pixels.min()}..{pixels.max()}: convert 0..255 to uint8"
            )
        pixels = np.rint(255 * pixels.astype(np.float32)).astype(np.uint8)
    return as_seen(Image.fromarray(pixels.repeat(3 // pixels.shape[-1], axis=-1)))


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UnusableError(_MISSING) from error
    except OSError as error:  # such as a name that is too long
        raise UnusableError(str(error.strerror)) from error
    _check_status(status)


def _check_status(status: os.stat_result) -> None:
    """Raises UnusableError unless this is a regular file; a pipe or a device may never end."""
    if stat.S_ISDIR(status.st_mode):
        raise UnusableError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("it is not a regular file")
    if not status.st_size:
        raise UnusableError("the file is empty")
    if status.st_size > 1e6 * _MAX_MEGAPIXELS * _MAX_BYTES_PER_PIXEL:
        raise UnusableError(_TOO_LARGE)


@contextlib.contextmanager
def _decoding(source: Path | io.BytesIO) -> Iterator[ImageFile.ImageFile]:
    """Opens a picture; what Pillow raises, which can be any exception, becomes UnusableError."""
    try:
        with Image.open(source, formats=_FORMATS) as file:
            yield file
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise UnusableError(_TOO_LARGE) from error
    except PermissionError as error:
        raise UnusableError(_FORBIDDEN) from error
    except UnidentifiedImageError as error:
        raise UnusableError(_other_format(source) or "use a PNG or JPEG file") from error
    except Exception as error:
        raise UnusableError("it is damaged or cut short") from error


def _unreadable(path: Path, reason: str) -> UserError:
    if reason == _MISSING:
        return UserError(f"no image file {path}")
    if reason == _TOO_LARGE:
        return UserError(f"{path} has {_TOO_LARGE}: use a smaller picture")
    return UserError(f"{path} cannot be read as an image: {reason}")


def _other_format(source: Path | io.BytesIO) -> str | None:
    with source.open("rb") if isinstance(source, Path) else source as file:
        file.seek(0)
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    for name, starts in _OTHER_FORMATS.items():
        if head.startswith(starts) or head[4:].startswith(starts):
            return f"it is {name} file, save the picture as PNG or JPEG"
    return None


def _shrinking(image: Image.Image) -> int:
    return -(-max(image.size) // _LARGEST_SIDE)


def _shrunk(image: Image.Image, factor: int) -> Image.Image:
    """Returns an image in a mode of 8 bits, and shrinks it row by row, which saves memory."""
    tones = Tones.of(image)
    if factor == 1:
        return tones.to_8_bits(image)
    rows = 64 * factor
    strips = (
        image.crop((0, top, image.width, min(top + rows, image.height)))
        for top in range(0, image.height, rows)
    )
    parts = [tones.to_8_bits(strip).reduce(factor) for strip in strips]
    whole = Image.new(parts[0].mode, (parts[0].width, sum(part.height for part in parts)))
    for place, part in enumerate(parts):
        whole.paste(part, (0, 64 * place))
    return whole


def _upright(picture: Image.Image, file: Image.Image) -> Image.Image:
    orientation = 1
    # Viewers show a picture whose EXIF block is damaged as it is stored.
    with contextlib.suppress(Exception):
        orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
    method = _UPRIGHT.get(orientation)
    return picture if method is None else picture.transpose(method)
