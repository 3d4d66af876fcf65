"""Reading of image files that the user provides."""

import warnings
from pathlib import Path

from PIL import Image

from stn_jax.errors import UserError

_MAX_MEGAPIXELS = 30
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that Pillow decodes itself. For EPS it would start another program."""


def open_image(path: Path) -> Image.Image:
    """Returns the picture in `path` in colour (mode RGB), with white behind transparent parts.

    Raises:
        UserError: the file is missing, cannot be read as an image, or has more than 30 megapixels.
            The limit exists because a file of a few kilobytes can hold gigabytes of pixels.
    """
    try:
        with warnings.catch_warnings():
            # Otherwise Pillow prints a warning before the error is reported.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(path, formats=_FORMATS)
        with file:
            if file.width * file.height > 1e6 * _MAX_MEGAPIXELS:
                raise Image.DecompressionBombError
            coloured = file.convert("RGBA")
    except FileNotFoundError as error:
        raise UserError(f"no image file {path}") from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{path} has more than {_MAX_MEGAPIXELS} megapixels: use a smaller picture"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as an image: use a PNG or JPEG file") from error
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")
