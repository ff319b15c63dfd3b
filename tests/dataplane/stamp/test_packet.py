"""The bytes of STAMP packets, beside scapy's layer and the tables of the RFCs."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.stamp import (
    STAMPSessionReflectorTestUnauthenticated,
    STAMPSessionSenderTestUnauthenticated,
)

from patronus.dataplane.stamp.fields import ErrorEstimate, Format, Malformed, Refusal, Stamp
from patronus.dataplane.stamp.packet import OCTETS_MAX, Probe, Reflection
from patronus.dataplane.stamp.tlv import Tlv, digest
from tests.dataplane.stamp.test_tlv import refusal_of

KEY: Final = bytes(range(32))
TLVS: Final = Tlv(77, b"abc").pack()

READABLE: Final = frozenset(Refusal) - {Refusal.NO_LIVENESS, Refusal.VERSION}
"""What is wrong with TLVs of our own is found by who asks for them."""

U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
ERRORS = st.builds(
    ErrorEstimate, st.booleans(), st.sampled_from(Format), st.integers(0, 63), st.integers(1, 255)
)
TIMES = st.integers(0, 2**61)
KEYS = st.none() | st.binary(min_size=1, max_size=64)


@st.composite
def probes(draw: st.DrawFn) -> Probe:
    error = draw(ERRORS)
    sent = Stamp.of(draw(TIMES), error.format)
    return Probe(draw(U32), sent, error, draw(U16), draw(st.sampled_from([b"", TLVS])))


@st.composite
def reflections(draw: st.DrawFn) -> Reflection:
    ours, theirs = draw(ERRORS), draw(ERRORS)
    return Reflection(
        sequence=draw(U32),
        reflected=Stamp.of(draw(TIMES), ours.format),
        received=Stamp.of(draw(TIMES), ours.format),
        sender_sequence=draw(U32),
        sender_sent=Stamp.of(draw(TIMES), theirs.format),
        error=ours,
        sender_error=theirs,
        ssid=draw(U16),
        sender_ttl=draw(st.integers(0, 255)),
        tlvs=draw(st.sampled_from([b"", TLVS])),
    )


@given(probe=probes(), key=KEYS)
def test_probes_come_back(probe: Probe, key: bytes | None) -> None:
    """A probe is read as it was written, in both modes and formats."""
    assert Probe.parse(probe.pack(key), key) == probe


@given(reflection=reflections(), key=KEYS)
def test_reflections_come_back(reflection: Reflection, key: bytes | None) -> None:
    """A reflection is read as it was written, in both modes and formats."""
    assert Reflection.parse(reflection.pack(key), key) == reflection


@given(probe=probes())
def test_scapy_reads_our_probes(probe: Probe) -> None:
    """Scapy finds each field of an unauthenticated probe, and builds the same bytes."""
    data = probe.pack()
    theirs = STAMPSessionSenderTestUnauthenticated(data)
    estimate = theirs.err_estimate
    assert (theirs.seq, theirs.ssid, theirs.mbz) == (probe.sequence, probe.ssid, 0)
    assert (probe.error.synchronized, probe.error.format) == (estimate.S, estimate.Z)
    assert (estimate.scale, estimate.multiplier) == (probe.error.scale, probe.error.multiplier)
    assert [(t.flags.value, t.type, t.value) for t in theirs.tlv_objects] == (
        [(0x80, 77, b"abc")] if probe.tlvs else []
    )
    if probe.error.format is Format.PTP:
        assert theirs.ts == probe.sent.raw
    theirs.raw_packet_cache = None
    assert bytes(theirs) == data


@given(reflection=reflections())
def test_scapy_reads_our_reflections(reflection: Reflection) -> None:
    """Scapy finds each field of an unauthenticated reflection."""
    theirs = STAMPSessionReflectorTestUnauthenticated(reflection.pack())
    assert (theirs.seq, theirs.ssid) == (reflection.sequence, reflection.ssid)
    assert (theirs.seq_sender, theirs.ttl_sender) == (
        reflection.sender_sequence,
        reflection.sender_ttl,
    )
    assert (theirs.mbz1, theirs.mbz2) == (0, 0)
    if reflection.error.format is Format.PTP:
        assert (theirs.ts, theirs.ts_rx) == (reflection.reflected.raw, reflection.received.raw)
    if reflection.sender_error.format is Format.PTP:
        assert theirs.ts_sender == reflection.sender_sent.raw


Table = dict[str, tuple[int, int]]
"""Offset and length of each field; the rest must be zero."""

SEALED_PROBE: Final[Table] = {
    "sequence": (0, 4), "timestamp": (16, 8), "error": (24, 2), "ssid": (26, 2),
}  # fmt: skip
"""RFC 8762 section 4.2.2 with the SSID of RFC 8972 section 3."""
SEALED_REFLECTION: Final[Table] = {
    "sequence": (0, 4), "timestamp": (16, 8), "error": (24, 2), "ssid": (26, 2),
    "receive": (32, 8), "sender sequence": (48, 4), "sender timestamp": (64, 8),
    "sender error": (72, 2), "sender ttl": (80, 1),
}  # fmt: skip
"""RFC 8762 section 4.3.2 with the SSID of RFC 8972 section 3."""
PLAIN_PROBE: Final[Table] = {
    "sequence": (0, 4), "timestamp": (4, 8), "error": (12, 2), "ssid": (14, 2),
}  # fmt: skip
"""RFC 8762 section 4.2.1."""
PLAIN_REFLECTION: Final[Table] = {
    "sequence": (0, 4), "timestamp": (4, 8), "error": (12, 2), "ssid": (14, 2),
    "receive": (16, 8), "sender sequence": (24, 4), "sender timestamp": (28, 8),
    "sender error": (36, 2), "sender ttl": (40, 1),
}  # fmt: skip
"""RFC 8762 section 4.3.1."""

FIELDS: Final = {
    "sequence": 0x01020304, "timestamp": 0x1112131415161718, "error": 0x2122, "ssid": 0x3132,
    "receive": 0x4142434405464748, "sender sequence": 0x51525354,
    "sender timestamp": 0x6162636415666768, "sender error": 0x7172, "sender ttl": 0x81,
}  # fmt: skip


def by_table(table: Table, length: int) -> bytes:
    data = bytearray(length)
    for name, (at, octets) in table.items():
        data[at : at + octets] = FIELDS[name].to_bytes(octets)
    return bytes(data)


def probe_of_fields() -> Probe:
    error = ErrorEstimate.parse(FIELDS["error"])
    return Probe(
        FIELDS["sequence"], Stamp(FIELDS["timestamp"], error.format), error, FIELDS["ssid"]
    )


def reflection_of_fields() -> Reflection:
    ours = ErrorEstimate.parse(FIELDS["error"])
    theirs = ErrorEstimate.parse(FIELDS["sender error"])
    return Reflection(
        FIELDS["sequence"],
        Stamp(FIELDS["timestamp"], ours.format),
        Stamp(FIELDS["receive"], ours.format),
        FIELDS["sender sequence"],
        Stamp(FIELDS["sender timestamp"], theirs.format),
        ours,
        theirs,
        FIELDS["ssid"],
        FIELDS["sender ttl"],
    )


def test_packets_stand_as_the_tables_say() -> None:
    """Every octet of all four packets is where the RFCs put it."""
    probe, reflection = probe_of_fields(), reflection_of_fields()
    assert probe.pack() == by_table(PLAIN_PROBE, 44)
    assert reflection.pack() == by_table(PLAIN_REFLECTION, 44)
    sealed = by_table(SEALED_PROBE, 96)
    assert probe.pack(KEY) == sealed + digest(KEY, sealed)
    sealed = by_table(SEALED_REFLECTION, 96)
    assert reflection.pack(KEY) == sealed + digest(KEY, sealed)


def test_what_must_be_zero_is_not_looked_at() -> None:
    """A later version may use the octets that must be zero now."""
    data = bytearray(probe_of_fields().pack())
    data[16:44] = bytes(range(28))
    assert Probe.parse(bytes(data)) == probe_of_fields()


@pytest.mark.parametrize(
    ("data", "key", "refusal"),
    [
        (b"", None, Refusal.TRUNCATED),
        (bytes(43), None, Refusal.TRUNCATED),
        (bytes(111), KEY, Refusal.TRUNCATED),
        (bytes(OCTETS_MAX + 1), None, Refusal.OVERSIZED),
        (bytes(44), None, Refusal.ERROR_ESTIMATE),
        (bytes(112), KEY, Refusal.HMAC),
        (probe_of_fields()._replace(tlvs=TLVS).pack(b"other"), KEY, Refusal.HMAC),
        (probe_of_fields().pack(KEY) + TLVS, KEY, Refusal.NO_HMAC),
        (bytes(8) + b"\xff" * 4 + b"\x40\x01" + bytes(30), None, Refusal.TIMESTAMP),
    ],
)
def test_other_bytes_are_refused(data: bytes, key: bytes | None, refusal: Refusal) -> None:
    """Each kind of wrong packet has its reason."""
    with pytest.raises(Malformed) as caught:
        Probe.parse(data, key)
    assert caught.value.refusal is refusal


@given(data=st.binary(max_size=200) | st.binary(min_size=1490, max_size=1600), key=KEYS)
def test_hostile_bytes_give_one_error(data: bytes, key: bytes | None) -> None:
    """Whatever arrives, reading it gives a packet or one error with a named reason."""
    for kind in (Probe, Reflection):
        refusal = refusal_of(lambda read: kind.parse(read, key), data)  # noqa: B023  # called now
        assert refusal is None or refusal in READABLE


@given(at=st.integers(0, 111), bit=st.integers(0, 7))
def test_no_bit_of_an_authenticated_packet_can_be_changed(at: int, bit: int) -> None:
    """A flipped bit anywhere in an authenticated packet is found."""
    data = bytearray(reflection_of_fields().pack(KEY))
    data[at] ^= 1 << bit
    with pytest.raises(Malformed, match="hmac"):
        Reflection.parse(bytes(data), KEY)
