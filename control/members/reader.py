"""Reading and writing bytes of datagrams: never past their end, and one form of each value."""

from typing import Final

from patronus.control.members.reason import Reason, Refused

NAME_BYTES_MAX: Final = 255
"""As in announcements."""


class Reader:
    """A cursor over bytes; whatever is wrong with them raises :class:`Refused`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > len(self._data) - self.at:
            raise Refused(Reason.TRUNCATED)
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self, size: int) -> int:
        """Return a little-endian number of some bytes."""
        return int.from_bytes(self.take(size), "little")

    def flag(self) -> bool:
        """Return a byte that is 0 or 1."""
        value = self.number(1)
        if value > 1:
            raise Refused(Reason.BODY)
        return value == 1

    def text(self) -> str:
        """Return a string of at most 255 bytes that may be empty."""
        try:
            return self.take(self.number(1)).decode()
        except UnicodeDecodeError:
            raise Refused(Reason.NAME) from None

    def name(self) -> str:
        """Return a string of 1 to 255 bytes."""
        text = self.text()
        if not text:
            raise Refused(Reason.NAME)
        return text

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self.at)

    def end(self) -> None:
        """Assert that nothing is left."""
        if self.at != len(self._data):
            raise Refused(Reason.TRAILING)


def number(value: int, size: int) -> bytes:
    """Return the little-endian form of a number."""
    return value.to_bytes(size, "little")


def text(value: str) -> bytes:
    """Return the form of a string.

    Raises:
        ValueError: it has no UTF-8 form, or one that is too long.
    """
    raw = value.encode()
    if len(raw) > NAME_BYTES_MAX:
        raise ValueError(f"longer than {NAME_BYTES_MAX} bytes: {value[:40]!r} ...")
    return bytes([len(raw)]) + raw
