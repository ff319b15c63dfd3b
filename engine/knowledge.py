"""What each site knows of the others: the last announcement it has received.

Only some sites matter to others beyond their own tunnels: transit sites (whom do
they reach directly, and how well?) and sites that announce a destination which
others announce too. These are the *announcers*. The content of an announcement
is stored once; an observer holds the number of the content that it received last,
so two observers can know different things about one site.

What was said is believed until something else is heard, but for transit it must
also be *fresh*: after some lost announcements (:meth:`Knowledge.age`) a site in
between counts as unknown until it is heard again.
"""

from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from patronus.engine.announcement import Announcement
from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.reach import Interpreter, Reach, nothing
from patronus.engine.selection import Bools
from patronus.engine.units import LONG_AGO
from patronus.engine.verdict import Figures, badness_ns

Array = TypeVar("Array", bound=npt.NDArray[Any])

_NOTHING: Final = 0
"""The content that is held of those who have not been heard."""

_FIRST_CAPACITY: Final = 16

_BEYOND_ALL: Final = 2**61
"""In place of an unknown figure where the worst is asked for."""

BADNESS_BITS: Final = 43
"""An offer is the badness of the rest of a way in so many bits, and its verdict above."""


class News(NamedTuple):
    """What an announcement says that some observers did not know, besides figures."""

    observers: I64
    lost: Bools
    """Shape (destinations, classes): what the site offered them and offers no more."""
    changed: Bools
    """Shape (destinations,): it offers something else there."""
    moved: Bools
    """Shape (destinations,): it tells other figures or verdicts of the way there."""


