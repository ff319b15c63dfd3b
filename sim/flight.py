"""Probes that were sent together, on their way out and back."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO, NEVER

BLOCK: Final = 32_768
"""Rows that are worked on at a time, so that temporaries stay in the cache."""


FEW: Final = 8192
"""Rows by index that are worked on at a time: each costs more than one in a line."""

T = TypeVar("T")


class ByBlocks(Protocol):
    """Works through ``range(count)`` in blocks, in any order; results come in theirs."""

    def __call__(self, count: int, work: Callable[[slice], T], /, block: int = ...) -> list[T]:
        """Return what ``work`` returned for each block."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Reflections that came back; at most one a row, rows ascending."""

    rows: slice | I64
    sent_ns: I64
    reflected_ns: I64
    arrived_ns: I64
    sequence: I64
    heard_count: I64
    """How many of our probes the peer had heard by then."""

    def keep(self, here: Bools) -> "Samples":
        """Return the samples with those elsewhere taken out (their arrival is ``NEVER``)."""
        return replace(self, arrived_ns=np.where(here, self.arrived_ns, NEVER))

    def over(self, others: "Samples", here: Bools) -> "Samples":
        """Return these samples where ``here``, and the others elsewhere."""
        return Samples(
            self.rows,
            np.where(here, self.sent_ns, others.sent_ns),
            np.where(here, self.reflected_ns, others.reflected_ns),
            np.where(here, self.arrived_ns, others.arrived_ns),
            np.where(here, self.sequence, others.sequence),
            np.where(here, self.heard_count, others.heard_count),
        )


@dataclass(frozen=True, eq=False)
class Counts:
    """Data packets that reflections reported on; at most one element a row, ascending."""

    rows: I64
    sent: I64
    lost: I64
    at_ns: I64
    """When the report arrived."""


@dataclass(eq=False)
class Flight:
    """Probes that were sent together; arrays of one element a probe."""

    rows: slice | I64
    sent_ns: I64
    heard_at_ns: I64
    """Arrival at the peer, NEVER when lost."""
    back_at_ns: I64
    """Arrival of the reflection, NEVER when lost on either way."""
    ordinal: int
    heard_count: I64
    data_at: I64
    """Positions of the probes on rows that carry counted data packets ..."""
    data: I64
    """... and how many were sent and lost there so far, shape (positions, 2)."""
    first_ns: int
    """Before this nothing of it arrives anywhere."""
    last_heard_ns: int
    """After this nothing of it arrives at the peer."""
    last_ns: int
    """After this nothing of it is under way."""
    mute: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Positions of the probes whose H bit is clear."""

    def only(self, at: I64, rows: I64) -> "Flight":
        """Return the probes at some places (ascending), which are on ``rows``."""
        data = np.isin(self.data_at, at)
        return replace(
            self,
            rows=rows,
            sent_ns=self.sent_ns[at],
            heard_at_ns=self.heard_at_ns[at],
            back_at_ns=self.back_at_ns[at],
            heard_count=self.heard_count[at],
            data_at=at.searchsorted(self.data_at[data]),
            data=self.data[data],
            mute=at.searchsorted(self.mute[np.isin(self.mute, at)]),
        )

    def samples(self, rows: slice | I64, at: slice | I64) -> Samples:
        """Return the samples at some positions, which stand for ``rows``; all clocks agree."""
        reflected = self.heard_at_ns[at]
        return Samples(
            rows,
            self.sent_ns[at],
            reflected,
            self.back_at_ns[at],
            np.full(len(reflected), self.ordinal, dtype=np.int64),
            self.heard_count[at],
        )


def merge(
    flights: list[Flight],
    here: list[Bools],
    part: slice,
    samples: Callable[[Flight, slice, slice], Samples],
) -> tuple[Samples, list[tuple[Flight, I64]]]:
    """Lay flights of all rows over each other, the oldest on top.

    Args:
        flights: oldest first.
        here: which rows' reflections count, by flight, for the rows of ``part``.
        part: a block of rows.
        samples: gives those of a flight, as :meth:`Flight.samples`.

    Returns:
        Each row's first reflection, and (flight, rows) of the later ones in order.
    """
    used = [(f, h) for f, h in zip(flights, here, strict=True) if h.any()]
    if not used:
        used = [(flights[-1], here[-1])]
    merged, taken = samples(used[0][0], part, part), used[0][1]
    again: list[tuple[Flight, I64]] = []
    for flight, now in used[1:]:
        both = hits(now & taken)
        if len(both):
            again.append((flight, both + part.start))
        merged = merged.over(samples(flight, part, part), taken)
        taken = taken | now
    return merged if taken.all() else merged.keep(taken), again


def last_of(times: I64) -> int:
    """Return the last of some times that are not ``NEVER``, ``LONG_AGO`` if there is none."""
    # One more than NEVER wraps around to the least of all numbers.
    return max(int((times + 1).max(initial=LONG_AGO)) - 1, LONG_AGO)


def within(times: I64, start_ns: int, end_ns: int) -> Bools:
    """Tell which times lie in [start, end)."""
    here: Bools = times >= start_ns
    here &= times < end_ns
    return here


def places(flight_rows: slice | I64, rows: I64) -> tuple[I64, Bools]:
    """Return where each row stands in a flight, and whether it does."""
    if isinstance(flight_rows, slice):
        return rows - flight_rows.start, np.ones(len(rows), dtype=np.bool_)
    if not len(flight_rows):
        return np.zeros_like(rows), np.zeros(len(rows), dtype=np.bool_)
    place = np.minimum(np.searchsorted(flight_rows, rows), len(flight_rows) - 1)
    return place, flight_rows[place] == rows


def rows_at(rows: slice | I64, at: I64) -> I64:
    """Return the rows at some positions of a flight."""
    return at + rows.start if isinstance(rows, slice) else rows[at]


def numbered(rows: slice | I64) -> I64:
    """Return the numbers of some rows."""
    if not isinstance(rows, slice):
        return rows
    return np.arange(rows.start, rows.stop, dtype=np.int64)


def part_of(rows: slice | I64, at: slice) -> slice | I64:
    """Return the rows of a part of a flight."""
    if isinstance(rows, slice):
        return slice(rows.start + at.start, rows.start + at.stop)
    return rows[at]
