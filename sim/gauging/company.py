"""Who else is there: packets that meet another fault say nothing about this one.

Whether a packet met another fault is known from the timeline, as the person who
injects faults knows it; what became of the packet is only ever counted.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.selection import Bools
from patronus.sim.faults.kinds import KINDS
from patronus.sim.faults.outages import mutes
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence, Timeline

SILENCERS: Final = (
    FaultKind.SITE_CRASH,
    FaultKind.AGENT_KILL,
    FaultKind.AGENT_PAUSE,
    FaultKind.CONTROLLER_PARTITION,
)
"""Kinds that keep a site from hearing and from being heard."""


_TAKE: Final = frozenset(k for k, row in KINDS.items() if row.black) | {
    FaultKind.LOSS,
    FaultKind.BURST_LOSS,
    FaultKind.CORRUPTION,
    FaultKind.RATE,
}
_HOLD_UP: Final = frozenset(
    {FaultKind.DELAY, FaultKind.JITTER, FaultKind.REORDERING, FaultKind.RATE}
)

EVERY: Final = frozenset(FaultKind) - {FaultKind.LAN_DOWN}

MEDDLERS: Final[Mapping[str, frozenset[FaultKind]]] = {
    "loss_ppm": _TAKE,
    "corrupted_ppm": frozenset({FaultKind.CORRUPTION}),
    "duplicated_ppm": frozenset({FaultKind.DUPLICATION}),
    "reordered_ppm": frozenset({FaultKind.REORDERING, FaultKind.JITTER}),
    "owd_ns": _HOLD_UP,
    "owd_spread_ns": _HOLD_UP,
    "largest_bytes": frozenset({FaultKind.MTU_BLACKHOLE}),
    "delivered_bps": frozenset({FaultKind.RATE}),
    "clock_ns": _HOLD_UP,
}
"""Which kinds have a part in a quantity. What only takes packets away does not change the
share or the delay of those that are left."""


class Ways(NamedTuple):
    """Some rows with the links that they cross."""

    rows: I64
    links: I32
    """Shape (rows, width)."""


class Company:
    """The faults that packets can meet."""

    def __init__(self, timeline: Timeline, overlay: Overlay) -> None:
        self._overlay = overlay
        self._met = [
            o for o in timeline.occurrences if o.links or o.fault.kind is FaultKind.LAN_DOWN
        ]
        self._from = np.array([o.start_ns for o in self._met], dtype=np.int64)
        self._until = np.array([o.end_ns for o in self._met], dtype=np.int64)
        self._links = {o.fault.name: np.array(o.links, dtype=np.int64) for o in self._met}
        self._mutes = mutes(timeline, overlay)
        self._silencers = [o for o in timeline.occurrences if o.fault.kind in SILENCERS]

    def present(self, ways: Ways, sent_ns: I64, kinds: frozenset[FaultKind]) -> I64:
        """Return how many faults of some kinds each packet meets; shape (rows, packets).

        Args:
            ways: which way the packets of each row take.
            sent_ns: shape (rows, packets).
            kinds: those that count.
        """
        total = np.zeros(sent_ns.shape, dtype=np.int64)
        if not sent_ns.size:
            return total
        low, high = int(sent_ns.min()), int(sent_ns.max())
        for at in hits((self._from <= high) & (self._until > low)).tolist():
            if self._met[at].fault.kind not in kinds:
                continue
            hit = self.hits(self._met[at], ways)
            if hit.any():
                now = (sent_ns >= self._from[at]) & (sent_ns < self._until[at])
                total += hit[:, None] & now
        if FaultKind.REKEY_STORM in kinds:
            total += self._mute(ways.rows, sent_ns, low, high)
        return total

    def silenced(self, now_ns: int) -> set[int]:
        """Return the sites that cannot hear, or do nothing about it."""
        now = [o for o in self._silencers if o.start_ns <= now_ns < o.end_ns]
        return {site for occurrence in now for site in occurrence.sites}

    def silencers(self, mine: Occurrence) -> list[Occurrence]:
        """Return what else silences any of an occurrence's sites, in order of time."""
        return [
            o
            for o in self._silencers
            if o.fault.name != mine.fault.name and set(o.sites) & set(mine.sites)
        ]

    def crowd(self, ways: Ways, from_ns: int, until_ns: int, kinds: frozenset[FaultKind]) -> I64:
        """Return how many faults of some kinds each way can meet within a time."""
        total = np.zeros(len(ways.rows), dtype=np.int64)
        seen: set[str] = set()
        for at in hits((self._from < until_ns) & (self._until > from_ns)).tolist():
            occurrence = self._met[at]
            if occurrence.fault.kind in kinds and occurrence.fault.name not in seen:
                seen.add(occurrence.fault.name)
                total += self.hits(occurrence, ways)
        if FaultKind.REKEY_STORM not in kinds:
            return total
        mute = self._mutes
        muted = mute.row[(mute.from_ns < until_ns) & (mute.until_ns > from_ns)]
        return total + np.isin(ways.rows, muted)

    def hits(self, occurrence: Occurrence, ways: Ways) -> Bools:
        """Tell which ways lead through what an occurrence hits."""
        if occurrence.links:
            hit = np.isin(ways.links, self._links[occurrence.fault.name])
            found: Bools = np.logical_or.reduce(hit, axis=1)
            return found
        behind: Bools = np.isin(self._overlay.dst[ways.rows], occurrence.sites)
        return behind

    def _mute(self, rows: I64, sent_ns: I64, low: int, high: int) -> I64:
        total = np.zeros(sent_ns.shape, dtype=np.int64)
        mute = self._mutes
        for at in hits((mute.from_ns <= high) & (mute.until_ns > low)).tolist():
            hit = hits(rows == mute.row[at])
            now = (sent_ns[hit] >= mute.from_ns[at]) & (sent_ns[hit] < mute.until_ns[at])
            total[hit] += now
        return total
