"""Type-length-value extensions of STAMP (RFC 8972 section 4), and the one that is our own.

    0        1        2                 4
    | flags  |  type  |      length     |  value ...

A sender sets U in each; a reflector that knows the type clears it, so that whoever gets the
packet back can tell. M says that the length is wrong, I that the HMAC is. The HMAC TLV comes
last and covers the sequence number of the packet and all TLVs before it (section 4.8).

Ours has a type for private use and carries what keeps a tunnel alive, the same in a probe and
in a reflection, always as its sender sees things (offsets in the value, big endian):

     0   H bit, D bit, O bit             1   version
     2   of the largest data packets (above 1024 octets), those that we had heard, 16 bits
     4   sequence of the packet on its tunnel; probes, reflections and data share it
     8   session identifier of the tunnel, which an outsider cannot guess
    16   microseconds since we heard the peer, all ones for longer than an hour or never
    20   probes that we sent
    24   probes that the peer had sent, as its newest packet that we heard told
    28   probes that we had heard of them
    32   data packets that we sent
    36   data packets that the peer had sent, as its newest packet that we heard told
    40   data packets that we had heard of them

D: the sender moves its flows away from the tunnel, as planned, and the receiver is to do so as
well; O: the deadline of that is over, and what is still there is to be moved by force.

So each packet tells the losses of both directions, in counts that belong to one instant.
"""

import hmac
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from patronus.dataplane.stamp.fields import Malformed, Refusal

FLAG_U: Final = 0x80
"""Unrecognized (RFC 8972 section 4)."""
FLAG_M: Final = 0x40
"""Malformed."""
FLAG_I: Final = 0x20
"""Integrity: the HMAC TLV did not fit."""

HEADER_OCTETS: Final = 4
HMAC_OCTETS: Final = 16
"""HMAC-SHA-256 cut to 128 bits (RFC 8762 section 4.4)."""

LIVENESS_VERSION: Final = 1
LIVENESS_OCTETS: Final = 44
NEVER_HEARD: Final = 2**32 - 1
HEARS: Final = 0x80

_LIVENESS: Final = struct.Struct(">BBHIQIIIIIII")
assert _LIVENESS.size == LIVENESS_OCTETS


class Type(IntEnum):
    """TLV types that we understand (RFC 8972 sections 4 and 5.1)."""

    EXTRA_PADDING = 1
    HMAC = 8
    LIVENESS = 252
    """The first for private use."""


class Tlv(NamedTuple):
    """One extension."""

    type: int
    value: bytes
    flags: int = FLAG_U

    def pack(self) -> bytes:
        """Return its bytes."""
        return bytes((self.flags, self.type)) + len(self.value).to_bytes(2) + self.value


class Drain(IntFlag):
    """What the sender of a packet says of a planned move away from the tunnel."""

    ASKED = 0x40
    OVERDUE = 0x20


class Liveness(NamedTuple):
    """What our private TLV says, as the sender of the packet sees it."""

    hears: bool
    """H: it heard the receiver within its detect time."""
    sequence: int
    """Of the packet on its tunnel, 32 bits."""
    session: int
    """Of the tunnel, 64 bits."""
    heard_age_us: int
    """Since it heard the receiver last, ``NEVER_HEARD`` for too long or never."""
    probes_sent: int
    probes_told: int
    """That the receiver had sent, by what the sender had heard."""
    probes_heard: int
    """Of those."""
    data_sent: int
    data_told: int
    data_heard: int
    large_heard: int = 0
    """Of the largest data packets, 16 bits."""
    drain: Drain = Drain(0)

    def pack(self) -> bytes:
        """Return the value of the TLV; counters wrap."""
        head = HEARS * self.hears | self.drain, LIVENESS_VERSION, self.large_heard % 2**16
        numbers = self.sequence % 2**32, self.session
        counts = (count % 2**32 for count in self[4:10])
        return _LIVENESS.pack(*head, *numbers, min(self.heard_age_us, NEVER_HEARD), *counts)

    @classmethod
    def parse(cls, value: bytes) -> "Liveness":
        """Read the value of the TLV.

        Raises:
            Malformed: of another length or version.
        """
        if len(value) != LIVENESS_OCTETS:
            raise Malformed(Refusal.TLV, f"liveness of {len(value)} octets")
        flags, version, large, *rest = _LIVENESS.unpack(value)
        if version != LIVENESS_VERSION:
            raise Malformed(Refusal.VERSION, f"liveness version {version}")
        drain = Drain(flags & (Drain.ASKED | Drain.OVERDUE))
        return cls(bool(flags & HEARS), *rest)._replace(large_heard=large, drain=drain)


