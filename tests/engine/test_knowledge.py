"""Knowledge against drawers of letters: replays, staleness, recycling, and who knows what."""

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import knowledge as kernel
from patronus.engine.announcement import Announcement
from patronus.engine.policy import Policy, TrafficClass
from patronus.engine.reach import Interpreter
from tests.mutants.harness import caught, mutant
from tests.oracles.knowledge import Cell, Drawer, Letter, badness_ns
from tests.oracles.overlays import SITES, Plan

PLAN = Plan(4, 1, ((0, 1, 0), (1, 2, 0), (2, 3, 0)), shared=((1, 3),), transit=(0,))
"""The first site carries, the second and last one share a destination; the third says nothing."""

OVERLAY = PLAN.build()
ANNOUNCERS = (0, 1, 3)
CLASSES = ("bulk", "voice")
POLICY = Policy(classes=tuple(TrafficClass(name) for name in CLASSES))
PLACES = [destination.name for destination in OVERLAY.destinations]
ORDER = sorted(range(len(PLACES)), key=PLACES.__getitem__)
"""Destinations in the order in which an announcement names them."""

CELLS: tuple[Cell, ...] = (
    (True, 5, 5, 5, 0), (False, -1, -1, -1, 1), (True, 10**6, 5, -1, 2), (False, 5, 5, 5, 0),
    (True, 0, 10**6, 0, 1), (True, -1, 0, 10**6, 0),
)  # fmt: skip
CONTENT = st.integers(0, 10_000).map(lambda n: n * 44_444_444_443 % 12 ** (2 * len(PLACES)))
"""Twelve choices for each destination and class: one of the cells, and whether it is announced."""

WHO = st.sampled_from([(0, 1, 2, 3), (0, 1, 2, 3), (1, 2), (0,), (3,), ()])
STEP = st.one_of(
    # Mostly news: who hears it, of whom (4: a stranger), counter, version.
    *[
        st.tuples(
            st.just("hear"),
            WHO,
            st.sampled_from([0, 0, 1, 1, 2, 3, 4]),
            st.integers(0, 9),
            st.integers(1, 5),
        )
    ]
    * 4,
    *[st.tuples(st.just("age"), WHO, st.integers(-2, 2))] * 2,
    st.tuples(st.just("forget"), st.integers(0, 3)),
)


class Life(NamedTuple):
    contents: list[int]
    steps: list[tuple[Any, ...]]


LIVES = st.builds(Life, st.lists(CONTENT, min_size=4, max_size=4), st.lists(STEP, max_size=20))


AGAIN = Life(
    [n * 44_444_444_443 % 12 ** (2 * len(PLACES)) for n in (11, 222, 3333, 4444)],
    [("hear", (0, 1, 2, 3), 1, n, n) for n in (1, 2, 3, 4)] + [("hear", (0,), 1, 5, 1)],
)
"""A content that was dropped from the store is told again."""


def announcement(origin: str, letter: Letter, version: int) -> Announcement:
    cells = np.array([letter.cells[d] for d in ORDER], dtype=np.int64)
    announced = tuple(PLACES[d] for d in ORDER if letter.announces[d])
    return Announcement(
        origin, letter.counter, version, 0, lan_up=True, destinations=announced, classes=CLASSES,
        targets=tuple(PLACES[d] for d in ORDER), usable=cells[:, :, 0].astype(np.bool_),
        rtt_ns=cells[:, :, 1], jitter_ns=cells[:, :, 2],
        loss_ppm=cells[:, :, 3].astype(np.int32), verdict=cells[:, :, 4].astype(np.int8),
    )  # fmt: skip


class Sites:
    """Four sites in the kernel, and a drawer for each pair of them."""

    def __init__(self, module: ModuleType, life: Life) -> None:
        self.life = life
        self.knowledge = module.Knowledge(OVERLAY, POLICY, Interpreter(OVERLAY, POLICY))
        self.drawers = {
            (observer, site): Drawer(len(PLACES), len(CLASSES))
            for observer in range(4)
            for site in range(4)
        }

    def letter(self, site: int, counter: int, version: int) -> Letter:
        content, announces, cells = self.life.contents[(site + version) % 4], [], []
        for _ in PLACES:
            content, one = divmod(content, 12)
            content, other = divmod(content, 12)
            announces.append(one < 6)
            cells.append((CELLS[one % 6], CELLS[other % 6]))
        return Letter(counter, tuple(announces), tuple(cells))

    def hear(self, now: int, who: tuple[int, ...], site: int, counter: int, version: int) -> None:
        letter = self.letter(site, counter, version)
        told = announcement((*SITES[:4], "nobody")[site], letter, version)
        found = self.knowledge.receive(np.array(who, dtype=np.int64), told, now)
        news = [(o, n) for n in found for o in n.observers.tolist()]
        assert len(dict(news)) == len(news)
        for observer in range(4):
            lost, changed = set[tuple[int, ...]](), set[int]()
            for one in (n for o, n in news if o == observer):
                lost = set(zip(*(x.tolist() for x in np.nonzero(one.lost)), strict=True))
                changed = set(np.flatnonzero(one.changed).tolist())
            if site in ANNOUNCERS and observer in who:
                expected = self.drawers[observer, site].hear(letter, now)
                assert (lost, changed) == expected
            else:
                assert not lost | changed

    def age(self, who: tuple[int, ...], since: int) -> None:
        found = self.knowledge.age(np.array(who, dtype=np.int64), since)
        stale = [(o, s) for o in who for s in range(4) if self.drawers[o, s].age(since)]
        assert list(zip(*(x.tolist() for x in found), strict=True)) == stale

    def forget(self, observer: int) -> None:
        self.knowledge.forget(observer)
        for site in range(4):
            self.drawers[observer, site].forget()

    def agree(self) -> None:
        """Every belief of every site is that of its drawers."""
        axes = (range(4), range(4), range(len(PLACES)))
        observers, sites, places = np.meshgrid(*axes, indexing="ij")
        believed = self.knowledge.announces(observers, sites, places)
        for number in range(len(CLASSES)):
            content = self.knowledge.content(observers[:, :, 0], sites[:, :, 0])
            told = np.broadcast_to(content[:, :, None], observers.shape)
            offers = self.knowledge.offers(told, places, number=number)
            figures = self.knowledge.figures(told, places, number=number)
            worst = self.knowledge.worst(content, number=number)
            for (o, s), drawer in self.drawers.items():
                cells = [row[number] for row in drawer.letter.cells]
                assert believed[o, s].tolist() == list(drawer.letter.announces)
                offered = [drawer.fresh and cell[0] for cell in cells]
                assert (offers[o, s] >= 0).tolist() == offered
                verdict = (offers[o, s] >> kernel.BADNESS_BITS).tolist()
                badness = (offers[o, s] & ((1 << kernel.BADNESS_BITS) - 1)).tolist()
                for place, cell in enumerate(cells):
                    if offered[place]:
                        assert verdict[place] == cell[4]
                        assert badness[place] == badness_ns(cell)
                if drawer.fresh:
                    assert figures[o, s].tolist() == [list(cell[1:4]) for cell in cells]
                    assert worst[o, s].tolist() == drawer.worst(number)