class Knowledge:
    """Contents of what announcers said, and who has received which."""

    def __init__(self, overlay: Overlay, policy: Policy, interpreter: Interpreter) -> None:
        self._site, self._interpreter = overlay.site_index, interpreter
        shared = {s for d in overlay.destinations if len(d.sites) > 1 for s in d.sites}
        self.announcers = tuple(sorted(shared | set(overlay.transit)))
        observers, destinations = overlay.deciding, len(overlay.destinations)
        classes = len(policy.classes)
        self.slot: I32 = np.full(len(overlay.sites), -1, dtype=np.int32)
        """Position among the announcers by site, -1 for the others."""
        self.slot[list(self.announcers)] = np.arange(len(self.announcers))
        width = len(self.announcers) + 1  # the last column stands for those who say nothing
        self.held: I32 = np.full((observers, width), _NOTHING, dtype=np.int32)
        """Shape (observers, announcers): the content received last."""
        self.heard_ns: I64 = np.full((observers, width), LONG_AGO, dtype=np.int64)
        """When anything was received last, ``LONG_AGO`` for never."""
        self.fresh: Bools = np.zeros((observers, width), dtype=np.bool_)
        """What was held is young enough to be believed of the ways beyond."""
        self._counter = np.zeros((observers, width), dtype=np.uint64)
        self._number: dict[tuple[int, int], int] = {}
        self._free: list[int] = []
        self._last = (-1, -1)
        """What was compared last: see :meth:`_news`."""
        nowhere = np.zeros((3, destinations), dtype=np.bool_)
        self._compared = (np.zeros((destinations, classes), dtype=np.bool_), *nowhere[1:])
        self._announces: Bools = np.zeros((0, destinations), dtype=np.bool_)
        self._usable: Bools = np.zeros((0, destinations, classes), dtype=np.bool_)
        self._figures: I64 = np.zeros((0, destinations, classes, 3), dtype=np.int64)
        self._verdict: I8 = np.zeros((0, destinations, classes), dtype=np.int8)
        self._worst: I64 = np.zeros((0, classes, 3), dtype=np.int64)
        self._offer: I64 = np.full((0, classes, destinations), -1, dtype=np.int64)
        self._grow(_FIRST_CAPACITY)
        # Before anything is heard a site is believed to announce what is configured.
        self._write(self._free.pop(), nothing(destinations, classes))
        self._announces[_NOTHING] = True

    # ------------------------------------------------------------ contents

    def _grow(self, more: int) -> None:
        old = len(self._usable)
        self._free.extend(range(old + more - 1, old - 1, -1))
        self._announces = _longer(self._announces, more)
        self._usable = _longer(self._usable, more)
        self._figures = _longer(self._figures, more)
        self._verdict = _longer(self._verdict, more)
        self._worst = _longer(self._worst, more)
        self._offer = _longer(self._offer, more)

    def _write(self, number: int, reach: Reach) -> None:
        self._last = (-1, -1)
        figures = np.stack([reach.rtt_ns, reach.jitter_ns, reach.loss_ppm], axis=-1)
        self._announces[number], self._usable[number] = reach.announces, reach.usable
        self._figures[number], self._verdict[number] = figures, reach.verdict
        told = np.where(figures < 0, _BEYOND_ALL, figures)
        worst = np.where(reach.usable[:, :, None], told, 0).max(axis=0, initial=0)
        # Every class asks for a round trip: an unknown one must not pass for a long one.
        worst[worst[:, 0] == _BEYOND_ALL, 0] = -1
        self._worst[number] = worst
        badness = badness_ns(Figures(reach.rtt_ns, reach.jitter_ns, reach.loss_ppm))
        offer = badness + (reach.verdict.astype(np.int64) << BADNESS_BITS)
        self._offer[number] = np.where(reach.usable, offer, -1).T

    def _stored(self, site: int, announcement: Announcement) -> int:
        """Return the number of an announcement's content."""
        key = site, announcement.version
        if key not in self._number:
            if not self._free:
                self._collect()
            self._number[key] = self._free.pop()
            self._write(self._number[key], self._interpreter.reach(announcement))
        return self._number[key]

    def _collect(self) -> None:
        """Forget the contents that nobody holds; make room where too few are left."""
        used = {_NOTHING, *np.unique(self.held).tolist()}
        self._number = {key: number for key, number in self._number.items() if number in used}
        self._free = [n for n in range(len(self._usable) - 1, -1, -1) if n not in used]
        if len(self._free) < len(self._usable) // 2:
            self._grow(len(self._usable))

    # ------------------------------------------------------------ who has received what

    def receive(self, observers: I64, announcement: Announcement, now_ns: int) -> list[News]:
        """Let some sites receive an announcement; replays and strangers are ignored.

        Returns:
            What is new to them, one element for each content that was held before.
        """
        site = self._site.get(announcement.origin, -1)
        slot, counter = int(self.slot[site]), np.uint64(announcement.counter)
        if site < 0 or slot < 0:
            return []
        new = self.heard_ns[observers, slot] == LONG_AGO
        observers = observers[new | (counter > self._counter[observers, slot])]
        before, was_fresh = self.held[observers, slot], self.fresh[observers, slot]
        number = self._stored(site, announcement)
        self._counter[observers, slot] = counter
        self.heard_ns[observers, slot] = now_ns
        self.fresh[observers, slot] = True
        self.held[observers, slot] = number
        known = 2 * before.astype(np.int64) + was_fresh
        return [
            self._news(observers[known == each], each, number)
            for each in np.unique(known).tolist()
            if each != 2 * number + 1
        ]

    def _news(self, observers: I64, known: int, number: int) -> News:
        """Compare a content with what was known: twice the old one, 1 more if it was fresh."""
        # Announcements come to some sites after the other, and mostly as the same news.
        if self._last != (known, number):
            self._last, self._compared = (known, number), self._compare(known, number)
        return News(observers, *self._compared)

    def _compare(self, known: int, number: int) -> tuple[Bools, Bools, Bools]:
        old, fresh = divmod(known, 2)
        was, now = self._usable[old] & bool(fresh), self._usable[number]
        had, has = self._announces[old], self._announces[number]
        lost = (was & ~now) | (had & ~has)[:, None]
        figures = (self._figures[old] != self._figures[number]).any(axis=(1, 2))
        moved = figures | (self._verdict[old] != self._verdict[number]).any(axis=1)
        return lost, (was != now).any(axis=1) | (had != has), moved

    def age(self, observers: I64, since_ns: int) -> tuple[I64, I64]:
        """Let what was heard before a time go stale; return the observers, and of whom it was."""
        stale = self.fresh[observers] & (self.heard_ns[observers] < since_ns)
        self.fresh[observers] &= ~stale
        place, slot = np.nonzero(stale)
        return observers[place], np.array(self.announcers, dtype=np.int64)[slot]

    def forget(self, observer: int) -> None:
        """Make a site know nothing of the others again."""
        self.held[observer] = _NOTHING
        self.heard_ns[observer] = LONG_AGO
        self.fresh[observer] = False

    # ------------------------------------------------------------ what they believe

    @property
    def believed(self) -> tuple[I32, I32, Bools, Bools, I64, I64, I64]:
        """What the methods after this one read.

        These are the slots by site, then by (observer, slot) the contents held and whether
        they are fresh, then by content what it announces, its offers, its figures and the
        worst of them.
        """
        told = self._announces, self._offer, self._figures, self._worst
        return self.slot, self.held, self.fresh, *told

    def announces(self, observers: I64, sites: I32 | I64, destinations: I64) -> Bools:
        """Return whether each observer believes that a site announces a destination.

        A site whose announcement never came is believed: its tunnel is configured, and
        only a received withdrawal speaks against it. Arrays broadcast.
        """
        believed: Bools = self._announces[self.held[observers, self.slot[sites]], destinations]
        return believed

    def content(self, observers: I64, sites: I32 | I64) -> I64:
        """Return the number of what each observer believes of a transit site; shapes broadcast.

        What is not fresh says nothing of the ways beyond.
        """
        at = observers * self.held.shape[1] + self.slot[sites]
        content: I64 = (self.held.ravel()[at] * self.fresh.ravel()[at]).astype(np.int64)
        return content

    def offers(self, content: I64, destinations: I64, *, number: int) -> I64:
        """Return what contents offer a class for destinations, -1 for nothing; shapes broadcast.

        Else it is the verdict in force there, shifted by ``BADNESS_BITS``, plus the badness.
        """
        _, classes, width = self._offer.shape
        at = content * (classes * width)
        at += number * width + destinations
        offer: I64 = self._offer.ravel().take(at)
        return offer

    def figures(self, content: I64, destinations: I64, *, number: int) -> I64:
        """Return what contents tell; a last axis is (rtt_ns, jitter_ns, loss_ppm)."""
        told: I64 = self._figures[content, destinations, number]
        return told

    def worst(self, content: I64, *, number: int) -> I64:
        """Return the worst figures of any destination that a content offers.

        A last axis is that of :meth:`figures`. Unknown jitter and loss count as worse than all
        known ones; the round trip is -1 where one of them is unknown.
        """
        worst: I64 = self._worst[content, number]
        return worst


def _longer(array: Array, more: int) -> Array:
    longer: Any = np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=array.dtype)])
    kept: Array = longer
    return kept
