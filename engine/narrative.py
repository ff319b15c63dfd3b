"""Decisions in words: which path was left for which, why, and by which numbers."""

from collections.abc import Iterator
from functools import lru_cache

from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.journal import Decision, Reason
from patronus.engine.liveness import I8, State
from patronus.engine.overlay import Overlay
from patronus.engine.policy import Policy
from patronus.engine.ranking import Ranking
from patronus.engine.selection import Bools
from patronus.engine.steering import Change


def path_name(overlay: Overlay, row: int, destination: int) -> str:
    """Return ``transport>dest`` for a direct path, ``transport>via>dest`` through a site."""
    if row == NO_ROW:
        return ""
    end, target = int(overlay.dst[row]), overlay.destinations[destination]
    name = f"{overlay.transports[overlay.transport[row]]}>{overlay.sites[end]}"
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
        """Yield one decision for each entry that moved, in order of entries.

        Args:
            change: what moved.
            now_ns: when.
            given: the cause when something was left at once; None when an evaluation
                re-ranked, then the cause is read off the two paths.
        """
        moves = zip(
            change.entries.tolist(), change.before.tolist(), change.after.tolist(), strict=True
        )
        overlay, classes = self._overlay, self._policy.classes
        for entry, before, after in moves:
            site, destination, number = self._space.key(entry)
            yield Decision(
                t_ns=now_ns,
                site=overlay.sites[site],
                destination=overlay.destinations[destination].name,
                traffic_class=classes[number].name,
                from_path=self._name(before, destination),
                to_path=self._name(after, destination),
                reason=given or self._reason(before, after, number),
                numbers=self._numbers(before, after, number),
            )

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
