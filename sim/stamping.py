"""What arrives in a slot moves the stamps ``heard`` and ``confirmed``; edges of silence come out.

The newest proof of each row decides nearly always. Rows that went silent before it, and
rows that are told that their peer does not hear them, are taken event by event.
"""

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from patronus.dataplane.memory import MemoryDataplane
from patronus.engine import silence
from patronus.engine.arrays import hits
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.selection import Bools
from patronus.engine.silence import Edges
from patronus.engine.units import LONG_AGO
from patronus.sim.flight import ByBlocks, Flight, numbered, places, rows_at, within


class Stamping:
    """The stamps of all rows of a dataplane, slot by slot."""

    def __init__(
        self, overlay: Overlay, dataplane: MemoryDataplane, passes: ModuleType | None = None
    ) -> None:
        """Begin with rows that nobody has heard yet.

        Args:
            overlay: all tunnels.
            dataplane: holds the stamps.
            passes: ``sim.compiled``, or None for plain ones.
        """
        self._overlay, self._dataplane, self._passes = overlay, dataplane, passes
        self.silent: Bools = np.ones(overlay.rows, dtype=np.bool_)
        self._scratch: I64 = np.full(overlay.rows, LONG_AGO, dtype=np.int64)
        """Newest proofs by row, of this call."""

    def step(
        self,
        flights: Sequence[Flight],
        start_ns: int,
        end_ns: int,
        by_blocks: ByBlocks,
        awake: I64 | None = None,
    ) -> Edges:
        """Move the stamps by all that arrives in a slot; return the edges, in order of time.

        Args:
            flights: of which something may arrive before the end.
            start_ns: of the slot.
            end_ns: of the slot.
            by_blocks: works through all rows.
            awake: the rows that are not asleep, ascending; None: all, and flights are of any.
        """
        odd = self._odd(flights, start_ns, end_ns)
        if awake is not None:
            done = self._advance_some(flights, awake, odd, (start_ns, end_ns), by_blocks)
            return self._finish(flights, done, start_ns, end_ns)
        strewn = self._strewn(flights, end_ns)

        def advance(part: slice) -> tuple[I64, I64]:
            newest = self._newest(flights, part, start_ns, end_ns)
            if strewn is not None:
                np.maximum(newest, strewn[part], out=newest)
            if self._passes is not None:
                return self._stamp(numbered(part), odd, end_ns)
            return self._advance(part, newest, odd[part], end_ns)

        done = by_blocks(self._overlay.rows, advance)
        return self._finish(flights, done, start_ns, end_ns)

    def _finish(
        self,
        flights: Sequence[Flight],
        done: Sequence[tuple[I64, I64]],
        start_ns: int,
        end_ns: int,
    ) -> Edges:
        """Take what is strange event by event, and what goes silent."""
        none = np.zeros(0, dtype=np.int64)
        strange, stale = (np.concatenate(rows) for rows in zip((none, none), *done, strict=True))
        edges = self._exactly(flights, strange, start_ns, end_ns) if len(strange) else []
        quiet = np.sort(np.concatenate([strange, stale]))
        return _in_time([*edges, self._expire(quiet, start_ns, end_ns)])

    def _advance_some(
        self,
        flights: Sequence[Flight],
        awake: I64,
        odd: Bools,
        span: tuple[int, int],
        by_blocks: ByBlocks,
    ) -> list[tuple[I64, I64]]:
        """Do as :meth:`_advance` for the rows that are awake, with flights of such rows alone."""
        assert self._passes is not None, "rows sleep in compiled passes only"
        passes, reverse = self._passes, self._overlay.reverse
        for flight in flights:
            rows = numbered(flight.rows)
            passes.raise_some(
                self._scratch, (rows, flight.heard_at_ns, flight.back_at_ns), reverse, span
            )

        return by_blocks(len(awake), lambda at: self._stamp(awake[at], odd, span[1]))

    def _stamp(self, rows: I64, odd: Bools, end_ns: int) -> tuple[I64, I64]:
        """Do as :meth:`_advance` with the newest proofs that were noted of some rows."""
        assert self._passes is not None, "proofs are noted for compiled passes only"
        plane, left = self._dataplane, np.empty((2, len(rows)), dtype=np.int64)
        stamps = plane.heard_ns, plane.confirmed_ns
        many, gone = self._passes.stamp(
            rows, self._scratch, odd, self.silent, plane.detect_ns, stamps, end_ns, left
        )
        return left[0, :many], left[1, :gone]

    def _advance(self, part: slice, newest: I64, odd: Bools, end_ns: int) -> tuple[I64, I64]:
        """Move a block's stamps where nothing is strange.

        Returns:
            The strange rows, and others that go silent before the end.
        """
        plane, silent = self._dataplane, self.silent[part]
        heard_ns, confirmed_ns = plane.heard_ns[part], plane.confirmed_ns[part]
        detect_ns = plane.detect_ns[part]
        np.maximum(heard_ns, newest, out=heard_ns)
        gap = newest - confirmed_ns
        hit = gap > detect_ns
        hit |= silent & (gap > 0)
        hit |= odd
        at = hits(hit)
        newest[at] = LONG_AGO
        np.maximum(confirmed_ns, newest, out=confirmed_ns)
        stale = confirmed_ns + detect_ns < end_ns - 1
        stale &= ~(silent | hit)
        return at + part.start, hits(stale) + part.start

    def _expire(self, rows: I64, start_ns: int, end_ns: int) -> Edges:
        plane = self._dataplane
        return silence.expire(
            plane.confirmed_ns, plane.detect_ns, self.silent, rows, end_ns, not_before_ns=start_ns
        )

    def _newest(self, flights: Sequence[Flight], part: slice, start_ns: int, end_ns: int) -> I64:
        """Return a block's newest proofs before the end, from flights of all rows."""
        newest = self._scratch[part]
        newest[:] = LONG_AGO
        reverse = self._overlay.reverse[part]
        for flight in flights:
            if isinstance(flight.rows, slice):
                self._raise(newest, flight.back_at_ns[part], None, end_ns)
                # What arrived before this slot has been seen in an earlier one.
                if flight.last_heard_ns >= start_ns:
                    self._raise(newest, flight.heard_at_ns, reverse, end_ns)
        return newest

    def _raise(self, newest: I64, times_ns: I64, at: I32 | None, end_ns: int) -> None:
        """Raise each newest proof to a time before the end, at its place or where ``at`` says."""
        if self._passes is None:
            times_ns = times_ns if at is None else times_ns[at]
            np.maximum(newest, np.where(times_ns < end_ns, times_ns, LONG_AGO), out=newest)
        elif at is None:
            self._passes.raise_newest(newest, times_ns, end_ns)
        else:
            self._passes.raise_newest_by_peer(newest, times_ns, at, end_ns)

    def _strewn(self, flights: Sequence[Flight], end_ns: int) -> I64 | None:
        """Return every row's newest proof from flights of some rows; None without such."""
        some = [f for f in flights if not isinstance(f.rows, slice)]
        if not some:
            return None
        newest = np.full(self._overlay.rows, LONG_AGO, dtype=np.int64)
        for flight in some:
            assert not isinstance(flight.rows, slice)
            _raise_to(newest, flight.rows, flight.back_at_ns, end_ns)
            _raise_to(newest, self._reverse(flight.rows), flight.heard_at_ns, end_ns)
        return newest

    def _odd(self, flights: Sequence[Flight], start_ns: int, end_ns: int) -> Bools:
        """Return the rows that receive a clear H bit: they are looked at event by event."""
        odd = np.zeros(self._overlay.rows, dtype=np.bool_)
        for flight in flights:
            if len(flight.mute):
                at = flight.heard_at_ns[flight.mute]
                hit = flight.mute[within(at, start_ns, end_ns)]
                odd[self._reverse(rows_at(flight.rows, hit))] = True
        return odd

    def _exactly(
        self, flights: Sequence[Flight], rows: I64, start_ns: int, end_ns: int
    ) -> list[Edges]:
        """Take the arrivals of a few rows one after the other, in their order."""
        row, at_ns, proof = self._arrivals(flights, rows, start_ns, end_ns)
        order = np.lexsort((at_ns, row))
        row, at_ns, proof = row[order], at_ns[order], proof[order]
        first = hits(np.diff(row, prepend=-1))
        place = np.arange(len(row)) - np.repeat(first, np.diff(first, append=len(row)))
        plane, edges = self._dataplane, []
        for turn in range(int(place.max(initial=-1)) + 1):
            now = place == turn
            good, bad = now & proof, now & ~proof
            edges.append(
                silence.stamp(
                    plane.confirmed_ns, plane.detect_ns, self.silent, row[good], at_ns[good],
                    not_before_ns=start_ns,
                )
            )  # fmt: skip
            if bad.any():
                # The peer says that it does not hear us: the proof is gone at once.
                edges.append(
                    silence.cut(
                        plane.confirmed_ns, plane.detect_ns, self.silent, row[bad], at_ns[bad],
                        not_before_ns=start_ns,
                    )
                )  # fmt: skip
        return edges

    def _arrivals(
        self, flights: Sequence[Flight], rows: I64, start_ns: int, end_ns: int
    ) -> tuple[I64, I64, Bools]:
        """Return what reaches some rows in the slot: (row, time, is it proof)."""
        parts: list[tuple[I64, I64, Bools]] = []
        for flight in flights:
            place, there = places(flight.rows, rows)
            back = flight.back_at_ns[place[there]]
            parts.append((rows[there], back, np.ones(len(back), dtype=np.bool_)))
            place, there = places(flight.rows, self._reverse(rows))
            heard = place[there]
            proof = np.isin(heard, flight.mute, invert=True)
            parts.append((rows[there], flight.heard_at_ns[heard], proof))
        row, at_ns, proof = (np.concatenate([p[i] for p in parts]) for i in range(3))
        inside = (at_ns >= start_ns) & (at_ns < end_ns)
        return row[inside], at_ns[inside], proof[inside].astype(np.bool_)

    def _reverse(self, rows: I64) -> I64:
        return self._overlay.reverse[rows].astype(np.int64)


def _raise_to(newest: I64, rows: I64, times: I64, end_ns: int) -> None:
    """Raise each row's newest to a time before the end; a row occurs once."""
    newest[rows] = np.maximum(newest[rows], np.where(times < end_ns, times, LONG_AGO))


def _in_time(parts: list[Edges]) -> Edges:
    """Return edges of several sources in order of (time, row, expire before confirm)."""
    parts = [p for p in parts if len(p.row)]
    if not parts:
        return silence.NO_EDGES
    at_ns = np.concatenate([p.at_ns for p in parts])
    row = np.concatenate([p.row for p in parts])
    kind = np.concatenate([p.kind for p in parts])
    order = np.lexsort((-kind, row, at_ns))
    return Edges(at_ns[order], row[order], kind[order])
