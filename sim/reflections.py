"""What came back in a slot, handed over in the order in which each row received it.

A reflection is a sample for the estimators; it may also report on data packets that were
counted. Of one row the report comes after its reflection and before the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.overlay import I64, Overlay
from patronus.engine.selection import Bools
from patronus.sim.flight import (
    FEW,
    ByBlocks,
    Counts,
    Flight,
    Samples,
    merge,
    rows_at,
    within,
)

T = TypeVar("T")

_NO_ROWS: Final = np.zeros(0, dtype=np.int64)


class Takers(NamedTuple, Generic[T]):
    """Who is given what came back; from two threads at once, but never one row in both."""

    take: Callable[[Samples], T]
    take_counts: Callable[[Counts], T]
    """Those of data packets."""
    pass_over: Callable[[Flight, tuple[int, int], slice], I64] | None = None
    """Takes the reflections that came in a span of time to some places of a flight where all
    is ordinary; returns the places that are left. None: there is no such quick pass."""


class Slot(NamedTuple):
    """The probes that are under way in a slot, oldest first."""

    flights: list[Flight]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, eq=False)
class _Jump:
    """A step of some sites' clocks."""

    at_ns: int
    sites: Bools
    """By site."""
    by_ns: int


class Reflections:
    """Remembers clocks and what was reported before."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self.clock_ns: I64 = np.zeros(len(overlay.sites), dtype=np.int64)
        """How far each site's clock is off by now; it shows in one-way figures only."""
        self._jumps: list[_Jump] = []
        """The latest jumps, as long as probes stamped before them are under way."""
        self.reported: I64 = np.zeros((overlay.rows, 2), dtype=np.int64)
        """By row: data packets sent and lost, as told so far."""

    def jump(self, sites: tuple[int, ...], by_ns: int, now_ns: int) -> None:
        """Step the clocks of some sites, between two slots."""
        hit = np.zeros(len(self.clock_ns), dtype=np.bool_)
        hit[list(sites)] = True
        self.clock_ns[hit] += by_ns
        self._jumps.append(_Jump(now_ns, hit, by_ns))

    def hand_over(
        self,
        slot: Slot,
        takers: Takers[T],
        by_blocks: ByBlocks,
    ) -> list[T]:
        """Give out samples and counts of a slot; return what was returned for them."""
        self._forget(slot)
        taken: list[T] = []
        quick = takers.pass_over is not None and self._clocks_agree
        for whole, run in groupby(slot.flights, key=lambda f: isinstance(f.rows, slice)):
            part = slot._replace(flights=list(run))
            if quick:
                taken += self._quickly(part, takers, by_blocks)
            elif not whole:
                taken += self._of_some_rows(part, takers)
            else:
                report = partial(self._of_all_rows, part, takers)
                found = by_blocks(self._overlay.rows, report)
                taken += [one for block in found for one in block]
        return taken

    @property
    def odd_clocks(self) -> Bools:
        """Which sites' clocks are off, or were when a probe under way was stamped."""
        odd: Bools = self.clock_ns != 0
        for jump in self._jumps:
            odd |= jump.sites
        return odd

    @property
    def _clocks_agree(self) -> bool:
        return not self._jumps and not self.clock_ns.any()

    def _forget(self, slot: Slot) -> None:
        """Drop jumps that no stamp under way is older than."""
        if self._jumps:
            first_ns = min((int(f.sent_ns.min()) for f in slot.flights), default=slot.start_ns)
            self._jumps = [j for j in self._jumps if j.at_ns > first_ns]

    def _of_some_rows(self, slot: Slot, takers: Takers[T]) -> list[T]:
        taken: list[T] = []
        for flight in slot.flights:
            assert not isinstance(flight.rows, slice)
            at = hits(within(flight.back_at_ns, slot.start_ns, slot.end_ns))
            if len(at):
                taken.append(takers.take(self._samples(flight, flight.rows[at], at)))
                taken += [
                    takers.take_counts(c) for c in self._counts(flight, hits(_came(flight, slot)))
                ]
        return taken

    def _of_all_rows(self, slot: Slot, takers: Takers[T], part: slice) -> list[T]:
        """Report flights of all rows, for a block of them.

        Most rows have just one reflection, from this flight or the one before: so the
        flights are laid over each other, and the engine works on slices.
        """
        flights = slot.flights
        here = [within(f.back_at_ns[part], slot.start_ns, slot.end_ns) for f in flights]
        merged, again = merge(flights, here, part, self._samples)
        taken = [takers.take(merged)]
        later = {id(flight): _among(flight.data_at, rows) for flight, rows in again}
        first = []
        for flight in flights:
            if len(flight.data_at):
                came = _came(flight, slot) & within(flight.data_at, part.start, part.stop)
                came[later.get(id(flight), _NO_ROWS)] = False
                first += self._counts(flight, hits(came))
        taken += [takers.take_counts(counts) for counts in _joined(first)]
        for flight, rows in again:
            taken.append(takers.take(self._samples(flight, rows, rows)))
            taken += [takers.take_counts(c) for c in self._counts(flight, later[id(flight)])]
        return taken

    def _quickly(self, slot: Slot, takers: Takers[T], by_blocks: ByBlocks) -> list[T]:
        """Report flights one after the other, ordinary rows in one pass."""
        assert takers.pass_over is not None
        taken: list[T] = []
        for flight in slot.flights:
            pass_over = partial(takers.pass_over, flight, (slot.start_ns, slot.end_ns))
            left = np.concatenate([_NO_ROWS, *by_blocks(len(flight.sent_ns), pass_over)])
            taken += by_blocks(len(left), partial(_take_some, takers, flight, left), block=FEW)
            if len(flight.data_at):
                came = hits(_came(flight, slot))
                taken += [takers.take_counts(c) for c in self._counts(flight, came)]
        return taken

    def _counts(self, flight: Flight, came: I64) -> list[Counts]:
        """Take the data counts that came with some reflections (places in ``data_at``)."""
        if not len(came):
            return []
        at = flight.data_at[came]
        rows = at + flight.rows.start if isinstance(flight.rows, slice) else flight.rows[at]
        new = self.tell(rows, flight.data[came])
        return [Counts(rows, new[:, 0], new[:, 1], flight.back_at_ns[at])]

    def tell(self, rows: I64, data: I64) -> I64:
        """Note how much was sent and lost on some rows; return what is new of it.

        What comes late, after a peer has told more, tells nothing.
        """
        before = self.reported[rows]
        self.reported[rows] = np.maximum(before, data)
        new: I64 = self.reported[rows] - before
        return new

    def _samples(self, flight: Flight, rows: slice | I64, at: slice | I64) -> Samples:
        """Return the samples at some positions of a flight, which stand for ``rows``."""
        samples = flight.samples(rows, at)
        if self._clocks_agree:
            return samples
        src, dst = self._overlay.src[rows], self._overlay.dst[rows]
        reflected = samples.reflected_ns + self.clock_ns[dst] - self.clock_ns[src]
        for jump in self._jumps:
            # What was stamped before a jump shows the clock as it was.
            reflected -= jump.by_ns * (jump.sites[dst] & (samples.reflected_ns < jump.at_ns))
            reflected += jump.by_ns * (jump.sites[src] & (samples.sent_ns < jump.at_ns))
        return replace(samples, reflected_ns=reflected)


def _joined(parts: list[Counts]) -> list[Counts]:
    """Return counts of different rows as one; a call for each would cost more than they do."""
    if len(parts) < 2:
        return parts
    rows, sent, lost, at_ns = (
        np.concatenate(column)
        for column in zip(*((c.rows, c.sent, c.lost, c.at_ns) for c in parts), strict=True)
    )
    order = np.argsort(rows)
    return [Counts(rows[order], sent[order], lost[order], at_ns[order])]


def _among(places: I64, rows: I64) -> I64:
    """Return where some ascending places hold one of some rows, ascending too."""
    if not len(places):
        return _NO_ROWS
    at = np.minimum(places.searchsorted(rows), len(places) - 1)
    found: I64 = at[places[at] == rows]
    return found


def _came(flight: Flight, slot: Slot) -> Bools:
    """Tell which of a flight's data counts came back in a slot."""
    return within(flight.back_at_ns[flight.data_at], slot.start_ns, slot.end_ns)


def _take_some(takers: Takers[T], flight: Flight, places: I64, at: slice) -> T:
    """Hand over the samples of some of the probes that a pass has left."""
    some = places[at]
    return takers.take(flight.samples(rows_at(flight.rows, some), some))
