"""Exposures: whom a fault would harm if nothing moved, and when each was saved.

An exposure is (fault occurrence, site, destination, class). It opens when the fault
begins, if the path in use meets it and another one does not. It is *switched* at the
first instant at which the dataplane would send on a path that works, and *failed
over* at the first at which the engine's own choice is installed on one. A fault that
ends makes the old path work again; that counts, too.

A path works if less than half is lost on it, and for a fault that harms by breaking
the class's SLA, if it keeps that SLA. This is judged on the wire's truth.
"""

from dataclasses import dataclass, field

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.units import NEVER


@dataclass(slots=True)
class Exposure:
    """One row of the table of failovers, as it fills."""

    occurrence: int
    t0_ns: int
    entry: int
    row_before: int
    hard: bool
    """It loses everything; otherwise it breaks the SLA."""
    stream: int
    end_ns: int = NEVER
    """When the fault ends."""
    row_after: int = -1
    moved_by: str = ""
    switch_ns: int = NEVER
    failover_ns: int = NEVER
    closed: bool = False

    @property
    def settled_ns(self) -> int:
        """When nothing more can be learnt of it, ``NEVER`` while something can."""
        if NEVER in {self.switch_ns, self.failover_ns}:
            return NEVER // 2
        return self.t0_ns + max(self.switch_ns, self.failover_ns)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instant at which an entry's path may have begun to work."""

    at_ns: int
    entry: int
    row: int
    kind: str
    """``kernel`` or ``engine``: who moved the packets; ``ack``: the engine's choice is
    installed; ``end``: a fault has ended under the path in use."""


@dataclass
class Ledger:
    """All exposures of a run, and which of them wait."""

    all: list[Exposure] = field(default_factory=list)
    _waiting: dict[int, list[Exposure]] = field(default_factory=dict)
    """By entry: those not yet switched or not yet failed over."""

    def open(self, exposure: Exposure) -> None:
        """Add an exposure."""
        self.all.append(exposure)
        self._waiting.setdefault(exposure.entry, []).append(exposure)

    def waits(self, entry: int) -> bool:
        """Tell whether a change of this entry may matter."""
        return entry in self._waiting

    def waiting_entries(self) -> I64:
        """Return the entries of exposures that are not settled, ascending."""
        return np.array(sorted(self._waiting), dtype=np.int64)

    def waiting(self, entry: int) -> list[Exposure]:
        """Return the unsettled exposures of an entry."""
        return self._waiting.get(entry, [])

    def settle(self, candidates: list[Candidate], works: "Works") -> None:
        """Go through candidates in order of time.

        Args:
            candidates: ordered by time, those of waiting entries only.
            works: tells of each (candidate, exposure) whether the path works.
        """
        for candidate in candidates:
            for exposure in list(self._waiting.get(candidate.entry, [])):
                if candidate.at_ns >= exposure.t0_ns and works.at(candidate, exposure):
                    self._mark(exposure, candidate)

    def _mark(self, exposure: Exposure, candidate: Candidate) -> None:
        took = candidate.at_ns - exposure.t0_ns
        if candidate.kind != "ack" and exposure.switch_ns == NEVER:
            exposure.switch_ns, exposure.row_after = took, candidate.row
            exposure.moved_by = "" if candidate.kind == "end" else candidate.kind
        if candidate.kind in ("ack", "end") and exposure.failover_ns == NEVER:
            exposure.failover_ns = took
            if exposure.switch_ns == NEVER:
                exposure.switch_ns, exposure.row_after = took, candidate.row
                exposure.moved_by = "engine" if candidate.kind == "ack" else ""
        if exposure.switch_ns != NEVER and exposure.failover_ns != NEVER:
            waiting = self._waiting[exposure.entry]
            waiting.remove(exposure)
            if not waiting:
                del self._waiting[exposure.entry]


class Works:
    """Truth for candidates, worked out for all of a slot at once.

    ``hard[i]`` says whether less than half is lost at candidate ``i``, ``sla[i]``
    whether it keeps the SLA of its class besides.
    """

    def __init__(self, candidates: list[Candidate], hard: list[bool], sla: list[bool]) -> None:
        self._hard = {id(c): h for c, h in zip(candidates, hard, strict=True)}
        self._sla = {id(c): s for c, s in zip(candidates, sla, strict=True)}

    def at(self, candidate: Candidate, exposure: Exposure) -> bool:
        """Tell whether the candidate's path works for an exposure."""
        alive = self._hard[id(candidate)]
        return alive and (exposure.hard or self._sla[id(candidate)])
