"""Image files that a person gives."""

from pathlib import Path

from PIL import Image

from stn_jax.errors import UserError


def open_image(path: Path) -> Image.Image:
    """The picture in `path` in colour (mode RGB), on white where it is transparent.

    Raises:
        UserError: the file is missing or is no image that can be read.
    """
    try:
        with Image.open(path) as file:
            coloured = file.convert("RGBA")
    except FileNotFoundError as error:
        raise UserError(f"no image file {path}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image: take a PNG or JPEG file") from error
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")
