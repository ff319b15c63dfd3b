"""The signed envelope around everything that sites tell each other.

One envelope is one datagram, canonical and little-endian:

    magic "PM", format u8, kind u8
    counter u64                 grows with everything that a site says, also over restarts
    session u64                 drawn at random when the sender started
    echo u64                    the session of the receiver as the sender knows it, else 0
    key id 8 bytes              of the key that signed
    origin                      string: u8 length, UTF-8
    body                        u16 length, and what the kind says
    signature 64 bytes          Ed25519, of a fixed prefix and all of the above

Why datagrams and not streams: each is signed and complete, so nothing is kept for anybody
who has not proved who he is: there is no half-open connection, no stream to hold up, and
a link that comes back is used at once, where TCP would wait for its timer to run out.
What is longer than a datagram is cut here, each piece signed by itself, for the same
reason: verify first, then store.

An *echo* of our session proves that the sender has heard of us since we started, so the
datagram is no recording of an earlier time, even if every file of ours is lost.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from patronus.control.members.identity import (
    KEY_ID_BYTES,
    SIGNATURE_BYTES,
    Identity,
    PublicKey,
)
from patronus.control.members.reader import NAME_BYTES_MAX, Reader, number, text
from patronus.control.members.reason import Reason, Refused

MAGIC: Final = b"PM"
FORMAT: Final = 1

DATAGRAM_BYTES_MAX: Final = 1232
"""Least MTU of IPv6 (1280, RFC 8200 section 5) without the headers of IPv6 and UDP."""

_HEADER_BYTES: Final = 2 + 1 + 1 + 8 + 8 + 8 + KEY_ID_BYTES
BODY_BYTES_MAX: Final = (
    DATAGRAM_BYTES_MAX - _HEADER_BYTES - (1 + NAME_BYTES_MAX) - 2 - SIGNATURE_BYTES
)
"""Whatever the length of the name."""

_PREFIX: Final = b"Patronus datagram\0"


class Kind(IntEnum):
    """What an envelope holds."""

    ANNOUNCE = 1
    """A piece of an announcement; the counter numbers the announcement. No echo: all get it."""
    JOIN = 2
    """We want to hear of you, and of whom you know."""
    PEERS = 3
    """The answer to JOIN."""
    LEAVE = 4
    """We are going away. No echo: all get it."""
    ACK = 5
    """Which pieces have arrived; of none: we are still here."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One envelope; ``signed`` and ``signature`` are set by :func:`decode` alone."""

    kind: Kind
    origin: str
    key_id: bytes
    counter: int
    session: int
    echo: int
    body: bytes
    signed: bytes = field(default=b"", compare=False, repr=False)
    signature: bytes = field(default=b"", compare=False, repr=False)

    def authentic(self, public: PublicKey) -> bool:
        """Return whether the owner of a key signed it."""
        return public.signed(self.signature, _PREFIX + self.signed)


def seal(envelope: Envelope, identity: Identity) -> bytes:
    """Return the datagram of an envelope.

    Raises:
        ValueError: the origin or the body is too long.
    """
    e = envelope
    if len(e.body) > BODY_BYTES_MAX:
        raise ValueError(f"a body of {len(e.body)} bytes")
    head = MAGIC + bytes([FORMAT, e.kind])
    head += number(e.counter, 8) + number(e.session, 8) + number(e.echo, 8) + e.key_id
    signed = head + text(e.origin) + number(len(e.body), 2) + e.body
    return signed + identity.sign(_PREFIX + signed)


def decode(data: bytes) -> Envelope:
    """Read a datagram; the signature is not looked at.

    Raises:
        Refused: it is no envelope. Nothing else is raised.
    """
    if len(data) > DATAGRAM_BYTES_MAX:
        raise Refused(Reason.OVERSIZED)
    reader = Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise Refused(Reason.NOT_OURS)
    if reader.number(1) != FORMAT:
        raise Refused(Reason.VERSION)
    kind = _kind(reader.number(1))
    counter, session, echo = reader.number(8), reader.number(8), reader.number(8)
    key_id, origin = reader.take(KEY_ID_BYTES), reader.name()
    length = reader.number(2)
    if length > BODY_BYTES_MAX:
        raise Refused(Reason.BODY)
    body, signed = reader.take(length), data[: reader.at]
    signature = reader.take(SIGNATURE_BYTES)
    reader.end()
    return Envelope(kind, origin, key_id, counter, session, echo, body, signed, signature)


def _kind(value: int) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        raise Refused(Reason.KIND) from None
