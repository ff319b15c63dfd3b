"""Time in which this end did not run is no silence of its peers.

A virtual machine that its host puts aside for thirty milliseconds hears nothing meanwhile and sends
nothing: judged by the clock alone, each of its tunnels would be dead when it goes on, just before
the packets that waited for it are read. So the pacer (``bpf/pacer.bpf.c``), which has a turn
each tick, says until when this end is known to be *awake*: for as long as lies between two probes,
since some ticks of lateness are usual on a busy machine, and no tunnel dies of them. Past that time
the clock stands still for what waits for proofs, and at the pacer's next turn the stamps that were
fresh until then move on by the pause.

Only short pauses are excused, and few of them: an end whose pacer stands or crawls must find its
tunnels dead all the same. What may be excused grows by a twentieth of the time that passes,
up to a tenth of a second. A longer pause is not excused at all, since peers have noticed it.

The programs are tested against this file as they are against :mod:`patronus.engine.fastpath`.
"""

from typing import Final, NamedTuple

from patronus.engine.fastpath import Tunnel, fresh
from patronus.engine.units import LONG_AGO, MS

EARNING: Final = 20
"""So much time earns one part of it."""
MOST_NS: Final = 100 * MS


class Awake(NamedTuple):
    """What the pacer says of its end."""

    until_ns: int = LONG_AGO
    """This end is known to run until then."""
    left_ns: int = 0
    """So much of a pause is excused."""


def listening_ns(awake: Awake, now_ns: int) -> int:
    """Return the time up to which silence counts."""
    pause_ns = now_ns - awake.until_ns
    return awake.until_ns if 0 < pause_ns <= awake.left_ns else now_ns


def turn(awake: Awake, now_ns: int, *, gap_ns: int, patience_ns: int) -> Awake:
    """Return what the pacer says from its next turn on.

    Args:
        awake: what it has said so far.
        now_ns: time of this turn.
        gap_ns: since the one before.
        patience_ns: the next one may come so late without a pause.
    """
    earned = earn(awake, gap_ns)
    pause_ns = now_ns - listening_ns(earned, now_ns)
    return Awake(now_ns + patience_ns, earned.left_ns - pause_ns)


def earn(awake: Awake, gap_ns: int) -> Awake:
    """Return what the passing of time allows."""
    return awake._replace(left_ns=min(awake.left_ns + gap_ns // EARNING, MOST_NS))


def excuse(tunnel: Tunnel, awake: Awake, now_ns: int) -> Tunnel:
    """Return a tunnel as it stands after the pause: stamps that were fresh before it still are."""
    pause_ns = now_ns - listening_ns(awake, now_ns)

    def moved(stamp_ns: int) -> int:
        if not fresh(stamp_ns, tunnel.detect_ns, now_ns - pause_ns):
            return stamp_ns
        return min(stamp_ns + pause_ns, now_ns)

    return tunnel._replace(heard_ns=moved(tunnel.heard_ns), confirmed_ns=moved(tunnel.confirmed_ns))
