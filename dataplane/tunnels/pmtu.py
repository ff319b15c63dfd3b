"""How large a packet a path takes: RFC 8899's search, one direction of one tunnel.

Events and the time go in, actions come out; packets and their secrets are the driver's.

::

    BASE ───── answered ─────► SEARCHING ── nothing larger fits ──► SEARCH_COMPLETE
     │ ▲                        ▲  │  ▲                                │  │
     │ └────── black hole ──────┼──┴──┼────────────────────────────────┘  │
     │                          │     └────────── raise timer ────────────┘
     └─ lost ──► ERROR ─ the floor answered

The search is a bisection between what fits and what does not, so a path of any MTU is found
with at most ``3 + log2(MAX - MIN)`` sizes. A size is too large once MAX_PROBES of it were lost,
and fits once one was answered. ICMP is not needed.

Two points are this project's own. The usable MTU is lowered only on proof that something
smaller does get through: silence at every size is an outage, and that is for liveness to
judge. And an MTU below 1280 is searched down to the floor instead of being an error.

Sizes are of whole IP packets of the underlay.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from patronus.engine.units import MINUTE, MS, SECOND

MIN_PLPMTU: Final = {4: 576, 6: 1280}
"""RFC 8899 section 5.1.2, by version of IP. A path that takes less carries no tunnel of ours."""
BASE_PLPMTU: Final = 1280
"""Section 5.1.2 suggests 1200 bytes behind the headers; this is what IPv6 asks of every link."""
MAX_PROBES: Final = 3
"""Section 5.1.2."""
PROBE_TIMER_NS: Final = 1 * SECOND
"""Section 5.1.1: the least where the round trip is not known."""
PROBE_TIMER_MIN_NS: Final = 100 * MS
"""The least where it is. The RFC knows no measured round trip; a tunnel's probes measure it all
the time, and with 1 s a black hole would take 3 s to be believed."""
PMTU_RAISE_TIMER_NS: Final = 10 * MINUTE
"""Section 5.1.1: then a larger one is looked for."""
CONFIRMATION_TIMER_NS: Final = 5 * SECOND
"""Section 5.1.1. With three probes of 1 s, an idle path's black hole is known within 8 s."""


class State(StrEnum):
    """Section 5.2."""

    BASE = "base"
    SEARCHING = "searching"
    SEARCH_COMPLETE = "search_complete"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Probe:
    """Send a packet of this size that may not be fragmented, and ask for an answer."""

    size: int
    number: int
    """The answer must name it; it grows by one with each probe."""


@dataclass(frozen=True, slots=True)
class Found:
    """The path takes packets of this size; use it from now on."""

    pmtu: int
    complete: bool
    """False: it is what is known so far, the search goes on."""


Action = Probe | Found


