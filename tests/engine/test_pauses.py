"""Pauses of this end: what is excused, what it costs, and what is not."""

from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.fastpath import Tunnel, expire, fresh, usable
from patronus.engine.pauses import MOST_NS, Awake, earn, excuse, listening_ns, turn
from patronus.engine.units import LONG_AGO, MS, SECOND

PATIENCE = 2 * MS
DETECT = 30 * MS
RICH = Awake(until_ns=SECOND, left_ns=50 * MS)


def up(stamp_ns: int) -> Tunnel:
    return Tunnel(DETECT, heard_ns=stamp_ns, confirmed_ns=stamp_ns, latched=False, since_ns=0)


def test_the_clock_stands_still_in_a_pause_that_is_excused() -> None:
    """Up to what is left of the allowance, and not a nanosecond more."""
    for now_ns, until_ns in (
        (SECOND - 1, SECOND - 1),
        (SECOND, SECOND),
        (SECOND + 1, SECOND),
        (SECOND + 50 * MS, SECOND),
        (SECOND + 50 * MS + 1, SECOND + 50 * MS + 1),
    ):
        assert listening_ns(RICH, now_ns) == until_ns


def test_nothing_is_excused_where_no_pacer_ever_turned() -> None:
    """Fresh memory says neither that this end was awake nor that it may sleep."""
    assert listening_ns(Awake(), 5) == 5
    assert listening_ns(Awake(0, 0), 5) == 5


def test_a_turn_pays_for_the_pause_and_earns() -> None:
    """A pause costs its length; a twentieth of all time comes back, up to the most."""
    paused = turn(RICH, SECOND + 20 * MS, gap_ns=22 * MS, patience_ns=PATIENCE)
    assert paused == Awake(SECOND + 22 * MS, 31_100_000)
    assert turn(RICH, SECOND - MS, gap_ns=MS, patience_ns=PATIENCE).left_ns == 50 * MS + MS // 20
    assert turn(RICH, 9 * SECOND, gap_ns=8 * SECOND, patience_ns=PATIENCE).left_ns == MOST_NS


def test_a_pacer_that_crawls_is_soon_believed_no_longer() -> None:
    """Turns that always come ten ticks late stretch silence by a twentieth in the long run."""
    awake, now_ns, excused_ns = Awake(), 0, 0
    for _ in range(1000):
        now_ns += 5 * PATIENCE
        excused_ns += now_ns - listening_ns(earn(awake, 5 * PATIENCE), now_ns)
        awake = turn(awake, now_ns, gap_ns=5 * PATIENCE, patience_ns=PATIENCE)
    assert 0 < excused_ns <= now_ns // 20


def test_stamps_move_on_by_the_pause() -> None:
    """Fresh ones do, never beyond now; those that were stale before it stay so."""
    now_ns = SECOND + 20 * MS
    assert excuse(up(SECOND - 9 * MS), RICH, now_ns) == up(SECOND + 11 * MS)
    assert excuse(up(SECOND + 5 * MS), RICH, now_ns) == up(now_ns)
    assert excuse(up(SECOND - DETECT), RICH, now_ns) == up(now_ns - DETECT)
    assert excuse(up(SECOND - DETECT - 1), RICH, now_ns) == up(SECOND - DETECT - 1)
    assert excuse(up(LONG_AGO), RICH, now_ns) == up(LONG_AGO)
    assert excuse(up(SECOND), RICH, SECOND) == up(SECOND)


@given(
    stamp_ns=st.integers(0, 60), detect_ns=st.integers(0, 40), until_ns=st.integers(0, 60),
    left_ns=st.integers(0, 40), now_ns=st.integers(0, 100),
)  # fmt: skip
def test_looking_through_the_pause_and_moving_the_stamps_agree(
    stamp_ns: int, detect_ns: int, until_ns: int, left_ns: int, now_ns: int
) -> None:
    """A packet amid the pause is answered as one just after the turn that excuses it."""
    awake = Awake(until_ns, left_ns)
    tunnel = Tunnel(detect_ns, min(stamp_ns, now_ns), min(stamp_ns, now_ns), 0, False, 0)
    through = fresh(tunnel.confirmed_ns, detect_ns, listening_ns(awake, now_ns))
    moved = excuse(tunnel, awake, now_ns)
    assert usable(expire(moved, now_ns), now_ns) == through
    assert tunnel.confirmed_ns <= moved.confirmed_ns <= now_ns
