"""What peers say while reflections do not come: known earlier, and counted once."""

import numpy as np
import pytest

from patronus.engine.lossshift import EPOCH
from patronus.engine.meters import Meters
from patronus.engine.overlay import I64
from patronus.engine.policy import Policy
from patronus.engine.units import MS, NEVER

INTERVAL_NS = 100 * MS
ROWS = 3


def of(*values: int) -> I64:
    return np.array(values, dtype=np.int64)


def meters(*, heard: int = 40) -> Meters:
    """Return three rows of which row 1 has had so many reflections, 20 ms after each probe."""
    made = Meters(ROWS, Policy())
    for number in range(heard):
        reflect(made, number, heard_count=number + 1)
    return made


def reflect(made: Meters, number: int, *, heard_count: int, dense: bool = False) -> list[int]:
    """Let the reflection of a probe of row 1 come; return the rows that alarm."""
    sent_ns = number * INTERVAL_NS
    there, back = sent_ns + 10 * MS, sent_ns + 20 * MS
    rows = slice(0, ROWS) if dense else of(1)
    came = of(NEVER, back, NEVER) if dense else of(back)
    times = len(came)
    alarmed = made.observe(
        rows,
        sent_ns=np.full(times, sent_ns),
        reflected_ns=np.full(times, there),
        arrived_ns=came,
        sequence=np.full(times, number),
        heard_count=np.full(times, heard_count),
    )
    return list(alarmed.rows)


def tell(made: Meters, sequence: int, heard_count: int) -> list[int]:
    """Let the peer say how many probes of row 1 it had heard; return the rows that alarm."""
    told = made.report(of(1), sequence=of(sequence), heard_count=of(heard_count), at_ns=of(10**10))
    return list(told.rows)


def test_a_row_is_overdue_when_its_reflection_should_have_come() -> None:
    """Rows that were never heard are not; a round trip is what RFC 6298 allows for."""
    made = meters()
    last_ns = 39 * INTERVAL_NS + 20 * MS
    after = np.full(ROWS, 150 * MS)
    every = slice(None)
    assert made.overdue(every, after, last_ns + 150 * MS)[0].tolist() == []
    rows, round_trip_ns = made.overdue(every, after, last_ns + 150 * MS + 1)
    assert rows.tolist() == [1]
    assert round_trip_ns.tolist() == [20 * MS + MS]
    for among, found in ((of(0, 1), [1]), (of(0), []), (slice(1, ROWS), [1])):
        said, _ = made.overdue(among, after[among], last_ns + 150 * MS + 1)
        assert said.tolist() == found


def test_a_peer_that_hears_nothing_raises_the_alarm() -> None:
    """No reflection comes, but the peer's own packets say that six probes did not arrive."""
    made = meters()
    said = [tell(made, 39 + more, 40) for more in range(1, 7)]
    assert [1] in said
    assert made.figures(of(1), 40 * INTERVAL_NS).loss_ppm[0] > 500_000


def test_what_is_still_heard_is_not_lost() -> None:
    """The peer counts all probes: only their reflections are missing."""
    made = meters()
    assert [tell(made, 39 + more, 40 + more) for more in range(1, 30)] == [[]] * 29
    assert made.brownout.loss.estimate_ppm[1] == -1


@pytest.mark.parametrize("dense", [False, True])
def test_a_loss_told_ahead_is_counted_once(dense: bool) -> None:
    """Three losses are told, then the reflection after them comes: three, not six."""
    ahead, plain = meters(), meters()
    for sequence in (40, 41, 42, 42, 41):
        tell(ahead, sequence, 40)
    for made in (ahead, plain):
        reflect(made, 43, heard_count=41, dense=dense)
    both = [made.brownout.loss for made in (ahead, plain)]
    assert not both[0].alarmed.any()
    assert not ahead._is_ahead.any()
    for made in (ahead, plain):
        reflect(made, 45, heard_count=42, dense=dense)  # one more is lost: both take stock
    assert both[0]._since[0, :, 1].tolist() == both[1]._since[0, :, 1].tolist() == [6, 4]


def test_what_is_older_than_the_last_reflection_says_nothing() -> None:
    """A late packet of the peer is no news."""
    made = meters()
    before = made.brownout.loss._epoch.copy()
    assert tell(made, 30, 31) == []
    assert (made.brownout.loss._epoch == before).all()
    assert not made._is_ahead.any()


def test_a_restart_forgets_what_was_told() -> None:
    """An agent without memory counts anew from the next reflection."""
    made = meters()
    tell(made, 42, 40)
    made.forget(of(1))
    assert not made._is_ahead.any()
    reflect(made, 43, heard_count=41)
    assert made.brownout.loss.left[1] == EPOCH - 1
