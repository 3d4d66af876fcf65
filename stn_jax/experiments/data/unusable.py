"""Pictures of an archive that a data set leaves out, because they cannot be used."""

import io
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stn_jax.errors import UserError

LARGEST_UNUSABLE_SHARE = 0.01
_MOST_PIXELS = 1 << 24  # a file of 64 MB could hold 10,000 times as many
_NAMES_SHOWN = 5


class UnusableError(Exception):
    """A picture must be left out. The message says why and does not name the picture."""


def leave_out(
    report: dict[str, Any],
    reason: str,
    name: str,
    path: Path,
    *,
    intended: Collection[str] = (),
    most: float = LARGEST_UNUSABLE_SHARE,
    remedy: str = "fetch or make it again",
) -> None:
    """Counts a picture that is left out.

    Args:
        report: the report of the split, with its number of "listed" pictures and "left_out".
        reason: why the picture cannot be used.
        name: the name of the picture.
        path: the archive or the folder, for messages.
        intended: reasons that do not make an archive unusable, however frequent they are.
        most: the share of pictures that can be left out.
        remedy: what to do if there are more.

    Raises:
        UserError: a larger share than `most` of the pictures cannot be used.
    """
    entry = report["left_out"].setdefault(reason, {"count": 0, "names": []})
    entry["count"] += 1
    if len(entry["names"]) < _NAMES_SHOWN:
        entry["names"].append(name)
    counts = {
        key: entry["count"] for key, entry in report["left_out"].items() if key not in intended
    }
    if sum(counts.values()) > most * report["listed"]:
        reasons = ", ".join(f"{key}: {count}" for key, count in counts.items())
        raise UserError(
            f"{path}: more than {most:.0%} of its {report['listed']} pictures "
            f"cannot be used (so far {reasons}; the last is {name}): {remedy}"
        )


def rgb_png(content: bytes, formats: tuple[str, ...]) -> tuple[bytes, int, int]:
    """Returns a picture as an RGB PNG of 8 bits, and its width and height.

    A file that already is such a PNG is returned unchanged. Transparency is dropped, so that the
    colours under it are visible.

    Args:
        content: the content of the file.
        formats: the names, as Pillow has them, of the formats that are accepted.

    Raises:
        UnusableError: the content is not a file of these formats, or it is damaged or too large.
    """
    try:
        with _opened(content, formats) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise UnusableError(f"picture of more than {_MOST_PIXELS} pixels")
            image.load()
            if _is_rgb_png(image, content):
                return content, *image.size
            if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
                rgb = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
            else:
                rgb = image.convert("RGB")
    except UnusableError:
        raise
    except Exception as error:  # Pillow raises errors of any kind for damaged files
        raise UnusableError("unreadable picture") from error
    converted = io.BytesIO()
    rgb.save(converted, "png")
    return converted.getvalue(), *rgb.size


def _opened(content: bytes, formats: tuple[str, ...]) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # told by `rgb_png`
        return Image.open(io.BytesIO(content), formats=formats)


def _is_rgb_png(image: Image.Image, content: bytes) -> bool:
    # The PNG's header has the bit depth, and the colour type 2 for RGB.
    is_rgb = image.format == "PNG" and content[24:26] == b"\x08\x02"
    return is_rgb and "transparency" not in image.info
