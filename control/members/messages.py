"""The bodies of envelopes, one dataclass a kind; each has one form, and a bound.

Piece    index u16, count u16, bytes: all but the last piece have PIECE_BYTES
Join     after: string that may be empty; certificate
Peers    more u8, certificate, count u8, entries
Ack      number u64, u8 length, bitmap (least significant bit first, no zero byte at its end)

certificate   u8 0, or 1 and the certificate
entry         u8 0 and a name, or 1 and a certificate; addresses
"""

from dataclasses import dataclass
from typing import Final, Self

from patronus.control.members import address, certificate
from patronus.control.members.address import Address
from patronus.control.members.certificate import Certificate
from patronus.control.members.envelope import BODY_BYTES_MAX
from patronus.control.members.reader import Reader, number, text
from patronus.control.members.reason import Reason, Refused

PIECE_BYTES: Final = 864
"""What fits into a body beside its two numbers, rounded down to 32 bytes."""
PIECES_MAX: Final = 192
PAGE_MAX: Final = 255
"""Entries are counted in one byte; about twenty of usual ones fit."""
ANNOUNCEMENT_BYTES_MAX: Final = PIECE_BYTES * PIECES_MAX
"""162 KiB: 1500 destinations with long names and three classes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of an announcement."""

    index: int
    count: int
    data: bytes

    def encode(self) -> bytes:
        """Return the body."""
        return number(self.index, 2) + number(self.count, 2) + self.data

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the body."""
        reader = Reader(body)
        index, count, data = reader.number(2), reader.number(2), reader.rest()
        whole = index < count - 1
        if not index < count <= PIECES_MAX or not 0 < len(data) <= PIECE_BYTES:
            raise Refused(Reason.BODY)
        if whole and len(data) != PIECE_BYTES:
            raise Refused(Reason.BODY)
        return cls(index, count, data)


def pieces(data: bytes) -> list[Piece]:
    """Cut an announcement.

    Raises:
        ValueError: it is too long.
    """
    if len(data) > ANNOUNCEMENT_BYTES_MAX:
        raise ValueError(f"an announcement of {len(data)} bytes; {ANNOUNCEMENT_BYTES_MAX} fit")
    parts = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    return [Piece(index, len(parts), part) for index, part in enumerate(parts)]


@dataclass(frozen=True, slots=True)
class Join:
    """A request for a place, and for the part of the list of peers that follows a name."""

    after: str
    certificate: Certificate | None

    def encode(self) -> bytes:
        """Return the body."""
        return text(self.after) + _certificate(self.certificate)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the body."""
        reader = Reader(body)
        found = cls(reader.text(), _read_certificate(reader))
        reader.end()
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """A live peer of somebody; who is certified is told with his certificate."""

    name: str
    certificate: Certificate | None
    addresses: tuple[Address, ...]

    def encode(self) -> bytes:
        """Return the bytes."""
        known = self.certificate
        who = b"\0" + text(self.name) if known is None else b"\1" + known.encode()
        return who + address.encode(self.addresses)


@dataclass(frozen=True, slots=True)
class Peers:
    """A part of the list of peers, ascending by name."""

    more: bool
    """Others follow the last one."""
    certificate: Certificate | None
    entries: tuple[Entry, ...]

    def encode(self) -> bytes:
        """Return the body."""
        head = number(self.more, 1) + _certificate(self.certificate)
        return head + number(len(self.entries), 1) + b"".join(e.encode() for e in self.entries)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the body."""
        reader = Reader(body)
        more, known = reader.flag(), _read_certificate(reader)
        entries = tuple(_read_entry(reader) for _ in range(reader.number(1)))
        reader.end()
        names = [entry.name for entry in entries]
        # A page without names would have the same page asked for, again and again.
        if names != sorted(set(names)) or (more and not names):
            raise Refused(Reason.BODY)
        return cls(more, known, entries)


def page(entries: list[Entry], known: Certificate | None) -> Peers:
    """Return as many entries of an ascending list as fit into one envelope."""
    room = BODY_BYTES_MAX - len(Peers(more=False, certificate=known, entries=()).encode())
    taken: list[Entry] = []
    for entry in entries[:PAGE_MAX]:
        room -= len(entry.encode())
        if room < 0:
            break
        taken.append(entry)
    return Peers(len(taken) < len(entries), known, tuple(taken))


@dataclass(frozen=True, slots=True)
class Ack:
    """Pieces of an announcement (or the LEAVE) of a number that have arrived; 0: still here."""

    number: int
    bitmap: int

    def encode(self) -> bytes:
        """Return the body."""
        size = (self.bitmap.bit_length() + 7) // 8
        return number(self.number, 8) + number(size, 1) + number(self.bitmap, size)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the body."""
        reader = Reader(body)
        of, size = reader.number(8), reader.number(1)
        raw = reader.take(size)
        reader.end()
        if size > PIECES_MAX // 8 or raw[-1:] == b"\0":
            raise Refused(Reason.BODY)
        return cls(of, int.from_bytes(raw, "little"))


def _certificate(known: Certificate | None) -> bytes:
    return b"\0" if known is None else b"\1" + known.encode()


def _read_certificate(reader: Reader) -> Certificate | None:
    return certificate.read(reader) if reader.flag() else None


def _read_entry(reader: Reader) -> Entry:
    known = _read_certificate(reader)
    name = reader.name() if known is None else known.name
    return Entry(name, known, address.decode(reader))
