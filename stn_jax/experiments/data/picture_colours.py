"""Conversion of a decoded picture's values to the colours that a person sees: sRGB of 8 bits."""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image, ImageCms

_WHITES = (1, 255, 4095, 65535, 2**31 - 1)
"""Usual values of white, for files that do not state it; 4095 is that of 12 bits."""

_PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO = 262, 0
_SCREEN_GAMMA = 2.2


class Tones(NamedTuple):
    """How an image with more than 8 bits per value maps to 8 bits."""

    black: float = 0.0
    white: float = 255.0

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """Returns the tones of a decoded image.

        White is the lowest usual value that no value of the image exceeds, because files of 16 bits
        may use only 12 of them.
        """
        if not _is_deep(image):
            return cls()
        values = np.asarray(image)
        if image.mode == "F":
            values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        if low < 0:
            black, white = low, high
        else:
            black, white = 0.0, next((each for each in _WHITES if high <= each), high)
        tags = getattr(image, "tag_v2", {})
        # Pillow inverts such TIFF files only if they have 8 bits or fewer.
        if tags.get(_PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
            black, white = white, black
        return cls(black, white)

    def to_8_bits(self, image: Image.Image) -> Image.Image:
        """Returns an image, or a part of it, in a mode of 8 bits: LA or RGBA if it has alpha."""
        transparent = image.info.get("transparency")
        if _is_deep(image):
            values = np.asarray(image).astype(np.float32)
            scaled = (values - self.black) * (255 / (self.white - self.black))
            scaled = np.nan_to_num(scaled, nan=0, posinf=255, neginf=0)
            grey = Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8))
            if isinstance(transparent, int):
                grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype("u1")))
            return grey
        if image.mode in ("P", "PA") or (image.mode == "RGB" and transparent is not None):
            return image.convert("RGBA")
        if image.mode in ("1", "L"):
            return image.convert("L" if transparent is None else "LA")
        return image.convert("RGB") if image.mode == "YCbCr" else image


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def to_srgb(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """Converts an image of 8 bits to sRGB (mode RGBA); `info` is that of its file.

    A colour profile that is damaged or made for another kind of image is ignored, as viewers do.
    """
    alpha = None
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
        image = image.convert(image.mode[:-1])
    colours = _managed(image, info.get("icc_profile") or b"") or _by_gamma(image, info)
    colours = colours.convert("RGBA")
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def _managed(image: Image.Image, profile: bytes) -> Image.Image | None:
    is_lab = image.mode == "LAB"
    if not (profile or is_lab):
        return None
    try:
        source = ImageCms.createProfile("LAB") if is_lab else io.BytesIO(profile)
        return ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ImportError):  # or a Pillow without colour management
        return None


def _by_gamma(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """Applies the gamma that a PNG file states unless it also says that it is sRGB."""
    exponent = 1 / (_SCREEN_GAMMA * (info.get("gamma") or 1 / _SCREEN_GAMMA))
    if "srgb" in info or not 0.1 < exponent < 10 or abs(exponent - 1) < 0.05:
        return image
    table = [round(255 * (value / 255) ** exponent) for value in range(256)]
    return image.point(table * len(image.getbands()))


def on_contrasting_ground(image: Image.Image) -> Image.Image:
    """Puts an image (mode RGBA) on white, or on black if all visible parts are bright."""
    alpha = np.asarray(image.getchannel("A"))
    visible = np.asarray(image.convert("L"))[alpha > alpha.max() // 2]
    # Not the darkest value itself: a few odd pixels in white ink do not count.
    darkest = np.quantile(visible, 0.001, method="lower") if visible.size else 0
    ground = "black" if darkest > 127 else "white"
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")
