"""The BFD Control packet (RFC 5880, 4.1): bytes to fields and back, and why one is refused.

:func:`decode` applies the rules of 6.8.6 that need nothing but the packet, in their order.
The rules that need a session (whose it is, authentication) are applied by the driver and by
the session; their names stand here too, so that one enum names every refusal.

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-----+---------+---+-+-+-+-+-+-+---------------+---------------+
    |Vers | Diag    |Sta|P|F|C|A|D|M| Detect Mult   | Length        |
    +-----+---------+---+-+-+-+-+-+-+---------------+---------------+
    | My Discriminator, Your Discriminator, Desired Min TX Interval,|
    | Required Min RX Interval, Required Min Echo RX Interval       |
    +---------------------------------------------------------------+
    | Authentication Section, if A is set                           |
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from patronus.dataplane.bfd.machine import Diagnostic, State

VERSION: Final = 1
MANDATORY: Final = 24
"""Octets before the Authentication Section."""
AUTHENTICATED_MIN: Final = 26
"""Least Length with the A bit set (6.8.6)."""

POLL, FINAL, CONTROL_PLANE_INDEPENDENT = 0x20, 0x10, 0x08
AUTHENTICATION_PRESENT, DEMAND, MULTIPOINT = 0x04, 0x02, 0x01

_LAYOUT = struct.Struct("!BBBBIIIII")


class Discard(StrEnum):
    """Why a packet was refused; in the order in which the rules are applied."""

    TTL = "ttl"
    """It came with a TTL or hop limit other than 255, thus from off the link (RFC 5881, 5)."""
    PAYLOAD_SHORT = "payload_short"
    """It ends before its Length field."""
    VERSION = "version"
    LENGTH_SHORT = "length_short"
    """Length is below 24, or 26 with the A bit."""
    LENGTH_LONG = "length_long"
    """Length is more than there is."""
    DETECT_MULT_ZERO = "detect_mult_zero"
    MULTIPOINT = "multipoint"
    MY_DISCRIMINATOR_ZERO = "my_discriminator_zero"
    YOUR_DISCRIMINATOR_ZERO = "your_discriminator_zero"
    """It does not know our discriminator and yet claims to be Init or Up."""
    NO_SESSION = "no_session"
    AUTH_UNEXPECTED = "auth_unexpected"
    """The A bit is set, and the session uses no authentication."""
    AUTH_MISSING = "auth_missing"
    AUTH_TYPE = "auth_type"
    AUTH_KEY_ID = "auth_key_id"
    AUTH_LENGTH = "auth_length"
    AUTH_SEQUENCE = "auth_sequence"
    """Its sequence number is outside of the window: a replay, or a peer that started anew."""
    AUTH_DIGEST = "auth_digest"
    ADMIN_DOWN = "admin_down"
    """The session is held down; only the peer's discriminator and intervals were noted."""


class Discarded(Exception):
    """A packet was refused; the only error that bytes from outside can cause."""

    def __init__(self, reason: Discard) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One Control packet. The A bit is set if there is an Authentication Section."""

    state: State
    my_discriminator: int
    your_discriminator: int = 0
    detect_mult: int
    desired_min_tx_us: int
    required_min_rx_us: int
    required_min_echo_rx_us: int = 0
    """0: sends no Echo packets to us, please."""
    diagnostic: int = Diagnostic.NO_DIAGNOSTIC
    """A plain integer: codes above 8 are reserved, and not refused."""
    poll: bool = False
    final: bool = False
    control_plane_independent: bool = False
    demand: bool = False
    auth: bytes = b""
    """The Authentication Section as it stands in the packet."""


def encode(packet: Packet) -> bytes:
    """Return the octets of a packet."""
    flags = (
        POLL * packet.poll
        | FINAL * packet.final
        | CONTROL_PLANE_INDEPENDENT * packet.control_plane_independent
        | AUTHENTICATION_PRESENT * bool(packet.auth)
        | DEMAND * packet.demand
    )
    mandatory = _LAYOUT.pack(
        VERSION << 5 | packet.diagnostic,
        packet.state << 6 | flags,
        packet.detect_mult,
        MANDATORY + len(packet.auth),
        packet.my_discriminator,
        packet.your_discriminator,
        packet.desired_min_tx_us,
        packet.required_min_rx_us,
        packet.required_min_echo_rx_us,
    )
    return mandatory + packet.auth


def decode(data: bytes) -> Packet:
    """Return the packet in a UDP payload; what follows its Length is ignored.

    Raises:
        Discarded: a rule of 6.8.6 refuses it.
    """
    _check_length(data)
    first, second, detect_mult, length, mine, yours, *intervals = _LAYOUT.unpack_from(data)
    packet = Packet(
        state=State(second >> 6),
        my_discriminator=mine,
        your_discriminator=yours,
        detect_mult=detect_mult,
        desired_min_tx_us=intervals[0],
        required_min_rx_us=intervals[1],
        required_min_echo_rx_us=intervals[2],
        diagnostic=first & 0x1F,
        poll=bool(second & POLL),
        final=bool(second & FINAL),
        control_plane_independent=bool(second & CONTROL_PLANE_INDEPENDENT),
        demand=bool(second & DEMAND),
        auth=data[MANDATORY:length] if second & AUTHENTICATION_PRESENT else b"",
    )
    _check_fields(packet, multipoint=bool(second & MULTIPOINT))
    return packet


def _check_length(data: bytes) -> None:
    if len(data) < 4:
        raise Discarded(Discard.PAYLOAD_SHORT)
    if data[0] >> 5 != VERSION:
        raise Discarded(Discard.VERSION)
    least = AUTHENTICATED_MIN if data[1] & AUTHENTICATION_PRESENT else MANDATORY
    if data[3] < least:
        raise Discarded(Discard.LENGTH_SHORT)
    if data[3] > len(data):
        raise Discarded(Discard.LENGTH_LONG)


def _check_fields(packet: Packet, *, multipoint: bool) -> None:
    if not packet.detect_mult:
        raise Discarded(Discard.DETECT_MULT_ZERO)
    if multipoint:
        raise Discarded(Discard.MULTIPOINT)
    if not packet.my_discriminator:
        raise Discarded(Discard.MY_DISCRIMINATOR_ZERO)
    # A nonzero one names a session; the driver looks for it.
    if not packet.your_discriminator and packet.state > State.DOWN:
        raise Discarded(Discard.YOUR_DISCRIMINATOR_ZERO)