def live(module: ModuleType, life: Life) -> None:
    sites = Sites(module, life)
    for now, (what, *details) in enumerate(life.steps):
        if what == "hear":
            sites.hear(now, *details)
        elif what == "age":
            sites.age(details[0], now + details[1])
        else:
            sites.forget(*details)
    sites.agree()


@given(LIVES)
def test_each_site_believes_what_its_last_letters_say(life: Life) -> None:
    """Replays, strangers, staleness and lost memories: every belief is that of the drawers."""
    live(kernel, life)


def test_room_is_used_again() -> None:
    """A site that says something new fifty times takes the room of a few contents."""
    life = Life(AGAIN.contents, [("hear", (0, 3), 1, n, n) for n in range(1, 51)])
    live(kernel, life)
    sites = Sites(kernel, life)
    for now, (_, *details) in enumerate(life.steps):
        sites.hear(now, *details)
    assert sites.knowledge.held.max() < 16


SMALL = "_FIRST_CAPACITY"
"""The room for contents at first, made so small that short lives fill it."""


@given(LIVES | st.just(AGAIN))
def test_contents_may_be_stored_anywhere(life: Life) -> None:
    """With room for one content at first the store grows, is used again, and mixes up nothing."""
    live(mutant(kernel, f"{SMALL}: Final = 16", f"{SMALL}: Final = 2"), life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("new | (counter > self._counter", "new | (counter >= self._counter"),
        ("observers = observers[new | (", "observers = observers[~new & ("),
        ("if site < 0 or slot < 0:", "if site < 0:"),
        ("self.fresh[observers, slot] = True", "pass"),
        ("self.heard_ns[observers, slot] = now_ns", "pass"),
        ("self._usable[old] & bool(fresh)", "self._usable[old]"),
        ("self._last != (known, number)", "self._last == (-1, -1)"),
        ("(was & ~now) | (had & ~has)[:, None]", "was & ~now"),
        ("(was != now).any(axis=1) | (had != has)", "(was & ~now).any(axis=1) | (had != has)"),
        ("< since_ns)", "<= since_ns)"),
        ("self.fresh[observers] &= ~stale", "pass"),
        ("self.heard_ns[observer] = LONG_AGO", "pass"),
        ("self.fresh[observer] = False", "pass"),
        ("self.held[observer] = _NOTHING", "pass"),
        ("self._announces[_NOTHING] = True", "pass"),
        (" * self.fresh.ravel()[at]", ""),
        ("(reach.verdict.astype(np.int64) << BADNESS_BITS)", "reach.verdict.astype(np.int64)"),
        ("np.where(reach.usable, offer, -1).T", "offer.T"),
        ("number * width + destinations", "destinations"),
        ("np.where(figures < 0, _BEYOND_ALL, figures)", "figures"),
        ("np.where(reach.usable[:, :, None], told, 0)", "told"),
        ("worst[worst[:, 0] == _BEYOND_ALL, 0] = -1", "pass"),
        ("key = site, announcement.version", "key = 0, announcement.version"),
        (
            "shared = {s for d in overlay.destinations if len(d.sites) > 1",
            "shared = {s for d in ()",
        ),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIVES, lambda life: live(broken, life))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if n not in used]", "]"),
        ("used = {_NOTHING, *np.unique(self.held).tolist()}", "used = {_NOTHING}"),
        (
            "number for key, number in self._number.items() if number in used",
            "number for key, number in self._number.items()",
        ),
    ],
)
def test_the_property_catches_a_store_that_mixes_up(old: str, new: str) -> None:
    """A small store that overwrites what is held, or looks up what is gone, is noticed."""
    broken = mutant(kernel, old, new)
    vars(broken)[SMALL] = 2
    assert caught(LIVES | st.just(AGAIN), lambda life: live(broken, life))


def test_what_nobody_says_is_believed() -> None:
    """A site that makes no announcements is believed to announce, but to reach nothing."""
    knowledge = kernel.Knowledge(OVERLAY, POLICY, Interpreter(OVERLAY, POLICY))
    assert knowledge.announcers == ANNOUNCERS
    one, silent, place = (np.array([n], dtype=np.int64) for n in (0, 2, 2))
    assert knowledge.announces(one, silent, place).all()
    content = knowledge.content(one, silent)
    assert (knowledge.offers(content, place, number=0) < 0).all()
