"""Timestamps and error estimates of STAMP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.stamp.fields import (
    ErrorEstimate,
    Format,
    Malformed,
    Refusal,
    Stamp,
    since_ns,
)
from patronus.engine.units import SECOND

FORMATS = st.sampled_from(Format)
TIMES = st.integers(0, 2**32 * SECOND - 1)


@given(time_ns=TIMES, kind=FORMATS)
def test_a_time_survives_both_formats(time_ns: int, kind: Format) -> None:
    """Every nanosecond comes back from either format as it was."""
    stamp = Stamp.of(time_ns, kind)
    assert stamp.checked().time_ns == time_ns
    assert 0 <= stamp.raw < 2**64


def test_formats_are_those_of_the_standards() -> None:
    """Half a second after 1970 has the bits of RFC 5905 and RFC 8186."""
    assert Stamp.of(SECOND // 2, Format.NTP).raw == 2_208_988_800 << 32 | 1 << 31
    assert Stamp.of(SECOND // 2, Format.PTP).raw == 500_000_000


@given(earlier_ns=TIMES, span_ns=st.integers(-(2**31) * SECOND, 2**31 * SECOND - 1), kind=FORMATS)
def test_spans_do_not_see_the_wrap(earlier_ns: int, span_ns: int, kind: Format) -> None:
    """The time between two stamps is right where their seconds begin anew."""
    later, earlier = Stamp.of(earlier_ns + span_ns, kind), Stamp.of(earlier_ns, kind)
    assert since_ns(later, earlier) == span_ns


def test_a_second_of_nanoseconds_is_refused() -> None:
    """A PTP stamp holds less than a second of nanoseconds; NTP's fraction holds anything."""
    with pytest.raises(Malformed, match="timestamp: 1000000000 nanoseconds") as caught:
        Stamp(SECOND, Format.PTP).checked()
    assert caught.value.refusal is Refusal.TIMESTAMP
    assert Stamp(SECOND, Format.NTP).checked().raw == SECOND


@given(raw=st.integers(0, 2**16 - 1))
def test_error_estimates_keep_their_bits(raw: int) -> None:
    """Any 16 bits are read and written alike, but for a multiplier of zero."""
    if raw & 0xFF:
        assert ErrorEstimate.parse(raw).raw == raw
    else:
        with pytest.raises(Malformed, match="error_estimate"):
            ErrorEstimate.parse(raw)


@pytest.mark.parametrize(
    ("estimate", "raw", "error_ns"),
    [
        (ErrorEstimate(), 0x4001, 1),
        (ErrorEstimate(True, Format.NTP, 32, 1), 0xA001, SECOND),
        (ErrorEstimate(False, Format.NTP, 22, 255), 0x16FF, 249_023_438),
    ],
)
def test_error_estimates_mean_seconds(estimate: ErrorEstimate, raw: int, error_ns: int) -> None:
    """The estimate is its multiplier times 2 to the power of its scale less 32."""
    assert (estimate.raw, estimate.error_ns) == (raw, error_ns)
