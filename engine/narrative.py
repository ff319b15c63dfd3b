"""Decisions in words: which path was left for which, why, and by which numbers."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.change import Cause, Change
from patronus.engine.configured import Configured
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.journal import Decision, Reason
from patronus.engine.liveness import UP
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.ranking import NUMBERS, Ranking
from patronus.engine.selection import Bools
from patronus.engine.tunnels import Tunnels

ANY: Final = -1
"""In place of a destination: several ones."""

_NAMES: Final = [
    tuple(f"{which}_{name}" for name in ("state", *NUMBERS)) for which in ("from", "to")
]


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
        self,
        overlay: Overlay,
        policy: Policy,
        *,
        configured: Configured,
        tunnels: Tunnels,
        ranking: Ranking,
    ) -> None:
        self._overlay, self._configured = overlay, configured
        self._classes = tuple(c.name for c in policy.classes)
        self._tunnels, self._ranking = tunnels, ranking
        self._space = EntrySpace(overlay.deciding, len(overlay.destinations), len(policy.classes))
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
            given: the cause when something was left at once; None to read it off the two
                paths.
        """
        leader, counts = self._together(change)
        entries, cause = change.entries[leader], change.cause[leader].tolist()
        before, after = change.before[leader], change.after[leader]
        numbers = np.tile(entries % self._space.classes, 2)
        facts = self._facts(np.concatenate([before, after]), numbers)
        columns = entries.tolist(), before.tolist(), after.tolist(), cause, counts.tolist()
        both = facts[: len(entries)], facts[len(entries) :]
        for entry, left, taken, why, count, *known in zip(*columns, *both, strict=True):
            site, destination, number = self._space.key(entry)
            told = self._numbers((left, taken), known, self._configured.of(site), number)
            if count > 1:
                told.append(("destinations", count))
            yield Decision(
                t_ns=now_ns,
                site=self._overlay.sites[site],
                destination="*" if count > 1 else self._overlay.destinations[destination].name,
                traffic_class=self._classes[number],
                from_path=self._name(left, ANY if count > 1 else destination),
                to_path=self._name(taken, ANY if count > 1 else destination),
                reason=given or self._reason(entry, left, taken, Cause(why)),
                numbers=tuple(told),
            )

    def _together(self, change: Change) -> tuple[I64, I64]:
        """Return the places of the decisions' first entries, and how many entries each is of."""
        entries, space = change.entries, self._space
        destination = entries // space.classes % space.destinations
        through = self._through(change.before, destination)
        if through.any():  # seldom
            through &= self._through(change.after, destination)
        at = hits(through)
        if not len(at):
            return np.arange(len(entries), dtype=np.int64), np.ones(len(entries), dtype=np.int64)
        before, after = change.before.astype(np.int64), change.after.astype(np.int64)
        # One number a group: a tunnel tells its site, and one of both is there.
        key = (before[at] + 1) * (self._overlay.rows + 1) + after[at] + 1
        key = (key * space.classes + entries[at] % space.classes) * len(Cause) + change.cause[at]
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = hits(np.concatenate([key[:1] == key[:1], key[1:] != key[:-1]]))
        # The sort is stable, so the first of a group has the lowest entry.
        leader = np.concatenate([at[order[first]], hits(~through)])
        count = np.ones(len(leader), dtype=np.int64)
        count[: len(first)] = np.diff(first, append=len(at))
        rank = np.argsort(leader)
        return leader[rank], count[rank]

    def _through(self, rows: I32, destinations: I64) -> Bools:
        """Tell which rows lead to a site in between (or nowhere)."""
        through: Bools = ~self._overlay.is_home(self._overlay.dst[rows], destinations)
        through |= rows == NO_ROW
        return through

    def _reason(self, entry: int, before: int, after: int, cause: Cause) -> Reason:
        if before == NO_ROW:
            return Reason.START
        if after == NO_ROW:
            return Reason.NO_PATH
        drained = self._tunnels.drained
        if cause is Cause.LOST:
            return self._loss(entry, before)
        if drained[before] != drained[after]:
            return Reason.DRAINED if drained[before] else Reason.UNDRAINED
        if cause is Cause.VIOLATED:
            return Reason.SLA_VIOLATED
        preferred = self._preferred(entry, before, after)
        return Reason.RETURNED if preferred else Reason.BETTER_PATH

    def _loss(self, entry: int, row: int) -> Reason:
        """Return why a path cannot be used any more."""
        if self._tunnels.state[row] != UP:
            return Reason.LIVENESS_DOWN
        destination = self._overlay.destinations[self._space.key(entry).destination]
        home = self._overlay.dst[row] in destination.sites
        return Reason.WITHDRAWN if home else Reason.TRANSIT_LOST

    def _preferred(self, entry: int, before: int, after: int) -> bool:
        """Tell whether the new transport is one that the class prefers to the old one."""
        site, _, number = self._space.key(entry)
        prefer = self._configured.of(site).classes[number].sla.prefer
        transport, names = self._overlay.transport, self._overlay.transports
        place = [
            prefer.index(name) if name in prefer else len(prefer)
            for name in (names[transport[before]], names[transport[after]])
        ]
        return place[1] < place[0]

    def _facts(self, rows: I32, numbers: I64) -> list[tuple[int, ...]]:
        """Return what the journal tells of rows, each for a class; of no row, anything."""
        columns = self._tunnels.state[rows].tolist(), *self._ranking.numbers(rows, numbers)
        return list(zip(*columns, strict=True))

    def _numbers(
        self, rows: tuple[int, int], facts: list[tuple[int, ...]], policy: Policy, number: int
    ) -> list[tuple[str, int]]:
        told = [("margin_ns", policy.margin_ns), ("margin_ppm", policy.margin_ppm)]
        # What a tunnel carries comes last, and is told where it counts.
        count = len(NUMBERS) + bool(policy.classes[number].sla.mtu)
        for names, row, fact in zip(_NAMES, rows, facts, strict=True):
            if row != NO_ROW:
                told += zip(names[:count], fact, strict=False)
        return told
