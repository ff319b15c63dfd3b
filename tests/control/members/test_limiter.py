"""The limiter: bounded signatures, bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members.address import Address
from patronus.control.members.limiter import SOURCES_MAX, STRANGERS, Limiter, Rate
from patronus.engine.units import MS, SECOND

RATE = Rate(interval_ns=10, burst=3, total_interval_ns=4, total_burst=5)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3)), max_size=80))
def test_no_source_and_not_all_together_exceed_the_rate(steps: list[tuple[int, int]]) -> None:
    """In no span of time more is admitted than its length allows, plus one burst."""
    limiter, now_ns = Limiter(RATE), 0
    admitted: list[tuple[int, int]] = []
    for pause_ns, source in steps:
        now_ns += pause_ns
        if limiter.admits(Address(f"10.0.0.{source}", 1), now_ns):
            admitted.append((now_ns, source))
    for start in range(len(admitted)):
        for end in range(start, len(admitted)):
            part = admitted[start : end + 1]
            span_ns = part[-1][0] - part[0][0]
            assert len(part) <= span_ns // RATE.total_interval_ns + RATE.total_burst + 1
            for source in range(4):
                mine = [at for at, s in part if s == source]
                if mine:
                    assert len(mine) <= (mine[-1] - mine[0]) // RATE.interval_ns + RATE.burst + 1


def test_a_quiet_source_gets_its_burst() -> None:
    """What is within the rate is never refused."""
    limiter = Limiter(RATE)
    where = Address("10.0.0.1", 1)
    assert [limiter.admits(where, 100) for _ in range(4)] == [True, True, True, False]
    assert limiter.admits(where, 110)
    assert not limiter.admits(where, 110)


def test_invented_sources_take_no_memory() -> None:
    """The table is bounded, and so is what all invented sources get together."""
    limiter, admitted = Limiter(STRANGERS), 0
    for n in range(20_000):
        source = Address(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1)
        admitted += limiter.admits(source, n * MS)
    assert len(limiter) == SOURCES_MAX
    most = 20 * SECOND // STRANGERS.total_interval_ns + STRANGERS.total_burst
    assert most - 2 <= admitted <= most + 2
    assert admitted > 2 * SOURCES_MAX


def test_one_sender_has_one_budget() -> None:
    """Ports, and the lower half of an address of IPv6, are the sender's to choose."""
    limiter = Limiter(RATE)
    ports = [Address("10.0.0.1", port) for port in range(1, 5)]
    assert [limiter.admits(source, 0) for source in ports] == [True, True, True, False]
    limiter = Limiter(RATE)
    hosts = [Address(f"2001:db8::{host:x}", 1) for host in range(1, 5)]
    assert [limiter.admits(source, 0) for source in hosts] == [True, True, True, False]
    assert limiter.admits(Address("2001:db8:0:1::1", 1), 0)
