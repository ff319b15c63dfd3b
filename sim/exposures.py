"""Exposures: whom a fault would harm if nothing moved, and when each was saved.

An exposure is (fault occurrence, site, destination, class). It opens when the fault
begins, if the path in use meets it and another one does not. It is *switched* at the
first instant at which the dataplane would send on a path that works, and *failed
over* at the first at which the engine's own choice is installed on one. A fault that
ends, or that a provider routes around, makes the old path work again; that counts, too.

A path works if less than half is lost on it, and for a fault that harms by breaking
the class's SLA, if it keeps that SLA. This is judged on the wire's truth.

The loss of a hub exposes a million entries at once, so exposures are columns.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import distinct, hits
from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER
from patronus.sim.lookup import Index

_AT_ONCE: Final = 200_000
"""Entries that moved, looked at together."""


class Kind(IntEnum):
    """Why an entry's path may have begun to work."""

    END = 0
    """A fault has ended under the path in use, or its provider routes around it."""
    KERNEL = 1
    """The dataplane moved the packets by itself."""
    ENGINE = 2
    """The dataplane moved them because the engine's choice was installed."""
    ACK = 3
    """The engine's choice is installed, whether packets moved or not."""


class Move(NamedTuple):
    """Something happened to the paths of some entries at one instant."""

    at_ns: int
    kind: Kind
    entries: I64
    rows: I32
    """What carries each entry now."""


class Exposed(NamedTuple):
    """Exposures that open together; one element each."""

    entry: I64
    row: I32
    """The tunnel in use before."""
    hard: Bools
    """It delivers less than half; otherwise it breaks the SLA."""
    lost: Bools
    """It delivers nothing at all."""


class Candidates(NamedTuple):
    """Instants at which exposures may have been saved, in order of time."""

    exposure: I64
    at_ns: I64
    kind: I64
    row: I64


Truth = Callable[[I64, I64, I64], tuple[Bools, Bools]]
"""(entries, rows, times) to (delivers at least half, keeps the SLA of the entry's class)."""