class PathMtu:
    """The search of one path."""

    _ceiling: int
    _low: int
    """The largest size known to fit; the floor is taken on trust."""
    _high: int
    """The smallest size known not to fit, one above the ceiling at first."""
    _size: int
    """What is asked at present."""
    _first: int
    """Number of the first probe of it: an answer may come after the next one was sent."""
    _lost: int
    """Probes of it without an answer."""
    _pending: bool
    """The last probe may still be answered."""
    _confirming: bool
    """What is asked is the MTU in use, after a suspicion or a while."""
    _proved: bool
    """The MTU in use was proved since a size was refuted last: to doubt it again would begin the
    count of what is asked anew, so that a search under steady suspicion never came to an end."""
    _smaller: bool
    """False: not even the floor got through, so what was lost proves nothing."""
    _due_ns: int

    def __init__(self, *, version: int, interface_mtu: int) -> None:
        """Start a search; :meth:`poll` gives the first probe.

        Args:
            version: of IP, 4 or 6.
            interface_mtu: of the interface that packets leave by: nothing larger fits.
        """
        self.floor = MIN_PLPMTU[version]
        self.probe_timer_ns = PROBE_TIMER_NS
        self._rtt_ns = 0
        self.pmtu = self.floor
        """The largest size that may be used at present."""
        self.black_holes = 0
        """How often a path turned out to take less than it had."""
        self._number = 0
        self._raise_ns = 0
        self._restart(max(interface_mtu, self.floor), now_ns=0)

    @property
    def refused(self) -> int:
        """The smallest size that is known not to fit."""
        return self._high

    def next_deadline(self) -> int:
        """Return when :meth:`poll` has something to do."""
        return self._due_ns

    def set_rtt(self, rtt_ns: int) -> None:
        """A round trip was measured: answers are waited for four times as long as usual.

        Smoothed as in RFC 6298: an answer for which a busy agent came late says little of the path,
        and twice three waits of four such round trips are longer than a black hole may last.
        """
        self._rtt_ns += (rtt_ns - self._rtt_ns) // 8 if self._rtt_ns else rtt_ns
        self.probe_timer_ns = max(4 * self._rtt_ns, PROBE_TIMER_MIN_NS)

    def poll(self, now_ns: int) -> list[Action]:
        """Do what is due: count a probe as lost, send another."""
        if now_ns < self._due_ns:
            return []
        actions: list[Action] = []
        if self._pending:
            self._pending = False
            self._lost += 1
            if self._lost == MAX_PROBES:
                actions += self._refuted(now_ns)
        elif self.state is State.SEARCH_COMPLETE:
            self._wake(now_ns)
        if now_ns >= self._due_ns:
            actions.append(self._send(now_ns))
        return actions

    def answered(self, number: int, now_ns: int) -> list[Action]:
        """A probe arrived at the far end; only an answer to one of the size asked counts."""
        if not self._pending or not self._first <= number <= self._number:
            return []
        self._pending = False
        self._proved = True
        if self._confirming:
            self._confirming = False
            return self._go_on(now_ns)
        if self.state is State.ERROR and not self._smaller:
            self._restart(self._ceiling, now_ns)
            return []
        self._low = self._size
        return self._go_on(now_ns)

    def suspect(self, now_ns: int) -> list[Action]:
        """Large packets get lost while small ones arrive: prove at once that the MTU still holds.

        RFC 8899 section 4.3; whoever calls this counts losses by size. Amid a search it is asked
        once for each size that turned out too large.
        """
        if self.state in {State.BASE, State.ERROR} or self._confirming:
            return []
        if self.state is State.SEARCHING and self._proved:
            return []
        return [self._confirm(now_ns)]

    def too_big(self, mtu: int, now_ns: int) -> list[Action]:
        """A router claims to pass only packets of ``mtu`` bytes (section 4.6).

        Whoever sees our packets can forge that, so it never raises the MTU, never leads below
        the floor, and what our probes have proved is put to the proof first.
        """
        if not self.floor <= mtu < self._high - 1:
            return []
        if mtu < self.pmtu:
            return self.suspect(now_ns)
        self._high = mtu + 1
        if self.state is not State.SEARCHING or self._confirming:
            return []
        self._pending = False
        return self._go_on(now_ns)

    def set_interface_mtu(self, mtu: int, now_ns: int) -> list[Action]:
        """The interface takes another size than before: search again."""
        ceiling = max(mtu, self.floor)
        if ceiling == self._ceiling:
            return []
        self._restart(ceiling, now_ns)
        if self.pmtu <= ceiling:
            return []
        self.pmtu = ceiling
        return [Found(ceiling, complete=False)]

    # Steps

    def _restart(self, ceiling: int, now_ns: int) -> None:
        """Know nothing but the floor, and ask for the base."""
        self.state = State.BASE
        self._ceiling = ceiling
        self._low = self.floor
        self._high = ceiling + 1
        self._size = min(max(BASE_PLPMTU, self.floor), ceiling)
        self._smaller = True
        self._confirming = self._pending = self._proved = False
        self._lost = 0
        self._first = self._number + 1
        self._due_ns = now_ns

    def _send(self, now_ns: int) -> Probe:
        self._number += 1
        self._pending = True
        # Nobody is in a hurry while nothing gets through.
        self._due_ns = now_ns + (self.probe_timer_ns if self._smaller else PROBE_TIMER_NS)
        return Probe(self._size, self._number)

    def _ask(self, size: int, now_ns: int) -> None:
        self._size, self._lost, self._due_ns = size, 0, now_ns
        self._first = self._number + 1

    def _confirm(self, now_ns: int) -> Probe:
        self._confirming = True
        self._ask(self.pmtu, now_ns)
        return self._send(now_ns)

    def _wake(self, now_ns: int) -> None:
        """Look for more at times, and otherwise make sure of what there is."""
        if now_ns >= self._raise_ns and self.pmtu < self._ceiling:
            self.state = State.SEARCHING
            self._high = self._ceiling + 1
            self._ask(self._ceiling, now_ns)
        else:
            self._confirming = True
            self._ask(self.pmtu, now_ns)

    def _go_on(self, now_ns: int) -> list[Action]:
        """Ask between what fits and what does not, or be done."""
        complete = self._high - self._low == 1
        actions: list[Action] = []
        if self.pmtu != self._low or (complete and self.state is not State.SEARCH_COMPLETE):
            actions.append(Found(self._low, complete=complete))
        self.pmtu = self._low
        if complete:
            if self.state is not State.SEARCH_COMPLETE:
                self._raise_ns = now_ns + PMTU_RAISE_TIMER_NS
            self.state = State.SEARCH_COMPLETE
            self._due_ns = now_ns + CONFIRMATION_TIMER_NS
        else:
            self.state = State.SEARCHING
            # The interface's own MTU is by far the likeliest, so it is asked first.
            untried = self._high == self._ceiling + 1
            self._ask(self._ceiling if untried else (self._low + self._high) // 2, now_ns)
        return actions

    def _refuted(self, now_ns: int) -> list[Action]:
        """MAX_PROBES of this size were lost."""
        self._proved = False
        if self._confirming:
            # The lost size stays possible: this may have been an outage.
            self.black_holes += 1
            self._restart(self._ceiling, now_ns)
            return []
        if self.state is State.SEARCHING:
            self._high = self._size
            return self._go_on(now_ns)
        if self.state is State.ERROR or self._size == self.floor:
            self._smaller = False
        # That the base was lost proves nothing yet: an outage may end before the floor is asked.
        self.state = State.ERROR
        self._ask(self.floor, now_ns)
        return []
