"""Who else is there: packets that meet another fault say nothing about this one.

Whether a packet met another fault is known from the timeline, as the person who
injects faults knows it; what became of the packet is only ever counted.
"""

from typing import Final, NamedTuple

import numpy as np

from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.selection import Bools
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

    def present(self, ways: Ways, sent_ns: I64, *, lans: bool) -> I64:
        """Return how many faults each packet meets; shape (rows, packets).

        Args:
            ways: which way the packets of each row take.
            sent_ns: shape (rows, packets).
            lans: count LANs that are down, too.
        """
        total = np.zeros(sent_ns.shape, dtype=np.int64)
        if not sent_ns.size:
            return total
        low, high = int(sent_ns.min()), int(sent_ns.max())
        for at in np.flatnonzero((self._from <= high) & (self._until > low)).tolist():
            hit = self.hits(self._met[at], ways, lans=lans)
            if hit.any():
                now = (sent_ns >= self._from[at]) & (sent_ns < self._until[at])
                total += hit[:, None] & now
        return total + self._mute(ways.rows, sent_ns, low, high)

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

    def crowd(self, ways: Ways, from_ns: int, until_ns: int, *, lans: bool) -> I64:
        """Return how many faults each way can meet within a time."""
        total = np.zeros(len(ways.rows), dtype=np.int64)
        seen: set[str] = set()
        for at in np.flatnonzero((self._from < until_ns) & (self._until > from_ns)).tolist():
            occurrence = self._met[at]
            if occurrence.fault.name not in seen:
                seen.add(occurrence.fault.name)
                total += self.hits(occurrence, ways, lans=lans)
        mute = self._mutes
        muted = mute.row[(mute.from_ns < until_ns) & (mute.until_ns > from_ns)]
        return total + np.isin(ways.rows, muted)

    def hits(self, occurrence: Occurrence, ways: Ways, *, lans: bool) -> Bools:
        """Tell which ways lead through what an occurrence hits."""
        if occurrence.links:
            hit = np.isin(ways.links, self._links[occurrence.fault.name])
            found: Bools = np.logical_or.reduce(hit, axis=1)
            return found
        behind: Bools = np.isin(self._overlay.dst[ways.rows], occurrence.sites)
        return behind if lans else np.zeros_like(behind)

    def _mute(self, rows: I64, sent_ns: I64, low: int, high: int) -> I64:
        total = np.zeros(sent_ns.shape, dtype=np.int64)
        mute = self._mutes
        for at in np.flatnonzero((mute.from_ns <= high) & (mute.until_ns > low)).tolist():
            hit = np.flatnonzero(rows == mute.row[at])
            now = (sent_ns[hit] >= mute.from_ns[at]) & (sent_ns[hit] < mute.until_ns[at])
            total[hit] += now
        return total
