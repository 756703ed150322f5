"""TensorBoard's event files taken apart: records with checksums, each an event; what is damaged is skipped and said.

TFRecord's format: length (8 bytes, little-endian), its masked CRC-32C (4), the event, its masked CRC-32C (4).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepsize import _extras
from stepsize.record.foreign._log import say
from stepsize.state import read_regular

HEAD, FOOT = 12, 4


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli's polynomial
        table.append(value)
    return table


TABLE = _table()


def checksum(content: bytes) -> int:
    """The masked CRC-32C."""
    value, table = 0xFFFFFFFF, TABLE
    for byte in content:
        value = table[(value ^ byte) & 255] ^ value >> 8
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events_in(path: Path) -> Iterator[Any]:
    """The events of a file that are whole, in order; a ``RecordWarning`` says what is not.

    Args:
        path: the file.

    Raises:
        OSError, ValueError: it cannot be read, or is no file.
        ImportError: TensorBoard is not installed.
    """
    proto = _extras.load("tensorboard.compat.proto.event_pb2", "tensorboard", "reading TensorBoard's event files")
    damaged = 0
    for content in _contents(path, read_regular(path)):
        try:
            event = None if content is None else proto.Event.FromString(content)
        except Exception:  # protobuf's own error has no common name in its versions
            event = None
        if event is None:
            damaged += 1
        else:
            yield event
    if damaged:
        which = "1 event of" if damaged == 1 else f"{damaged} events of"
        say(f"{which} {path} {'is' if damaged == 1 else 'are'} damaged and left out")


def _contents(path: Path, content: bytes) -> Iterator[bytes | None]:
    """Each event as bytes; None for one that is not what its checksum says."""
    place = 0
    while place < len(content):
        head = content[place : place + HEAD]
        length = int.from_bytes(head[:8], "little")
        if len(head) == HEAD and checksum(head[:8]) != int.from_bytes(head[8:], "little"):
            say(f"{path} is damaged at byte {place}; the rest of it is left out")
            return
        begun, place = place + HEAD, place + HEAD + length + FOOT
        if len(head) < HEAD or place > len(content):
            say(f"{path} ends within an event, which is left out")
            return
        event = content[begun : begun + length]
        yield event if checksum(event) == int.from_bytes(content[place - FOOT : place], "little") else None
