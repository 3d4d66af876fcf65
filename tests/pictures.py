"""Picture files for tests, also of kinds that Pillow reads but does not write."""

import struct
import zlib

import numpy as np

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6  # colour types of PNG


def blank_png(width: int, height: int) -> bytes:
    """Returns a PNG file of a single colour; with one bit per pixel it is small at any size."""
    return _png(width, height, 1, GREY, bytes(height * (1 + (width + 7) // 8)))


def striped_png(width: int, height: int, colour_type: int = GREY) -> bytes:
    """Returns a PNG file that is small at any size, with 8 black and 8 white rows in turn."""
    channels = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGBA: 4}[colour_type]
    dark, bright = (b"\0" + bytes([value]) * (channels * width) for value in (0, 255))
    rows = b"".join(bright if row // 8 % 2 else dark for row in range(height))
    return _png(width, height, 8, colour_type, rows)


def png(pixels: np.ndarray, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Returns pixels [H, W] or [H, W, channels], uint8 or uint16, as a PNG file.

    Args:
        pixels: the values.
        colour_type: `GREY`, `RGB`, `GREY_ALPHA` or `RGBA`.
        chunks: names and contents of more chunks.
    """
    height, width = pixels.shape[:2]
    depth = 8 * pixels.dtype.itemsize
    return _png(width, height, depth, colour_type, _rows(pixels), *chunks)


def interlaced_png(pixels: np.ndarray) -> bytes:
    """Returns grey pixels [H, W] uint8 as an interlaced PNG file."""
    passes = (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
        (1, 0, 2, 1),
    )  # fmt: skip
    rows = b"".join(_rows(pixels[y::dy, x::dx]) for y, x, dy, dx in passes)
    return _png(pixels.shape[1], pixels.shape[0], 8, GREY, rows, interlaced=True)


def _rows(pixels: np.ndarray) -> bytes:
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big_endian)


def _png(
    width: int,
    height: int,
    depth: int,
    colour_type: int,
    rows: bytes,
    *chunks: tuple[bytes, bytes],
    interlaced: bool = False,
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    everything = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in everything
    )


def tiff(pixels: np.ndarray, photometric: int, **tags: int) -> bytes:
    """Returns pixels [H, W] or [H, W, channels] as a TIFF file without compression.

    Args:
        pixels: the values, whose type gives the depth and the format.
        photometric: the tag PhotometricInterpretation.
        tags: `orientation`, or `extra_samples` (1: alpha, and colours are multiplied by it).
    """
    height, width, *channels = pixels.shape
    channels = channels[0] if channels else 1
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    depths = struct.pack(f"<{channels}H", *[8 * pixels.dtype.itemsize] * channels)
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, depths), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 8), (274, 3, 1, tags.get("orientation", 1)),
        (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(content)),
    ]  # fmt: skip
    if "extra_samples" in tags:
        entries.append((338, 3, 1, tags["extra_samples"]))
    entries.append((339, 3, 1, kind))
    at = 8 + len(content) + len(content) % 2
    later = at + 2 + 12 * len(entries) + 4
    directory = struct.pack("<H", len(entries))
    for number, type_, count, value in entries:
        if isinstance(value, bytes):
            value = struct.unpack("<I", value.ljust(4, b"\0"))[0] if len(value) <= 4 else later
        directory += struct.pack("<HHII", number, type_, count, value)
    padding = bytes(len(content) % 2)
    return struct.pack("<2sHI", b"II", 42, at) + content + padding + directory + bytes(4) + depths


def colour_profile(red: tuple, green: tuple, blue: tuple, gamma: float) -> bytes:
    """Returns an ICC profile for RGB, given the XYZ (D50) of its primaries and its gamma."""

    def xyz(values: tuple) -> bytes:
        return struct.pack(">4s4x3i", b"XYZ ", *(round(65536 * value) for value in values))

    curve = struct.pack(">4s4xIH2x", b"curv", 1, round(256 * gamma))
    contents = {
        b"desc": struct.pack(">4s4xI5s78x3x", b"desc", 5, b"test\0"),
        b"cprt": struct.pack(">4s4x4s", b"text", b"\0\0\0\0"),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, body = struct.pack(">I", len(contents)), b""
    for name, content in contents.items():
        offset = 128 + 4 + 12 * len(contents) + len(body)
        table += struct.pack(">4sII", name, offset, len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    header = bytearray(128)
    struct.pack_into(">I4xI4s4s4s", header, 0, 128 + len(table + body), 0x02400000, b"mntr",
                     b"RGB ", b"XYZ ")  # fmt: skip
    header[36:40] = b"acsp"
    header[68:80] = xyz((0.9642, 1.0, 0.8249))[8:]
    return bytes(header) + table + body
