"""What each site knows of the others: the last announcement it has received.

Only some sites matter to others beyond their own tunnels: transit sites (whom do
they reach directly, and how well?) and sites that announce a destination which
others announce too. These are the *announcers*. The content of an announcement
is stored once as a version; an observer holds the number of the version that it
received last, so two observers can know different things about one site.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.units import LONG_AGO

Bools = npt.NDArray[np.bool_]

_FIRST_CAPACITY: Final = 16


@dataclass(frozen=True, eq=False)
class Reach:
    """What one announcer says; every array has one element a destination."""

    announces: Bools
    """It announces the destination itself (its LAN side is up)."""
    usable: Bools
    """It reaches the destination over a direct tunnel that is up."""
    rtt_ns: I64
    jitter_ns: I64
    loss_ppm: I64
    """Of that tunnel; -1 where unknown."""

    def same(self, other: "Reach") -> bool:
        """Return whether two contents say the same."""
        mine = (self.announces, self.usable, self.rtt_ns, self.jitter_ns, self.loss_ppm)
        theirs = (other.announces, other.usable, other.rtt_ns, other.jitter_ns, other.loss_ppm)
        return all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


class News(NamedTuple):
    """What an announcement says that some observers did not know."""

    observers: I64
    lost: I64
    """Destinations that it no longer announces or reaches."""
    changed: I64
    """Those, and the ones that it announces or reaches anew."""


class Knowledge:
    """Versions of what announcers said, and who has received which."""

    def __init__(self, overlay: Overlay) -> None:
        shared = {s for d in overlay.destinations if len(d.sites) > 1 for s in d.sites}
        self.announcers = tuple(sorted(shared | set(overlay.transit)))
        sites, destinations = len(overlay.sites), len(overlay.destinations)
        self.slot: I32 = np.full(sites, -1, dtype=np.int32)
        """Position among the announcers by site, -1 for the others."""
        self.slot[list(self.announcers)] = np.arange(len(self.announcers))
        width = len(self.announcers) + 1  # the last column stands for those who say nothing
        self.version = np.full((sites, width), -1, dtype=np.int32)
        """Shape (observers, announcers): the version received last, -1 for none."""
        self.heard_ns = np.full((sites, width), LONG_AGO, dtype=np.int64)
        self._free: list[int] = []
        self._announces = np.zeros((0, destinations), dtype=np.bool_)
        self._usable = np.zeros((0, destinations), dtype=np.bool_)
        self._figures = np.zeros((0, destinations, 3), dtype=np.int64)
        self._grow(_FIRST_CAPACITY)

    def _grow(self, more: int) -> None:
        old, destinations = self._usable.shape
        self._free.extend(range(old + more - 1, old - 1, -1))
        self._announces = np.concatenate([self._announces, np.zeros((more, destinations), bool)])
        self._usable = np.concatenate([self._usable, np.zeros((more, destinations), bool)])
        figures = np.zeros((more, destinations, 3), dtype=np.int64)
        self._figures = np.concatenate([self._figures, figures])

    def store(self, reach: Reach) -> int:
        """Keep a content and return its version number; forgets what nobody holds."""
        if not self._free:
            used = set(np.unique(self.version).tolist())
            self._free = [v for v in range(len(self._usable) - 1, -1, -1) if v not in used]
            if len(self._free) < len(self._usable) // 2:
                self._grow(len(self._usable))
        version = self._free.pop()
        self._announces[version] = reach.announces
        self._usable[version] = reach.usable
        self._figures[version] = np.stack([reach.rtt_ns, reach.jitter_ns, reach.loss_ppm], axis=1)
        return version

    def learn(self, observers: I64, announcer: int, version: int, now_ns: int) -> list[News]:
        """Let some sites receive a version of an announcer (a site number).

        Returns:
            What is new to them besides figures, one element for each version that was known
            before.
        """
        slot = int(self.slot[announcer])
        before = self.version[observers, slot]
        news = []
        for old in np.unique(before).tolist():
            was = (
                (self._announces[old], self._usable[old])
                if old >= 0
                else (True, np.zeros_like(self._usable[version]))
            )
            now = self._announces[version], self._usable[version]
            lost = (was[0] & ~now[0]) | (was[1] & ~now[1])
            changed = (was[0] != now[0]) | (was[1] != now[1])
            news.append(
                News(observers[before == old], np.flatnonzero(lost), np.flatnonzero(changed))
            )
        self.version[observers, slot] = version
        self.heard_ns[observers, slot] = now_ns
        return news

    def repeat(self, observers: I64, announcer: int, now_ns: int) -> None:
        """Let some sites hear an announcer say again what they know."""
        self.heard_ns[observers, self.slot[announcer]] = now_ns

    def announces(self, observers: I64, sites: I64, destinations: I64) -> Bools:
        """Return whether each observer believes that a site announces a destination.

        A site whose announcement never came is believed: its tunnel is configured, and
        only a received withdrawal speaks against it. Arrays broadcast.
        """
        slot = self.slot[sites]
        version = self.version[observers, slot]
        believed: Bools = (version < 0) | self._announces[version, destinations]
        return believed

    def reaches(
        self, observers: I64, sites: I64, destinations: I64, *, since_ns: int
    ) -> tuple[Bools, I64]:
        """Return whether each observer knows a site to reach a destination directly.

        Announcements heard before ``since_ns`` are stale and count as unknown. The second
        value has a last axis of (rtt_ns, jitter_ns, loss_ppm).
        """
        slot = self.slot[sites]
        version = self.version[observers, slot]
        fresh = (version >= 0) & (self.heard_ns[observers, slot] >= since_ns)
        known: Bools = fresh & self._usable[version, destinations]
        return known, self._figures[version, destinations]
