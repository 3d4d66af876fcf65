"""Reads TensorBoard's event files by their format's description, without the code that wrote them.

Each record is a length (8 bytes), its checksum, the data and their checksum (4 bytes each), all
little-endian; checksums are CRC-32C, rotated and offset.
"""

import struct

from tensorboardX.proto.event_pb2 import Event

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def checksum(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(workdir) -> list[Event]:
    """Returns the events of a run; fails unless it has one file, which is whole."""
    [path] = workdir.glob("*tfevents*")
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        data = content[12 : 12 + length]
        assert struct.unpack("<I", content[8:12])[0] == checksum(content[:8])
        assert struct.unpack("<I", content[12 + length : 16 + length])[0] == checksum(data)
        events.append(Event.FromString(data))
        content = content[16 + length :]
    return events


def values(workdir) -> list[tuple[int, str]]:
    """Returns the step and the tag of each value, in the order of the file."""
    return [(event.step, v.tag) for event in read_events(workdir) for v in event.summary.value]


def scalars(workdir) -> dict[tuple[int, str], float]:
    """Returns the numbers by step and tag."""
    return {
        (event.step, v.tag): v.simple_value
        for event in read_events(workdir)
        for v in event.summary.value
        if v.HasField("simple_value")
    }
