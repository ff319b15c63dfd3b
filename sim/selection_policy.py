"""A user's own selection, written for one decision at a time, under the same luck.

    class Cheapest:
        def choose(self, paths):
            usable = [p for p in paths if p.usable]
            return min(usable, key=lambda p: (p.verdict, p.metric_ns), default=None)

    ours, theirs = run(scenario, seed=1), run(scenario, seed=1, policy=Cheapest())
    compare([ours], [theirs])

Only the choice of the primary is handed over. What comes before it (liveness, health,
verdicts) and behind it (backups, forwarding, the kernel's own failover) is the engine's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from patronus.engine.overlay import Overlay
from patronus.engine.preference import VERDICT
from patronus.engine.selection import Choice, Field, select


@dataclass(frozen=True, slots=True)
class PathView:
    """One candidate as a policy sees it."""

    transport: str
    via: str
    """Where the tunnel ends: the destination itself, or the site in between."""
    usable: bool
    """It is up and may carry this class."""
    verdict: int
    """0 keeps the class's SLA, 1 unknown, 2 breaks it."""
    grade: int
    """The engine's own rank before the metric; lower is better."""
    metric_ns: int
    """The engine's smoothed measure of badness; lower is better."""
    current: bool
    """It is in use now."""
    column: int
    """Its place among the candidates."""


class SelectionPolicy(Protocol):
    """Chooses one path for one (site, destination, class)."""

    def choose(self, paths: Sequence[PathView]) -> PathView | None:
        """Return one of the usable paths, or None for none of them."""


class PolicySelector:
    """Lets a policy choose primaries where the engine would."""

    def __init__(self, overlay: Overlay, policy: SelectionPolicy) -> None:
        self._overlay, self._policy = overlay, policy

    def __call__(self, field: Field, *, margin_ns: int, margin_ppm: int) -> Choice:
        """Choose for every pair; backups are taken by the engine's own ranking."""
        chosen = np.array(
            [self._ask(field, p) for p in range(len(field.incumbent))], dtype=np.int64
        )
        column = np.arange(len(field.rows))[:, None]
        # What was chosen ranks first; a pair that got nothing has nothing to choose from.
        asked = replace(
            field,
            grade=np.where(column == chosen, np.int64(-1), field.grade),
            usable=field.usable & (chosen >= 0),
            incumbent=np.full_like(chosen, -1),
        )
        return select(asked, margin_ns=margin_ns, margin_ppm=margin_ppm)

    def _ask(self, field: Field, pair: int) -> int:
        paths = self._paths(field, pair)
        if not any(path.usable for path in paths):
            return -1
        answer = self._policy.choose(paths)
        if answer is None:
            return -1
        if answer not in paths or not answer.usable:
            raise ValueError(f"{type(self._policy).__name__} chose a path that is not usable")
        return answer.column

    def _paths(self, field: Field, pair: int) -> list[PathView]:
        overlay, rows = self._overlay, field.rows[:, pair].tolist()
        return [
            PathView(
                transport=overlay.transports[overlay.transport[row]],
                via=overlay.sites[overlay.dst[row]],
                usable=bool(field.usable[column, pair]),
                verdict=_verdict(int(field.grade[column, pair])),
                grade=int(field.grade[column, pair]),
                metric_ns=int(field.metric[column, pair]),
                current=column == field.incumbent[pair],
                column=column,
            )
            for column, row in enumerate(rows)
            if row >= 0
        ]


def _verdict(grade: int) -> int:
    """Return the SLA verdict that a grade holds."""
    return max(0, grade) // VERDICT % 4
