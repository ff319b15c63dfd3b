"""The test packets of STAMP, byte for byte as in RFC 8762 section 4 with RFC 8972 section 3.

Unauthenticated, 44 octets each:

     probe                               reflection
     0  sequence number                   0  sequence number of the reflector
     4  timestamp                         4  timestamp
    12  error estimate                   12  error estimate
    14  SSID                             14  SSID
    16  zero                             16  receive timestamp
                                         24  sequence number of the sender
                                         28  timestamp of the sender
                                         36  error estimate of the sender, 2 zero
                                         40  TTL of the sender, 3 zero

Authenticated, 112 octets each; whatever the HMAC covers is aligned to 16:

     0  sequence number, 12 zero          0  sequence number, 12 zero
    16  timestamp                        16  timestamp
    24  error estimate                   24  error estimate
    26  SSID                             26  SSID, 4 zero
    28  zero                             32  receive timestamp, 8 zero
                                         48  sequence number of the sender, 12 zero
                                         64  timestamp of the sender
                                         72  error estimate of the sender, 6 zero
                                         80  TTL of the sender, 15 zero
    96  HMAC                             96  HMAC

What must be zero is written as zero and not looked at when read. TLVs follow. A reflector
keeps state here: its own number counts the packets that it reflected, so a reflection tells
how many probes of the session were heard (RFC 8762 section 4.3).

Reading gives a packet or :class:`Malformed`, whatever the bytes.
"""

import hmac
import struct
from typing import Final, NamedTuple

from patronus.dataplane.stamp.fields import ErrorEstimate, Malformed, Refusal, Stamp
from patronus.dataplane.stamp.tlv import HMAC_OCTETS, digest, seal, unseal

PORT: Final = 862
"""RFC 8762 section 4.1."""

PLAIN_OCTETS: Final = 44
SEALED_OCTETS: Final = 112
COVERED_OCTETS: Final = SEALED_OCTETS - HMAC_OCTETS

OCTETS_MAX: Final = 1500
"""Nobody needs a longer probe; a reflector must not amplify work."""

_PROBE: Final = struct.Struct(">IQHH28x")
_REFLECTION: Final = struct.Struct(">IQHHQIQH2xB3x")
_SEALED_PROBE: Final = struct.Struct(">I12xQHH68x")
_SEALED_REFLECTION: Final = struct.Struct(">I12xQHH4xQ8xI12xQH6xB15x")
assert _PROBE.size == _REFLECTION.size == PLAIN_OCTETS
assert _SEALED_PROBE.size == _SEALED_REFLECTION.size == COVERED_OCTETS


class Probe(NamedTuple):
    """What a Session-Sender sends."""

    sequence: int
    sent: Stamp
    error: ErrorEstimate = ErrorEstimate()
    ssid: int = 0
    tlvs: bytes = b""

    def pack(self, key: bytes | None = None) -> bytes:
        """Return its bytes: authenticated with a key, unauthenticated without."""
        assert self.sent.format is self.error.format
        shape = _PROBE if key is None else _SEALED_PROBE
        base = shape.pack(self.sequence % 2**32, self.sent.raw, self.error.raw, self.ssid)
        return _sealed(base, self.tlvs, key)

    @classmethod
    def parse(cls, data: bytes, key: bytes | None = None) -> "Probe":
        """Read a packet; in authenticated mode whatever follows the HMACs is left out.

        Raises:
            Malformed: it is none, or the key does not fit.
        """
        base, tlvs = _opened(data, key)
        shape = _PROBE if key is None else _SEALED_PROBE
        sequence, sent, error, ssid = shape.unpack(base)
        estimate = ErrorEstimate.parse(error)
        return cls(sequence, Stamp(sent, estimate.format).checked(), estimate, ssid, tlvs)


class Reflection(NamedTuple):
    """What a Session-Reflector makes of a probe."""

    sequence: int
    """Probes that it had reflected before."""
    reflected: Stamp
    received: Stamp
    sender_sequence: int
    sender_sent: Stamp
    error: ErrorEstimate = ErrorEstimate()
    """Of both its stamps."""
    sender_error: ErrorEstimate = ErrorEstimate()
    ssid: int = 0
    sender_ttl: int = 255
    """With which the probe arrived; 255 minus it are the hops (RFC 8762 section 4.3.1)."""
    tlvs: bytes = b""

    def pack(self, key: bytes | None = None) -> bytes:
        """Return its bytes: authenticated with a key, unauthenticated without."""
        assert self.reflected.format is self.received.format is self.error.format
        assert self.sender_sent.format is self.sender_error.format
        shape = _REFLECTION if key is None else _SEALED_REFLECTION
        base = shape.pack(
            self.sequence % 2**32,
            self.reflected.raw,
            self.error.raw,
            self.ssid,
            self.received.raw,
            self.sender_sequence,
            self.sender_sent.raw,
            self.sender_error.raw,
            self.sender_ttl,
        )
        return _sealed(base, self.tlvs, key)

    @classmethod
    def parse(cls, data: bytes, key: bytes | None = None) -> "Reflection":
        """Read a packet as :meth:`Probe.parse`.

        Raises:
            Malformed: it is none, or the key does not fit.
        """
        base, tlvs = _opened(data, key)
        shape = _REFLECTION if key is None else _SEALED_REFLECTION
        number, reflected, error, ssid, received, sequence, sent, sender_error, ttl = shape.unpack(
            base
        )
        ours, theirs = ErrorEstimate.parse(error), ErrorEstimate.parse(sender_error)
        return cls(
            sequence=number,
            reflected=Stamp(reflected, ours.format).checked(),
            received=Stamp(received, ours.format).checked(),
            sender_sequence=sequence,
            sender_sent=Stamp(sent, theirs.format).checked(),
            error=ours,
            sender_error=theirs,
            ssid=ssid,
            sender_ttl=ttl,
            tlvs=tlvs,
        )


def _sealed(base: bytes, tlvs: bytes, key: bytes | None) -> bytes:
    if key is None:
        return base + tlvs
    return base + digest(key, base) + seal(key, int.from_bytes(base[:4]), tlvs)


def _opened(data: bytes, key: bytes | None) -> tuple[bytes, bytes]:
    """Return the base packet without its HMAC, and the TLVs."""
    if len(data) > OCTETS_MAX:
        raise Malformed(Refusal.OVERSIZED, f"{len(data)} octets")
    need = PLAIN_OCTETS if key is None else SEALED_OCTETS
    if len(data) < need:
        raise Malformed(Refusal.TRUNCATED, f"{len(data)} of {need} octets")
    if key is None:
        return data[:need], data[need:]
    base, mac = data[:COVERED_OCTETS], data[COVERED_OCTETS:need]
    if not hmac.compare_digest(mac, digest(key, base)):
        raise Malformed(Refusal.HMAC, "the HMAC does not fit")
    return base, unseal(key, int.from_bytes(base[:4]), data[need:])
