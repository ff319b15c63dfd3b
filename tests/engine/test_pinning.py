"""Pinned flows by hand; the programs are compared with the same rule in tests/dataplane/linux."""

import pytest

from patronus.engine import pinning
from patronus.engine.fastpath import Counter, Tunnel, Verdict
from patronus.engine.forwarding import NO_ROW
from patronus.engine.pinning import UNLED_NS, Heard, Leave, Pin, Sent, Way, gap_ns, hear, leave
from patronus.engine.units import MS, SECOND

NOW_NS = 1000 * SECOND
SLACK_NS = 5 * MS
TICK_NS = 1 << pinning.TICK_BITS
ROWS = (0, 1, 2)
QUICK, SLOW = Way(10 * MS), Way(50 * MS)
WAYS = {0: QUICK, 1: SLOW, 2: SLOW}


def tunnels(*dead: int) -> dict[int, Tunnel]:
    """Return tunnels that can carry but for some."""
    return {
        row: Tunnel(SECOND, confirmed_ns=NOW_NS if row not in dead else 0, latched=False)
        for row in ROWS
    }


def send(pin: Pin, to: int, *, dead: tuple[int, ...] = (), **more: Way) -> Sent:
    """Send a packet whose entry would go to a row; its candidates are that one and row 2."""
    ways = WAYS | {int(name[1:]): way for name, way in more.items()}
    return pinning.send(
        pin, Verdict(to, Counter.PRIMARY), (to, 2, NO_ROW), tunnels(*dead), ways,
        slack_ns=SLACK_NS, now_ns=NOW_NS,
    )  # fmt: skip


def at(row: int, idle_ns: int, *, follows: bool = False, astray: bool = False) -> Pin:
    """Return a record whose last packet went that long ago."""
    return Pin(row, follows, astray, pinning.tick(NOW_NS - idle_ns))


def test_gaps_are_counted_from_the_end_of_a_tick_and_across_the_wrap() -> None:
    """Not less than was idle, and no more than a tick less; the counter wraps in 78 hours."""
    for now_ns in (NOW_NS, (2**32 + 1) << pinning.TICK_BITS, 12345):
        for idle_ns in (0, 1, MS, 45 * MS):
            found = gap_ns(pinning.tick(max(now_ns - idle_ns, 0)), now_ns)
            assert min(idle_ns, now_ns) - TICK_NS <= found <= idle_ns


@pytest.mark.parametrize(
    ("source", "target", "idle_ns", "left"),
    [
        (SLOW, QUICK, 45 * MS + TICK_NS, Leave.FREELY),
        (SLOW, QUICK, 45 * MS - 1, Leave.STAY),
        (QUICK, SLOW, 0, Leave.FREELY),
        (QUICK, QUICK, 0, Leave.FREELY),
        (Way(0), SLOW, 5 * MS - 1, Leave.STAY),
        (QUICK, Way(0), 15 * MS + TICK_NS, Leave.FREELY),
        (SLOW._replace(drain_until_ns=NOW_NS), QUICK, 0, Leave.BY_FORCE),
        (SLOW._replace(drain_until_ns=NOW_NS + 1), QUICK, 0, Leave.STAY),
    ],
)
def test_who_may_leave(source: Way, target: Way, idle_ns: int, left: Leave) -> None:
    """In a gap, towards what is no quicker, or by force; unknown delays are no good ones."""
    last = pinning.tick(NOW_NS - idle_ns)
    assert leave(last, source, target, slack_ns=SLACK_NS, now_ns=NOW_NS) is left


def test_a_leader_stays_while_its_tunnel_is_named_and_does_not_drain() -> None:
    """Else it leaves where it may; its own packet is the last from then on."""
    assert send(at(2, SECOND), 0) == Sent(2, True, Leave.STAY, False, at(2, 0))
    assert send(at(1, SECOND), 0) == Sent(0, False, Leave.FREELY, False, at(0, 0))
    drained = SLOW._replace(drain_until_ns=NOW_NS + SECOND)
    assert send(at(2, SECOND), 0, _2=drained).row == 0
    assert send(at(2, 0), 0, _2=drained).row == 2
    assert send(Pin(), 0) == Sent(0, False, Leave.STAY, False, at(0, 0))


def test_a_dead_tunnel_is_left_at_once_where_another_one_lives() -> None:
    """With everything dead the entry decides, and the record waits for a usable tunnel."""
    assert send(at(2, 0), 0, dead=(2,)) == Sent(0, False, Leave.STAY, True, at(0, 0))
    all_dead = pinning.send(
        at(1, 0), Verdict(0, Counter.ALL_DEAD), (0, 2, NO_ROW), tunnels(*ROWS), WAYS,
        slack_ns=SLACK_NS, now_ns=NOW_NS,
    )  # fmt: skip
    assert all_dead == Sent(0, False, Leave.STAY, False, at(1, 0))
    alone = pinning.send(
        at(1, 0), Verdict(NO_ROW, Counter.DROPPED), (0, 2, NO_ROW), tunnels(0, 2), WAYS,
        slack_ns=SLACK_NS, now_ns=NOW_NS,
    )  # fmt: skip
    assert alone == Sent(1, True, Leave.STAY, False, at(1, 0))


def test_who_follows_is_led_and_leaves_unled_in_the_end() -> None:
    """The entry moves it only from what is dead, or a second after the deadline of a drain."""
    assert send(at(1, SECOND, follows=True), 0).row == 1
    over = SLOW._replace(drain_until_ns=NOW_NS - UNLED_NS)
    found = send(at(1, 0, follows=True), 0, _1=over)
    assert (found.row, found.left) == (0, Leave.BY_FORCE)
    assert found.pin == at(0, 0, follows=True, astray=True)
    assert send(at(1, 0, follows=True), 0, dead=(1,)).pin.astray


def heard(pin: Pin, row: int, *, dead: tuple[int, ...] = (), ways: dict[int, Way] = WAYS) -> Heard:
    return hear(pin, row, tunnels(*dead), ways, slack_ns=SLACK_NS, now_ns=NOW_NS)


def test_what_follows_goes_where_the_leader_came_from_when_it_may() -> None:
    """By the leader's own rule; at once from nowhere, from the dead, and when it is astray."""
    stays = at(1, 0, follows=True)
    assert heard(stays, 0) == Heard(stays, Leave.STAY, moved=False)
    paused = at(1, SECOND, follows=True)
    assert heard(paused, 0) == Heard(paused._replace(row=0), Leave.FREELY, moved=True)
    assert heard(stays, 0, dead=(1,)) == Heard(stays._replace(row=0), Leave.STAY, moved=True)
    assert heard(stays._replace(row=NO_ROW), 0).moved
    assert heard(at(1, 0, follows=True, astray=True), 0).pin == stays._replace(row=0)


def test_nobody_is_led_to_where_nothing_can_be_sent() -> None:
    """Nor to a tunnel that all are to have left; and who leads is not led."""
    paused = at(1, SECOND, follows=True)
    assert not heard(paused, 0, dead=(0,)).moved
    over = WAYS | {0: QUICK._replace(drain_until_ns=NOW_NS - UNLED_NS)}
    assert not heard(paused, 0, ways=over).moved
    assert not heard(paused, 1).moved
    assert not heard(at(1, SECOND), 0).moved
