"""Decisions in words: which path was left for which, why, and by which numbers."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np

from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.journal import Decision, Reason
from patronus.engine.liveness import I8, State
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.ranking import Ranking
from patronus.engine.selection import Bools
from patronus.engine.steering import Change

ANY: Final = -1
"""In place of a destination: several ones."""


def path_name(overlay: Overlay, row: int, destination: int) -> str:
    """Return ``transport>dest`` for a direct path, ``transport>via>dest`` through a site.

    ``destination`` is a number, or ``ANY`` for several behind one transit site (``*``).
    """
    if row == NO_ROW:
        return ""
    end = int(overlay.dst[row])
    name = f"{overlay.transports[overlay.transport[row]]}>{overlay.sites[end]}"
    if destination == ANY:
        return f"{name}>*"
    target = overlay.destinations[destination]
    return name if end in target.sites else f"{name}>{target.name}"


class Narrator:
    """Turns changes of the wanted table into journal records."""

    def __init__(
        self, overlay: Overlay, policy: Policy, *, state: I8, drained: Bools, ranking: Ranking
    ) -> None:
        self._overlay, self._policy = overlay, policy
        self._state, self._drained, self._ranking = state, drained, ranking
        self._space = EntrySpace(len(overlay.sites), len(overlay.destinations), len(policy.classes))
        self._name = lru_cache(maxsize=65_536)(
            lambda row, destination: path_name(overlay, row, destination)
        )

    def tell(self, change: Change, now_ns: int, given: Reason | None) -> Iterator[Decision]:
        """Yield the decisions of one instant, in order of entries.

        Destinations behind a transit site that move together are one decision: their
        pointer moved once. It stands at the place of the first of them, its destination
        is ``*`` and its numbers say how many there are.

        Args:
            change: what moved.
            now_ns: when.
            given: the cause when something was left at once; None when an evaluation
                re-ranked, then the cause is read off the two paths.
        """
        for entry, before, after, count in zip(*self._together(change), strict=True):
            site, destination, number = self._space.key(entry)
            numbers = self._numbers(before, after, number)
            if count > 1:
                numbers = (*numbers, ("destinations", count))
            yield Decision(
                t_ns=now_ns,
                site=self._overlay.sites[site],
                destination="*" if count > 1 else self._overlay.destinations[destination].name,
                traffic_class=self._policy.classes[number].name,
                from_path=self._name(before, ANY if count > 1 else destination),
                to_path=self._name(after, ANY if count > 1 else destination),
                reason=given or self._reason(before, after, number),
                numbers=numbers,
            )

    def _together(self, change: Change) -> tuple[list[int], list[int], list[int], list[int]]:
        """Return (first entry, row before, row after, number of entries) of each decision."""
        entries, space = change.entries, self._space
        before, after = change.before.astype(np.int64), change.after.astype(np.int64)
        destination = entries // space.classes % space.destinations
        through = self._through(before, destination) & self._through(after, destination)
        # Entries that move alone have a group of their own.
        site = entries // space.per_site
        alone = np.where(through, -1, np.arange(len(entries)))
        keys = np.stack([alone, site, entries % space.classes, before, after])
        order = np.lexsort(keys)
        new = np.any(np.diff(keys[:, order], axis=1, prepend=-2) != 0, axis=0)
        first = np.flatnonzero(new)
        count = np.diff(first, append=len(entries))
        # The sort is stable, so the first of a group has the lowest entry.
        leader = order[first]
        rank = np.argsort(leader, kind="stable")
        leader, count = leader[rank], count[rank]
        columns = (entries[leader], before[leader], after[leader], count)
        return tuple(c.tolist() for c in columns)

    def _through(self, rows: I64, destinations: I64) -> Bools:
        """Tell which rows lead to a site in between (or nowhere)."""
        end = np.where(rows == NO_ROW, -1, self._overlay.dst[rows]).astype(np.int64)
        return ~self._overlay.is_home(end, destinations)

    def _reason(self, before: int, after: int, number: int) -> Reason:
        if before == NO_ROW:
            return Reason.START
        if after == NO_ROW:
            return Reason.NO_PATH
        if self._state[before] != State.UP:
            return Reason.LIVENESS_DOWN
        if self._drained[before] != self._drained[after]:
            return Reason.DRAINED if self._drained[before] else Reason.UNDRAINED
        verdict = self._ranking.verdict[number]
        if verdict[before] > verdict[after]:
            return Reason.SLA_VIOLATED
        return Reason.RETURNED if self._preferred(before, after, number) else Reason.BETTER_PATH

    def _preferred(self, before: int, after: int, number: int) -> bool:
        """Tell whether the new transport is one that the class prefers to the old one."""
        prefer = self._policy.classes[number].sla.prefer
        transport, names = self._overlay.transport, self._overlay.transports
        place = [
            prefer.index(name) if name in prefer else len(prefer)
            for name in (names[transport[before]], names[transport[after]])
        ]
        return place[1] < place[0]

    def _numbers(self, before: int, after: int, number: int) -> tuple[tuple[str, int], ...]:
        told: list[tuple[str, int]] = [
            ("margin_ns", self._policy.margin_ns), ("margin_ppm", self._policy.margin_ppm),
        ]  # fmt: skip
        for prefix, row in (("from", before), ("to", after)):
            if row != NO_ROW:
                told += self._ranking.numbers(prefix, row, number)
                told.append((f"{prefix}_state", int(self._state[row])))
        return tuple(told)
