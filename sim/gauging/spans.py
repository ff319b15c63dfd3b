"""When a fault is measured: shortly before, while it is there, shortly after."""

from enum import IntEnum
from typing import Final, NamedTuple

from patronus.engine.units import SECOND
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence

SPAN_NS: Final = 2 * SECOND
"""How long is measured before and after a fault."""

LONGEST_NS: Final = 5 * SECOND
"""No fault is measured for longer ..."""

BURST_PERIODS: Final = 12
"""... but one that comes in bursts, of which so many are waited for."""

BURSTS_LONGEST_NS: Final = 60 * SECOND


class When(IntEnum):
    """The three times."""

    BEFORE = 0
    DURING = 1
    AFTER = 2


class Span(NamedTuple):
    """A time; empty when it ends before it begins."""

    from_ns: int
    until_ns: int

    def within(self, start_ns: int, until_ns: int) -> bool:
        """Tell whether any of it lies in a slot."""
        return max(self.from_ns, start_ns) < min(self.until_ns, until_ns)


class Spans(NamedTuple):
    """The three times of one occurrence, in order of :class:`When`."""

    before: Span
    during: Span
    after: Span


class Patience(NamedTuple):
    """How long it takes until a change shows, and how long to look."""

    settle_ns: int = 0
    """After the beginning and the end of the fault."""
    span_ns: int = SPAN_NS
    longest_ns: int = LONGEST_NS
    guard_ns: int = 0
    """Left out just before the beginning and the end."""
    return_ns: int = 0
    """After the end, besides ``settle_ns``."""


def patience_of(occurrence: Occurrence) -> Patience:
    """Return how long to look at what happens on the wire."""
    fault = occurrence.fault
    if fault.kind is FaultKind.BURST_LOSS and fault.burst is not None:
        period = fault.burst.gap_ns + fault.burst.length_ns
        span = min(max(SPAN_NS, BURST_PERIODS * period), BURSTS_LONGEST_NS)
        return Patience(span_ns=span, longest_ns=BURSTS_LONGEST_NS)
    return Patience()


def spans_of(occurrence: Occurrence, patience: Patience, end_ns: int) -> Spans:
    """Return when to measure an occurrence in a run that ends at a time."""
    start, end = occurrence.start_ns, min(occurrence.end_ns, end_ns)
    settle, span, longest, guard, back = patience
    during = start + settle
    after = min(end + settle + back, end_ns) if end < end_ns else end_ns
    return Spans(
        Span(start - guard - span, start - guard),
        Span(during, min(end - guard, during + longest)),
        Span(after, min(after + span, end_ns)),
    )