def split(data: bytes) -> Iterator[Tlv]:
    """Yield the TLVs of a packet.

    Raises:
        Malformed: one runs over the end.
    """
    at = 0
    while at < len(data):
        if len(data) - at < HEADER_OCTETS:
            raise Malformed(Refusal.TLV, f"{len(data) - at} octets where a TLV begins")
        flags, kind, length = struct.unpack_from(">BBH", data, at)
        at += HEADER_OCTETS
        if length > len(data) - at:
            raise Malformed(Refusal.TLV, f"type {kind} of {length} octets, {len(data) - at} left")
        yield Tlv(kind, data[at : at + length], flags)
        at += length


def liveness_of(data: bytes) -> Liveness:
    """Return what the one liveness TLV among the TLVs of a packet says.

    Raises:
        Malformed: the TLVs are broken, or there is not just one of ours.
    """
    ours = [tlv.value for tlv in split(data) if tlv.type == Type.LIVENESS]
    if len(ours) != 1:
        raise Malformed(Refusal.NO_LIVENESS, f"{len(ours)} liveness TLVs")
    return Liveness.parse(ours[0])


def digest(key: bytes, covered: bytes) -> bytes:
    """Return the HMAC of STAMP (RFC 8762 section 4.4)."""
    return hmac.digest(key, covered, "sha256")[:HMAC_OCTETS]


def seal(key: bytes, sequence: int, tlvs: bytes) -> bytes:
    """Return TLVs with the HMAC TLV behind them; none stay none."""
    if not tlvs:
        return b""
    return tlvs + Tlv(Type.HMAC, digest(key, sequence.to_bytes(4) + tlvs)).pack()


def unseal(key: bytes, sequence: int, data: bytes) -> bytes:
    """Return the TLVs that the HMAC TLV covers.

    What follows the HMAC TLV may only be extra padding, which it does not cover.

    Raises:
        Malformed: they are broken, not covered, or covered by another HMAC.
    """
    at, found = 0, None
    for tlv in split(data):
        if found is not None and tlv.type != Type.EXTRA_PADDING:
            raise Malformed(Refusal.NO_HMAC, f"type {tlv.type} behind the HMAC")
        if tlv.type == Type.HMAC:
            found = at, tlv.value
        at += HEADER_OCTETS + len(tlv.value)
    if found is None:
        if any(tlv.type != Type.EXTRA_PADDING for tlv in split(data)):
            raise Malformed(Refusal.NO_HMAC, "TLVs without HMAC")
        return b""
    covered, value = data[: found[0]], found[1]
    if not hmac.compare_digest(value, digest(key, sequence.to_bytes(4) + covered)):
        raise Malformed(Refusal.HMAC, "the HMAC TLV does not fit")
    return covered


def reflect(data: bytes, answer: Callable[[Tlv], bytes | None]) -> bytes:
    """Return the TLVs of a reflection, equally long (RFC 8972 section 4).

    Args:
        data: those of the probe; where one runs over the end, the rest is only marked.
        answer: gives the value that a TLV is sent back with, None for a type that it does
            not know. A value of another length says that the probe's had a wrong one.
    """
    out, at = b"", 0
    try:
        for tlv in split(data):
            value = answer(tlv)
            flags = FLAG_U if value is None else 0
            if value is None or len(value) != len(tlv.value):
                flags |= 0 if value is None else FLAG_M
                value = tlv.value
            out += Tlv(tlv.type, value, flags).pack()
            at = len(out)
    except Malformed:
        out += bytes((FLAG_M,)) + data[at + 1 :]
    return out
