"""What a site says of the places beyond it, in the overlay's numbers and on the wire.

Inside an engine sites, destinations and classes are numbers; an announcement names them,
since two sites may run different versions of a configuration. What one of them does not
know is left out: a destination that is not told is not reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from patronus.engine.announcement import Announcement
from patronus.engine.liveness import I8
from patronus.engine.overlay import I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.verdict import UNKNOWN

_Names = tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Reach:
    """What one site says; ``announces`` by destination, the rest by (destination, class)."""

    announces: Bools
    """It announces the destination itself (its LAN side is up)."""
    usable: Bools
    """It would send the class over a direct tunnel that is up."""
    rtt_ns: I64
    jitter_ns: I64
    loss_ppm: I64
    """Of that tunnel; -1 where unknown."""
    verdict: I8
    """Of that tunnel, in force at that site."""

    def same(self, other: "Reach") -> bool:
        """Return whether two contents say the same."""
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(Reach)
        )

    def loses(self, other: "Reach") -> bool:
        """Return whether the other content offers less than this one."""
        less = (self.announces & ~other.announces).any() | (self.usable & ~other.usable).any()
        return bool(less)


def nothing(destinations: int, classes: int) -> Reach:
    """Return the content of a site that offers nothing."""
    shape = destinations, classes
    figures = np.full((3, *shape), -1, dtype=np.int64)
    announces, usable = np.zeros(destinations, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    rtt_ns, jitter_ns, loss_ppm = figures
    verdict = np.full(shape, UNKNOWN, dtype=np.int8)
    return Reach(announces, usable, rtt_ns, jitter_ns, loss_ppm, verdict)


class Interpreter:
    """Turns contents into announcements and back."""

    def __init__(self, overlay: Overlay, policy: Policy) -> None:
        self._overlay = overlay
        destinations = [d.name for d in overlay.destinations]
        classes = [c.name for c in policy.classes]
        self._shape = len(destinations), len(classes)
        self._destinations, self._classes = tuple(sorted(destinations)), tuple(sorted(classes))
        # Lists of names repeat from announcement to announcement.
        self._places = lru_cache(maxsize=256)(_Lexicon(destinations).places)
        self._class_places = lru_cache(maxsize=16)(_Lexicon(classes).places)

    def announcement(
        self, site: int, reach: Reach, *, counter: int, version: int, now_ns: int
    ) -> Announcement:
        """Put a content into words."""
        number, _ = self._places(self._destinations)
        own = reach.announces[number].tolist()
        at = np.ix_(number, self._class_places(self._classes)[0])
        return Announcement(
            origin=self._overlay.sites[site],
            counter=counter,
            version=version,
            sent_ns=now_ns,
            lan_up=any(own),
            destinations=tuple(d for d, mine in zip(self._destinations, own, strict=True) if mine),
            classes=self._classes,
            targets=self._destinations,
            usable=reach.usable[at],
            rtt_ns=reach.rtt_ns[at],
            jitter_ns=reach.jitter_ns[at],
            loss_ppm=reach.loss_ppm[at].astype(np.int32),
            verdict=reach.verdict[at],
        )

    def reach(self, announcement: Announcement) -> Reach:
        """Understand the words of an announcement, as far as they are known here."""
        a = announcement
        told = nothing(*self._shape)
        told.announces[self._places(a.destinations)[0]] = a.lan_up
        number, place = self._places(a.targets)
        class_number, class_place = self._class_places(a.classes)
        to, at = np.ix_(number, class_number), np.ix_(place, class_place)
        told.usable[to] = a.usable[at]
        told.rtt_ns[to] = a.rtt_ns[at]
        told.jitter_ns[to] = a.jitter_ns[at]
        told.loss_ppm[to] = a.loss_ppm[at]
        told.verdict[to] = a.verdict[at]
        return told


class _Lexicon:
    """Numbers of names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._number = {name: number for number, name in enumerate(names)}

    def places(self, names: _Names) -> tuple[I64, I64]:
        """Return the numbers of those names that are known, and where they stand."""
        known = [(self._number[n], at) for at, n in enumerate(names) if n in self._number]
        number, place = np.array(known, dtype=np.int64).reshape(-1, 2).T
        return number, place