class Ledger:
    """All exposures of a run as columns, and which of them wait."""

    def __init__(self) -> None:
        self.occurrence: I32 = np.zeros(0, dtype=np.int32)
        """Position in the list of occurrences that have begun."""
        self.t0_ns: I64 = np.zeros(0, dtype=np.int64)
        self.entry: I64 = np.zeros(0, dtype=np.int64)
        self.row_before: I32 = np.zeros(0, dtype=np.int32)
        self.row_after: I32 = np.zeros(0, dtype=np.int32)
        self.hard: Bools = np.zeros(0, dtype=np.bool_)
        self.lost: Bools = np.zeros(0, dtype=np.bool_)
        self.moved_by: I8 = np.zeros(0, dtype=np.int8)
        """Kind that switched it; ``END`` also while nothing has."""
        self.switch_ns: I64 = np.zeros(0, dtype=np.int64)
        self.failover_ns: I64 = np.zeros(0, dtype=np.int64)
        self._waiting: I64 | None = None
        self._waiting_entries: I64 | None = None
        self._waiting_index: Index | None = None

    def __len__(self) -> int:
        """Return the number of exposures."""
        return len(self.entry)

    def open(self, occurrence: int, t0_ns: int, exposed: Exposed) -> I64:
        """Add exposures and return their numbers."""
        first, count = len(self), len(exposed.entry)

        def same(value: int) -> I64:
            return np.broadcast_to(np.int64(value), count)

        more = {
            "occurrence": same(occurrence),
            "t0_ns": same(t0_ns),
            "entry": exposed.entry,
            "row_before": exposed.row,
            "row_after": same(-1),
            "hard": exposed.hard,
            "lost": exposed.lost,
            "moved_by": same(Kind.END),
            "switch_ns": same(NEVER),
            "failover_ns": same(NEVER),
        }
        for name, values in more.items():
            column = getattr(self, name)
            # Each column keeps its type: a million exposures are wide enough as they are.
            setattr(
                self, name, np.concatenate([column, values], dtype=column.dtype, casting="unsafe")
            )
        self._forget_waiting()
        return np.arange(first, first + count, dtype=np.int64)

    @property
    def waiting(self) -> I64:
        """Exposures not yet switched or not yet failed over, in order of their entries."""
        if self._waiting is None:
            open_ones = hits((self.switch_ns == NEVER) | (self.failover_ns == NEVER))
            self._waiting = open_ones[np.argsort(self.entry[open_ones], kind="stable")]
        return self._waiting

    @property
    def waiting_entries(self) -> I64:
        """The entries of :attr:`waiting`, ascending, each once."""
        if self._waiting_entries is None:
            self._waiting_entries = distinct(self.entry[self.waiting])
        return self._waiting_entries

    def settled_ns(self, exposures: I64) -> I64:
        """Return when nothing more can be learnt of exposures, ``NEVER`` while something can."""
        last = np.maximum(self.switch_ns[exposures], self.failover_ns[exposures])
        done = last != NEVER
        return np.where(done, self.t0_ns[exposures] + np.where(done, last, 0), NEVER)

    def settle(self, moves: Sequence[Move], truth: Truth) -> None:
        """Go through what happened, in order of time."""
        some = False
        for part in _batches(sorted(moves, key=lambda m: m.at_ns)):
            found = self._candidates(part)
            if len(found.exposure):
                self._settle(found, truth)
                some = True
        if some:
            self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._waiting = self._waiting_entries = self._waiting_index = None

    def _settle(self, found: Candidates, truth: Truth) -> None:
        alive, fine = truth(self.entry[found.exposure], found.row, found.at_ns)
        works = alive & (self.hard[found.exposure] | fine)
        works &= found.at_ns >= self.t0_ns[found.exposure]
        # An installed choice that works carries the packets, even where none had to move.
        self._mark(found, works, self.switch_ns, moved=True)
        installed = (found.kind == Kind.ACK) | (found.kind == Kind.END)
        self._mark(found, works & installed, self.failover_ns, moved=False)

    def _candidates(self, moves: Sequence[Move]) -> Candidates:
        """Pair every move with the exposures that wait for its entries."""
        if self._waiting_index is None:
            self._waiting_index = Index(self.entry[self.waiting])
        low, count = self._waiting_index.find(np.concatenate([m.entries for m in moves]))
        lengths = [len(m.entries) for m in moves]
        offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)

        def spread(values: I64) -> I64:
            return np.repeat(values, count)

        return Candidates(
            self.waiting[spread(low) + offset],
            spread(np.repeat(np.array([m.at_ns for m in moves], dtype=np.int64), lengths)),
            spread(np.repeat(np.array([m.kind for m in moves], dtype=np.int64), lengths)),
            spread(np.concatenate([m.rows for m in moves]).astype(np.int64)),
        )

    def _mark(self, found: Candidates, good: Bools, column: I64, *, moved: bool) -> None:
        """Write the time of each exposure's first good candidate, where none is written yet."""
        at = hits(good & (column[found.exposure] == NEVER))
        # Of several candidates the last one written stays, hence backwards.
        first: I64 = np.empty(len(self), dtype=np.int64)
        first[found.exposure[at[::-1]]] = at[::-1]
        at = at[first[found.exposure[at]] == at]
        exposure = found.exposure[at]
        column[exposure] = found.at_ns[at] - self.t0_ns[exposure]
        if moved:
            self.row_after[exposure] = found.row[at]
            kind = np.where(found.kind[at] == Kind.ACK, Kind.ENGINE, found.kind[at])
            self.moved_by[exposure] = kind


def _batches(moves: Sequence[Move]) -> Iterator[Sequence[Move]]:
    """Cut moves where there are many entries, so that what is worked out of them stays small."""
    first = held = 0
    for place, move in enumerate(moves, start=1):
        held += len(move.entries)
        if held >= _AT_ONCE or place == len(moves):
            yield moves[first:place]
            first, held = place, 0
