"""The rules for new intervals (6.8.3, 6.5) and jitter (6.8.7), one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.bfd.intervals import Intervals, Pair, Settings, jittered_ns
from patronus.engine.units import MS, NEVER, PPM, SECOND
from tests.dataplane.bfd.link import timers

WAS, WANTED = timers(20_000, 30_000), timers(500_000, 10_000)


def up(settings: Settings = WAS) -> Intervals:
    """Return the intervals of a session that is Up and whose first Poll Sequence is long over."""
    made = Intervals(settings)
    made.set_up(0, up=True)
    made.polled(0)
    made.final(0)
    return made


def test_a_session_that_is_not_up_is_slow() -> None:
    """It tells and uses a second or more for sending, and what it can receive as it is."""
    made = Intervals(WAS)
    assert made.told == made.used == Pair(1_000_000, 30_000)
    assert Intervals(timers(7_000_000, 1)).told == Pair(7_000_000, 1)
    assert not made.polling


def test_coming_up_makes_it_fast_at_once() -> None:
    """In Up it tells and uses what is configured, and polls."""
    made = Intervals(WAS)
    made.set_up(0, up=True)
    assert made.told == made.used == Pair(20_000, 30_000)
    assert made.polling


def test_sending_more_slowly_waits_for_the_final() -> None:
    """While Up, a longer interval is told at once and used when the peer has answered."""
    made = up()
    made.configure(timers(500_000, 30_000), SECOND)
    assert (made.told, made.used) == (Pair(500_000, 30_000), Pair(20_000, 30_000))
    made.polled(SECOND)
    made.final(SECOND + MS)
    assert made.used == made.told
    assert not made.polling


def test_expecting_faster_packets_waits_for_the_final() -> None:
    """While Up, a shorter interval of the peer is told at once, and expected after its answer."""
    made = up()
    made.configure(timers(20_000, 10_000), SECOND)
    assert (made.told, made.used) == (Pair(20_000, 10_000), Pair(20_000, 30_000))
    made.polled(SECOND)
    made.final(SECOND + MS)
    assert made.used == made.told


def test_the_harmless_directions_are_used_at_once() -> None:
    """Sending faster and expecting less need no answer, and are polled for all the same."""
    made = up()
    made.configure(timers(5_000, 90_000), SECOND)
    assert made.used == made.told == Pair(5_000, 90_000)
    assert made.polling


def test_nothing_changed_is_not_polled_for() -> None:
    """The same intervals again, or another multiplier alone, begin no Poll Sequence (6.8.12)."""
    made = up()
    made.configure(timers(20_000, 30_000, 200), SECOND)
    assert not made.polling
    assert made.detect_mult == 200


def test_a_final_that_nobody_asked_for_ends_nothing() -> None:
    """A Final before the first poll was sent belongs to an older sequence."""
    made = up()
    made.configure(WANTED, SECOND)
    made.final(SECOND + MS)
    assert made.polling


def test_one_poll_sequence_at_a_time() -> None:
    """What is wanted during a Poll Sequence, and as long again as it took, waits."""
    made = up()
    made.configure(WANTED, SECOND)
    made.polled(SECOND)
    made.configure(timers(1_000, 2_000), SECOND + MS)
    assert made.told == Pair(500_000, 10_000)
    assert made.deadline_ns() == NEVER
    made.final(SECOND + 80 * MS)
    assert not made.polling
    assert made.told == Pair(500_000, 10_000)
    assert made.deadline_ns() == SECOND + 160 * MS
    made.final(SECOND + 100 * MS)
    made.advance(SECOND + 160 * MS - 1)
    assert made.told == Pair(500_000, 10_000)
    made.advance(SECOND + 160 * MS)
    assert made.told == Pair(1_000, 2_000)
    assert made.polling
    assert made.deadline_ns() == NEVER


def test_a_poll_that_took_hours_is_not_waited_for_again() -> None:
    """The wait for late Finals is a second at most."""
    made = up()
    made.configure(WANTED, SECOND)
    made.polled(SECOND)
    made.configure(WAS, SECOND)
    made.final(10_000 * SECOND)
    assert made.deadline_ns() == 10_001 * SECOND


def test_a_silent_peer_starts_the_measure_anew() -> None:
    """How long the answer took is counted from when the peer was there to answer."""
    made = up()
    made.configure(WANTED, SECOND)
    made.polled(SECOND)
    made.unheard()
    assert made.polling
    made.polled(9 * SECOND)
    made.configure(WAS, 9 * SECOND)
    made.final(9 * SECOND + 4 * MS)
    assert made.deadline_ns() == 9 * SECOND + 8 * MS


def test_going_down_takes_no_detour() -> None:
    """Amid a Poll Sequence, a session that leaves Up is slow at once, in words and deeds."""
    made = up()
    made.configure(timers(2_000_000, 10_000), SECOND)
    made.set_up(2 * SECOND, up=False)
    assert made.used == made.told == Pair(2_000_000, 10_000)
    again = up()
    again.set_up(2 * SECOND, up=False)
    assert again.used == again.told == Pair(1_000_000, 30_000)
    assert again.polling


@pytest.mark.parametrize(
    ("detect_mult", "least", "most"), [(1, 75, 90), (2, 75, 100), (255, 75, 100)]
)
@given(interval_us=st.integers(1, 2**32 - 1), draw_ppm=st.integers(0, PPM - 1))
def test_jitter_stays_within_the_rfc(
    detect_mult: int, least: int, most: int, interval_us: int, draw_ppm: int
) -> None:
    """Packets come after 75 to 100 % of the interval, or to 90 % with a multiplier of 1."""
    found = jittered_ns(interval_us, detect_mult=detect_mult, draw_ppm=draw_ppm)
    assert least * interval_us * 10 <= found <= most * interval_us * 10


def test_jitter_uses_its_whole_range() -> None:
    """The extreme draws give the extreme times."""
    extremes = [
        jittered_ns(1_000_000, detect_mult=mult, draw_ppm=draw)
        for mult in (1, 3)
        for draw in (0, PPM - 1)
    ]
    assert extremes == [900_000_000, 750_000_150, 1_000_000_000, 750_000_250]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 3), "BFD desired_min_tx_us is 0; 1 to 4294967295 are possible"),
        ((1, -1, 3), "BFD required_min_rx_us is -1; 0 to 4294967295 are possible"),
        ((1, 2**32, 3), "BFD required_min_rx_us is 4294967296"),
        ((1, 1, 0), "BFD detect_mult is 0; 1 to 255 are possible"),
        ((1, 1, 256), "BFD detect_mult is 256"),
    ],
)
def test_impossible_timers_are_named(values: tuple[int, int, int], message: str) -> None:
    """A value that a packet cannot hold is refused with its name and its limits."""
    with pytest.raises(ValueError, match=message):
        timers(*values)
