"""What the kernel does with a packet of a pinned flow, written plainly.

The reference of ``bpf/flow.h``, as :mod:`patronus.engine.fastpath` is that of the rest. It is
asked after :func:`fastpath.steer`: where the entry would send the packet, and what the flow's
record says.

*Who began the flow leads.* Its flow stays on its tunnel while that is usable. It leaves one that
drains, or that the entry no longer names, where nothing can be overtaken (:func:`leave`): towards a
path that is no quicker, or in a gap longer than the paths' delays differ and some slack; and at
the deadline of a drain by force.

*The other end follows.* What goes back takes the tunnel that the leader's packets come by, as
stateful firewalls on the way want it. Answers have gaps of their own, so the follower moves
by the same rule, asked when a packet of the leader comes. It leaves a drained tunnel unled only
``UNLED_NS`` after the deadline: by then every leader that sends at all has been heard elsewhere.

*Astray.* A follower that had to leave its tunnel unled follows the leader's next packet at once:
its order is lost already, and the firewalls wait.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from patronus.engine.fastpath import Counter, Tunnel, Verdict, usable
from patronus.engine.forwarding import NO_ROW
from patronus.engine.units import SECOND

TICK_BITS: Final = 16
"""Times of flows are kept in units of 2^16 ns."""
UNLED_NS: Final = 1 * SECOND
"""The end of a drain is told by probes; the slowest usual ones (satellite) come every 500 ms."""


class Way(NamedTuple):
    """What the agent has told the kernel of a tunnel's path."""

    delay_ns: int = 0
    """One way, 0: not known."""
    drain_until_ns: int = 0
    """0: not draining."""


class Pin(NamedTuple):
    """The record of one flow, as far as it says where packets go."""

    row: int = NO_ROW
    follows: bool = False
    """The peer began it."""
    astray: bool = False
    last: int = 0
    """Tick at which a packet of ours was sent last."""


class Leave(Enum):
    """Whether a flow may leave a usable tunnel for another one."""

    STAY = auto()
    FREELY = auto()
    """Nothing can be overtaken."""
    BY_FORCE = auto()
    """The deadline of the drain has come."""


class Sent(NamedTuple):
    """What became of a packet that goes out."""

    row: int
    pinned: bool
    """The flow's own tunnel carries it, not the one of its entry."""
    left: Leave
    dead: bool
    """The flow left because its tunnel is not usable."""
    pin: Pin


class Heard(NamedTuple):
    """What the leader's packet did to the flow that follows."""

    pin: Pin
    left: Leave
    moved: bool


def tick(now_ns: int) -> int:
    """Return the tick of a time."""
    return now_ns >> TICK_BITS & 0xFFFFFFFF


def gap_ns(last: int, now_ns: int) -> int:
    """Return how long at least nothing was sent: the last packet may end its tick."""
    ticks = (tick(now_ns) - last - 1 + 2**31) % 2**32 - 2**31
    return (ticks << TICK_BITS) + now_ns % (1 << TICK_BITS)


def leave(last: int, source: Way, target: Way, *, slack_ns: int, now_ns: int) -> Leave:
    """Tell whether a flow may leave one usable tunnel for another one now.

    Args:
        last: tick of the flow's last packet.
        source: that it is on.
        target: that it would take.
        slack_ns: by which a gap must be longer than the delays differ.
        now_ns: the time.
    """
    if source.drain_until_ns and now_ns >= source.drain_until_ns:
        return Leave.BY_FORCE
    longer_ns = source.delay_ns - target.delay_ns
    known = source.delay_ns > 0 and target.delay_ns > 0
    if known and longer_ns <= 0:
        return Leave.FREELY
    enough = gap_ns(last, now_ns) >= max(longer_ns, 0) + slack_ns
    return Leave.FREELY if enough else Leave.STAY


def overdue(way: Way, now_ns: int) -> bool:
    """Tell whether a tunnel is to be left even by who follows and is not led."""
    return way.drain_until_ns != 0 and now_ns >= way.drain_until_ns + UNLED_NS


def send(
    pin: Pin,
    verdict: Verdict,
    rows: tuple[int, int, int],
    tunnels: Mapping[int, Tunnel],
    ways: Mapping[int, Way],
    *,
    slack_ns: int,
    now_ns: int,
) -> Sent:
    """Return where a packet of a pinned flow goes out.

    Args:
        pin: the flow's record.
        verdict: of its entry (:func:`fastpath.steer`).
        rows: the entry's candidates.
        tunnels: the kernel's records, released (:func:`fastpath.release`).
        ways: of the tunnels.
        slack_ns: by which a gap must be longer than the delays differ.
        now_ns: the time.
    """
    row, left, dead, astray = pin.row, Leave.STAY, False, pin.astray
    found = verdict.counter in (Counter.PRIMARY, Counter.BACKUP)
    if row in (NO_ROW, verdict.row):
        row = verdict.row
    elif not usable(tunnels[row], now_ns):
        row, dead = verdict.row, found
    elif found:
        left = _leaves(pin, verdict.row, rows, ways, slack_ns=slack_ns, now_ns=now_ns)
        row = row if left is Leave.STAY else verdict.row
    if dead or left is not Leave.STAY:
        astray = pin.follows
    pinned = row != verdict.row
    kept = row if found or pinned else pin.row
    after = pin._replace(row=kept, astray=astray, last=tick(now_ns))
    return Sent(row, pinned, left, dead, after)


def _leaves(
    pin: Pin,
    to: int,
    rows: tuple[int, int, int],
    ways: Mapping[int, Way],
    *,
    slack_ns: int,
    now_ns: int,
) -> Leave:
    source = ways[pin.row]
    if pin.follows:
        return Leave.BY_FORCE if overdue(source, now_ns) else Leave.STAY
    if not source.drain_until_ns and pin.row in rows:
        return Leave.STAY
    return leave(pin.last, source, ways[to], slack_ns=slack_ns, now_ns=now_ns)


def hear(
    pin: Pin,
    row: int,
    tunnels: Mapping[int, Tunnel],
    ways: Mapping[int, Way],
    *,
    slack_ns: int,
    now_ns: int,
) -> Heard:
    """Let a flow follow the other end's packet, which came by a tunnel.

    Nobody is led to where nothing can be sent, or where nobody is to be any more.
    """
    stays = Heard(pin, Leave.STAY, moved=False)
    if not pin.follows or pin.row == row:
        return stays
    if not usable(tunnels[row], now_ns) or overdue(ways[row], now_ns):
        return stays
    left = Leave.STAY
    if not pin.astray and pin.row != NO_ROW and usable(tunnels[pin.row], now_ns):
        left = leave(pin.last, ways[pin.row], ways[row], slack_ns=slack_ns, now_ns=now_ns)
        if left is Leave.STAY:
            return stays
    return Heard(pin._replace(row=row, astray=False), left, moved=True)
