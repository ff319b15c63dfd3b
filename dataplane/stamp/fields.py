"""Fields that STAMP packets share: timestamps, the error estimate, and why bytes are refused.

A timestamp is 64 bits whose meaning the Z bit of the error estimate beside it tells:

    Z = 0   NTP (RFC 5905 section 6): seconds since 1900, and 2^-32 of a second
    Z = 1   PTPv2 truncated (RFC 8186 section 2.1): seconds since 1970, and nanoseconds

Both count to 2^32 seconds and then start anew. Our own stamps are of the monotonic clock,
in PTP's format and without a claim of synchronisation (S = 0): the epoch is then the start
of the machine, so only differences of stamps of one machine mean anything.
"""

from enum import Enum, IntEnum
from typing import Final, NamedTuple

from patronus.engine.units import SECOND

NTP_EPOCH_S: Final = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905 section 6, figure 4)."""

_WRAP: Final = 2**32


class Refusal(Enum):
    """Why bytes are not a packet for us; each is a counter of this name."""

    TRUNCATED = "truncated"
    """Shorter than the format."""
    OVERSIZED = "oversized"
    """Longer than any packet that we would answer."""
    ERROR_ESTIMATE = "error_estimate"
    """Its multiplier is zero: corrupt (RFC 4656 section 4.1.2)."""
    TIMESTAMP = "timestamp"
    """A PTP stamp of a second or more of nanoseconds."""
    TLV = "tlv"
    """A TLV runs over the end of the packet, or has another length than its type."""
    NO_LIVENESS = "no_liveness"
    """It is correct STAMP but lacks our liveness TLV, or has two."""
    VERSION = "version"
    """The liveness TLV is of a version that we do not know."""
    HMAC = "hmac"
    """It was made with another key, or changed on the way."""
    NO_HMAC = "no_hmac"
    """It has TLVs that no HMAC TLV covers (RFC 8972 section 4.8)."""


class Malformed(Exception):
    """The peer sent bytes that are not a packet for us."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal


class Format(IntEnum):
    """Value of the Z bit (RFC 8186 section 2.3)."""

    NTP = 0
    PTP = 1


class Stamp(NamedTuple):
    """A timestamp as it stands on the wire."""

    raw: int
    """64 bits."""
    format: Format

    @classmethod
    def of(cls, time_ns: int, kind: Format = Format.PTP) -> "Stamp":
        """Return the stamp of a time, in nanoseconds since 1970 or any other beginning."""
        seconds, rest = divmod(time_ns, SECOND)
        if kind is Format.NTP:
            # Rounded up, so that the way back, rounded down, gives the same nanosecond.
            seconds, rest = seconds + NTP_EPOCH_S, -(-rest * _WRAP // SECOND)
        return cls((seconds % _WRAP) << 32 | rest, kind)

    @property
    def time_ns(self) -> int:
        """The time, modulo 2^32 seconds."""
        seconds, rest = divmod(self.raw, _WRAP)
        if self.format is Format.NTP:
            seconds, rest = (seconds - NTP_EPOCH_S) % _WRAP, rest * SECOND // _WRAP
        return seconds * SECOND + rest

    def checked(self) -> "Stamp":
        """Return the same.

        Raises:
            Malformed: it has a second or more of nanoseconds.
        """
        if self.format is Format.PTP and self.raw % _WRAP >= SECOND:
            raise Malformed(Refusal.TIMESTAMP, f"{self.raw % _WRAP} nanoseconds")
        return self


def since_ns(later: Stamp, earlier: Stamp) -> int:
    """Return the time between two stamps of one clock, across the wrap of its seconds."""
    span = (later.time_ns - earlier.time_ns) % (_WRAP * SECOND)
    return span - _WRAP * SECOND if span >= _WRAP * SECOND // 2 else span


class ErrorEstimate(NamedTuple):
    """How good a clock is (RFC 4656 section 4.1.2): multiplier * 2^(scale - 32) seconds."""

    synchronized: bool = False
    """S: by an external source, to UTC."""
    format: Format = Format.PTP
    """Z: of the timestamps beside it."""
    scale: int = 0
    multiplier: int = 1

    @classmethod
    def parse(cls, raw: int) -> "ErrorEstimate":
        """Return the estimate in 16 bits.

        Raises:
            Malformed: its multiplier is zero.
        """
        if not raw & 0xFF:
            raise Malformed(Refusal.ERROR_ESTIMATE, "multiplier 0")
        return cls(bool(raw >> 15), Format(raw >> 14 & 1), raw >> 8 & 0x3F, raw & 0xFF)

    @property
    def raw(self) -> int:
        """The 16 bits."""
        assert 0 <= self.scale < 64
        assert 0 < self.multiplier < 256
        return self.synchronized << 15 | self.format << 14 | self.scale << 8 | self.multiplier

    @property
    def error_ns(self) -> int:
        """How far the clock may be off, rounded up."""
        return -(-(self.multiplier * SECOND << self.scale) // _WRAP)
