"""Control packets against scapy, against the RFC's figure, and against rubbish."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.bfd import BFD, OptionalAuth

from patronus.dataplane.bfd.machine import State
from patronus.dataplane.bfd.packet import Discard, Discarded, Packet, decode, encode
from tests.oracles.bfd import refusal

DOCUMENT = Path(__file__).parents[3] / "docs" / "bfd.md"
U32 = st.integers(0, 2**32 - 1)
PACKETS = st.builds(
    Packet,
    state=st.sampled_from(State),
    my_discriminator=st.integers(1, 2**32 - 1),
    your_discriminator=st.integers(1, 2**32 - 1),
    detect_mult=st.integers(1, 255),
    desired_min_tx_us=U32,
    required_min_rx_us=U32,
    required_min_echo_rx_us=U32,
    diagnostic=st.integers(0, 31),
    poll=st.booleans(),
    final=st.booleans(),
    control_plane_independent=st.booleans(),
    demand=st.booleans(),
    auth=st.just(b"") | st.binary(min_size=2, max_size=231),
)
PACKET = Packet(
    state=State.UP,
    my_discriminator=0x01020304,
    your_discriminator=0x05060708,
    detect_mult=3,
    desired_min_tx_us=0x000F4240,
    required_min_rx_us=0x0000C350,
    required_min_echo_rx_us=0x11,
    diagnostic=7,
    poll=True,
    demand=True,
)
OCTETS = bytes.fromhex("27 e2 03 18 01020304 05060708 000f4240 0000c350 00000011")


def test_the_figure_of_the_rfc() -> None:
    """Every field stands where section 4.1 draws it."""
    assert encode(PACKET) == OCTETS
    assert decode(OCTETS) == PACKET


@pytest.mark.parametrize(
    ("flag", "bit"),
    [("poll", 0x20), ("final", 0x10), ("control_plane_independent", 0x08), ("demand", 0x02)],
)
def test_each_flag_has_its_bit(flag: str, bit: int) -> None:
    """P, F, C and D are single bits of the second octet."""
    plain = replace(PACKET, poll=False, demand=False)
    flagged = replace(plain, **{flag: True})  # type: ignore[arg-type]  # a flag by its name
    assert encode(flagged)[1] == encode(plain)[1] | bit
    assert decode(encode(flagged)) == flagged


@given(PACKETS)
def test_a_packet_survives_the_wire(packet: Packet) -> None:
    """What is encoded is decoded to the same, whatever follows it in the datagram."""
    assert decode(encode(packet)) == packet
    assert decode(encode(packet) + b"trailer") == packet


@given(PACKETS)
def test_scapy_reads_what_we_write(packet: Packet) -> None:
    """Scapy finds each of our fields."""
    read = BFD(encode(replace(packet, auth=b"")))
    assert (read.version, read.diag, read.sta) == (1, packet.diagnostic, packet.state)
    flags = {name: name in str(read.flags) for name in "MDACFP"}
    assert flags == {
        "M": False,
        "D": packet.demand,
        "A": False,
        "C": packet.control_plane_independent,
        "F": packet.final,
        "P": packet.poll,
    }
    assert (read.detect_mult, read.len) == (packet.detect_mult, 24)
    assert read.my_discriminator == packet.my_discriminator
    assert read.your_discriminator == packet.your_discriminator
    assert read.min_tx_interval == packet.desired_min_tx_us
    assert read.min_rx_interval == packet.required_min_rx_us
    assert read.echo_rx_interval == packet.required_min_echo_rx_us


def test_we_read_what_scapy_writes() -> None:
    """A packet with a SHA1 section, made by scapy, has the fields that it was given."""
    section = OptionalAuth(auth_type=5, auth_keyid=9, sequence_number=77, auth_key=0xABCD)
    made = BFD(sta=2, flags="AF", my_discriminator=6, your_discriminator=7, optional_auth=section)
    packet = decode(bytes(made))
    assert (packet.state, packet.final, packet.poll) == (State.INIT, True, False)
    assert (packet.my_discriminator, packet.your_discriminator) == (6, 7)
    assert packet.auth == bytes([5, 28, 9, 0, 0, 0, 0, 77, *[0] * 18, 0xAB, 0xCD])


def _set(at: int, *octets: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[at : at + len(octets)] = bytes(octets)

    return change


def _multipoint(data: bytearray) -> None:
    data[1] |= 0x01


FAULTS: dict[Discard, Callable[[bytearray], None]] = {
    Discard.VERSION: _set(0, 0x47),
    Discard.LENGTH_SHORT: _set(3, 23),
    Discard.LENGTH_LONG: _set(3, 25),
    Discard.DETECT_MULT_ZERO: _set(2, 0),
    Discard.MULTIPOINT: _multipoint,
    Discard.MY_DISCRIMINATOR_ZERO: _set(4, 0, 0, 0, 0),
    Discard.YOUR_DISCRIMINATOR_ZERO: _set(8, 0, 0, 0, 0),
}
"""How to break each rule, in the order of 6.8.6."""


def reason_for(data: bytes) -> Discard | None:
    try:
        decode(data)
    except Discarded as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("fault", FAULTS)
def test_each_rule_refuses(fault: Discard) -> None:
    """A packet that breaks one rule is refused for that."""
    data = bytearray(OCTETS)
    FAULTS[fault](data)
    assert reason_for(bytes(data)) is fault


@pytest.mark.parametrize(("first", "second"), list(combinations(FAULTS, 2)))
def test_the_first_broken_rule_is_told(first: Discard, second: Discard) -> None:
    """Of two broken rules, the one that stands first in the RFC is named."""
    data = bytearray(OCTETS)
    FAULTS[second](data)
    FAULTS[first](data)
    assert reason_for(bytes(data)) is first


@pytest.mark.parametrize("state", State)
def test_your_discriminator_may_be_zero_in_down_states(state: State) -> None:
    """A peer that does not know us yet can only be Down or AdminDown."""
    found = reason_for(encode(replace(PACKET, state=state, your_discriminator=0)))
    assert found is (Discard.YOUR_DISCRIMINATOR_ZERO if state > State.DOWN else None)


def test_the_a_bit_needs_two_octets_more() -> None:
    """With the A bit, Lengths 24 and 25 are too short, as there is no Authentication Section."""
    for length, reason in ((24, Discard.LENGTH_SHORT), (25, Discard.LENGTH_SHORT), (26, None)):
        data = bytearray(OCTETS + b"\4\34")
        data[1], data[3] = data[1] | 0x04, length
        assert reason_for(bytes(data)) is reason


def test_every_truncation_is_refused() -> None:
    """A packet cut anywhere is refused, with a reason."""
    for length in range(24):
        expected = Discard.PAYLOAD_SHORT if length < 4 else Discard.LENGTH_LONG
        assert reason_for(OCTETS[:length]) is expected


NEARLY = st.builds(
    lambda packet, changes, cut: _damaged(encode(packet), changes)[:cut],
    PACKETS,
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 255)), max_size=3),
    st.integers(0, 255),
)


def _damaged(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(data)
    for at, octet in changes:
        damaged[at] = octet
    return bytes(damaged)


@given(st.binary(max_size=300) | NEARLY)
def test_rubbish_is_refused_for_the_right_reason(data: bytes) -> None:
    """Any bytes are a packet or refused as the oracle says, and nothing else is raised."""
    assert reason_for(data) == refusal(data)
    if refusal(data) is None:
        packet = decode(data)
        kept = data[: data[3]] if packet.auth else data[:3] + b"\x18" + data[4:24]
        assert encode(packet) == kept


def test_the_document_names_every_reason() -> None:
    """Whoever meets a counter finds in the documentation what it counts."""
    named = set(re.findall(r"`(\w+)`", DOCUMENT.read_text().split("## Counters")[1]))
    assert {reason.value for reason in Discard} <= named
