r"""Frames of a recording: whatever happens to a file, its sound beginning can be told.

::

    magic "PATREC1\n"
    frame: length u32, check u32, crc u32, payload         little-endian, again and again

``check`` is the CRC-32 of the length, begun with the CRC of the frame before; ``crc`` is that
of the payload, begun with ``check``. So a frame that was cut short (the agent was killed, the
disk was full) differs from one that was changed, and frames that were moved, left out or put
in are found as well.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from zlib import crc32

MAGIC: Final = b"PATREC1\n"
HEADER: Final = struct.Struct("<III")
PAYLOAD_MOST: Final = 1 << 30
"""No honest frame comes near: the state of a thousand tunnels takes a few MiB."""


class RecordingError(ValueError):
    """This is no sound recording; the message says why."""


@dataclass(slots=True)
class Framer:
    """Wraps payloads of one file, in order."""

    last: int = 0
    """The CRC of the frame before."""

    def frame(self, payload: bytes) -> bytes:
        """Return a payload with its header."""
        length = len(payload)
        check = crc32(length.to_bytes(4, "little"), self.last)
        self.last = crc32(payload, check)
        return HEADER.pack(length, check, self.last) + payload


@dataclass(slots=True)
class Frames:
    """Reads the frames of a file one by one."""

    file: BinaryIO
    at: int = 0
    """Bytes that were read and are sound."""
    torn: bool = False
    """The file ended in the middle of a frame."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the payloads of all frames that are whole.

        Raises:
            RecordingError: there is no recording, or a frame was changed.
        """
        magic = self.file.read(len(MAGIC))
        if magic != MAGIC:
            if magic and MAGIC.startswith(magic):
                self.torn = True
                return
            raise RecordingError("this is not a recording")
        self.at, last = len(magic), 0
        while header := self.file.read(HEADER.size):
            if len(header) < HEADER.size:
                self.torn = True
                return
            length, check, crc = HEADER.unpack(header)
            if crc32(header[:4], last) != check or length > PAYLOAD_MOST:
                raise self._damaged()
            payload = self.file.read(length)
            if len(payload) < length:
                self.torn = True
                return
            if crc32(payload, check) != crc:
                raise self._damaged()
            last = crc
            self.at += HEADER.size + length
            yield payload

    def _damaged(self) -> RecordingError:
        return RecordingError(f"what stands after byte {self.at} was changed")
