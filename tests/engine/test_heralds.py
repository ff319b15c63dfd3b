"""Announcements against sentences written down from what the site knows, and their timing."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import heralds as kernel
from patronus.engine.announcement import Announcement
from patronus.engine.forwarding import NO_ROW
from patronus.engine.parts import assemble
from patronus.engine.policy import Policy, TrafficClass
from patronus.engine.reach import Interpreter
from patronus.engine.selection import select
from patronus.engine.units import SECOND
from tests.mutants.harness import caught, mutant
from tests.oracles.heralds import Content, Herald, Tunnel, content
from tests.oracles.overlays import SITES, Plan

PLAN = Plan(
    4, 1, ((0, 1, 0), (0, 2, 0), (0, 3, 0), (1, 2, 0), (1, 3, 0)), shared=((1, 3),), transit=(0,)
)
"""The third site announces nothing that others need."""

OVERLAY = PLAN.build()
HOMES = {d: PLAN.homes(d) for d in PLAN.destinations}
PLACES = [destination.name for destination in OVERLAY.destinations]
CLASSES = ("bulk", "voice")
POLICY = Policy(classes=tuple(TrafficClass(name) for name in CLASSES), announcement_ns=2 * SECOND)
ANNOUNCERS = (0, 1, 3)
FIGURE = st.sampled_from([-1, 3, 4])

CHANGE = st.one_of(
    st.tuples(st.just("primary"), st.integers(0, 39), st.integers(-1, 5)),
    st.tuples(st.just("state"), st.integers(0, 9), st.sampled_from([0, 1, 2, 2, 3])),
    st.tuples(st.just("drained"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("told"), st.integers(0, 9), st.tuples(FIGURE, FIGURE, FIGURE)),
    st.tuples(st.just("verdict"), st.integers(0, 9), st.tuples(*[st.integers(0, 2)] * 2)),
    st.tuples(st.just("lan"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("hears"), st.integers(0, 3), st.integers(0, 31)),
)
WAITS = st.sampled_from([0, SECOND, 2 * SECOND - 1, 2 * SECOND])
TURN = st.tuples(
    st.lists(CHANGE, max_size=3),
    st.sampled_from(["speak", "speak", "withdraw"]),
    st.sampled_from([(0, 1, 2, 3), (0, 1, 2, 3), (1, 2), (3,)]),
    WAITS,
)
LIVES = st.lists(TURN, max_size=8)
"""Changes, then who is to speak or to withdraw, and the time that has passed."""

Life = list[tuple[list[tuple[str, int, Any]], str, tuple[int, ...], int]]


class Town:
    """The engine's parts, changed by hand, and what an observer would write down of them."""

    def __init__(self, module: ModuleType) -> None:
        self.parts = assemble(OVERLAY, POLICY, fates=None, sink=None, selector=select)
        parts = self.parts
        parts.tunnels.state[:] = 3
        parts.ranking.told[:] = 5
        space = parts.steering.space
        for entry in range(space.entries):
            site, destination, _ = space.key(entry)
            direct = [
                r for r, (a, b, _) in enumerate(PLAN.rows) if a == site and b in HOMES[destination]
            ]
            parts.steering.wanted.rows[entry, 0] = min(direct, default=NO_ROW)
        self.heralds = module.Heralds(
            POLICY,
            interpreter=Interpreter(OVERLAY, POLICY),
            steering=parts.steering,
            tunnels=parts.tunnels,
            ranking=parts.ranking,
            knowledge=parts.knowledge,
        )
        self.memory = {site: Herald(POLICY.announcement_ns) for site in ANNOUNCERS}
        self.announced = dict.fromkeys(range(4), 31)
        self.counter = 0

    def change(self, what: str, which: int, value: Any) -> None:
        parts = self.parts
        if what == "primary":
            own = np.flatnonzero(OVERLAY.src == which // 10)
            row = NO_ROW if value < 0 else own[value % len(own)]
            parts.steering.wanted.rows[which, 0] = row
        elif what == "told":
            parts.ranking.told[:, which] = value
        elif what == "verdict":
            parts.ranking.verdict[:, which] = value
        elif what == "lan":
            self.heralds.lan_up[which] = value
        elif what == "hears":
            self.hear(which, value)
        else:
            getattr(parts.tunnels, what)[which] = value

    def hear(self, observer: int, announced: int) -> None:
        """Let one site hear what the second site announces."""
        self.counter += 1
        self.announced[observer] = announced
        empty = np.zeros((0, 0), dtype=np.int64)
        names = sorted(p for d, p in enumerate(PLACES) if announced >> d & 1)
        told = Announcement(
            SITES[1], self.counter, self.counter, 0, lan_up=True, destinations=tuple(names),
            classes=(), targets=(), usable=empty.astype(np.bool_), rtt_ns=empty, jitter_ns=empty,
            loss_ppm=empty.astype(np.int32), verdict=empty.astype(np.int8),
        )  # fmt: skip
        self.parts.knowledge.receive(np.array([observer], dtype=np.int64), told, 0)

    def truth(self, site: int) -> Content:
        """Return what the site can say."""
        space, primaries = self.parts.steering.space, {}
        for destination in HOMES:
            for number in range(len(CLASSES)):
                row = int(self.parts.steering.wanted.rows[
                    space.index(site, destination, number), 0
                ])  # fmt: skip
                primaries[destination, number] = None if row == NO_ROW else self.tunnel(row)
        return content(
            site,
            HOMES,
            primaries,
            lan_up=bool(self.heralds.lan_up[site]),
            believes=lambda end, d: end != 1 or bool(self.announced[site] >> d & 1),
        )

    def tunnel(self, row: int) -> Tunnel:
        tunnels, ranking = self.parts.tunnels, self.parts.ranking
        rtt, jitter, loss = ranking.told[:, row].tolist()
        return Tunnel(
            int(OVERLAY.dst[row]),
            int(tunnels.state[row]),
            bool(tunnels.drained[row]),
            (rtt, jitter, loss),
            tuple(ranking.verdict[:, row].tolist()),
        )

    def turn(self, verb: str, sites: tuple[int, ...], now_ns: int) -> None:
        said = getattr(self.heralds, verb)(sites, now_ns)
        expected = []
        for site in (s for s in sites if s in ANNOUNCERS):
            memory, truth = self.memory[site], self.truth(site)
            if (memory.evaluate if verb == "speak" else memory.withdraw)(truth, now_ns):
                expected.append((SITES[site], memory.counter, memory.version, now_ns, truth))
        assert [(a.origin, a.counter, a.version, a.sent_ns, heard(a)) for a in said] == expected


def heard(told: Announcement) -> Content:
    """Read an announcement."""
    assert told.lan_up == bool(told.destinations)
    reaches = {}
    for at, cls in np.argwhere(told.usable).tolist():
        cell = tuple(
            int(column[at, cls])
            for column in (told.rtt_ns, told.jitter_ns, told.loss_ppm, told.verdict)
        )
        reaches[PLACES.index(told.targets[at]), CLASSES.index(told.classes[cls])] = cell
    own = frozenset(PLACES.index(name) for name in told.destinations)
    return Content(own, reaches)  # type: ignore[arg-type]  # a cell has its four columns


def live(module: ModuleType, life: Life) -> None:
    town, now = Town(module), -SECOND  # times begin in the warm-up
    for changes, verb, sites, wait in life:
        for change in changes:
            town.change(*change)
        now += wait
        town.turn(verb, sites, now)


@given(LIVES)
def test_a_site_says_what_it_could_do_when_that_is_due(life: Life) -> None:
    """Content, counter and version, at evaluations and withdrawals: as written down by hand."""
    live(kernel, life)


def settled(changes: list[Any], verb: str, wait: int) -> Life:
    """Return a life in which something that was said changes."""
    every = (0, 1, 2, 3)
    return [([], "speak", every, 0), (changes, verb, every, wait), ([], "speak", every, SECOND)]


LIFE = LIVES | st.builds(
    settled,
    st.lists(CHANGE, max_size=4),
    st.sampled_from(["speak", "withdraw"]),
    st.sampled_from([0, 2 * SECOND - 1, 2 * SECOND]),
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(rows != NO_ROW) & (self._tunnels.state[rows] == UP)", "rows != NO_ROW"),
        ("(rows != NO_ROW) & (self._tunnels", "(self._tunnels"),
        ("self._tunnels.state[rows] == UP", "self._tunnels.state[rows] >= 2"),
        ("usable &= overlay.is_home(end, to) &", "usable &="),
        ("told = usable & ~self._tunnels.drained[rows]", "told = usable"),
        ("np.full_like(end, site), end, to", "end, end, to"),
        ("self._ranking.verdict[number, rows]", "self._ranking.verdict[0, rows]"),
        ("mine & self.lan_up[site]", "mine"),
        (".any(axis=1)", ".all(axis=1)"),
        ("if self._knowledge.slot[s] >= 0", "if s >= 0"),
        ("now_ns - said.at_ns >= self._policy.announcement_ns", "False"),
        ("now_ns - said.at_ns >= self._policy", "now_ns - said.at_ns > self._policy"),
        ("for s in self._announcers(sites) if s in self._said", "for s in self._announcers(sites)"),
        ("if self._said[s].reach.loses(r)", "if not self._said[s].reach.same(r)"),
        ("if self._said[s].reach.loses(r)", "if r.loses(self._said[s].reach)"),
        ("if said is None or not reach.same(said.reach):", "if said is None:"),
        ("said.version + (not reach.same(said.reach))", "said.version + 1"),
        ("counter = said.counter + 1", "counter = said.counter"),
        ("self._said.get(site), max(1, now_ns), max", "self._said.get(site), 1, max"),
        ("max(1, now_ns), max(1, now_ns)", "now_ns, now_ns"),
        (
            "_Said(counter, version, now_ns, reach)",
            "said or _Said(counter, version, now_ns, reach)",
        ),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking what is said, or when, is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIFE, lambda life: live(broken, life))


def test_an_agent_that_starts_again_is_no_replay() -> None:
    """A new engine of the same site counts on from the clock: what it says is newer, and new."""
    every, first, second = (0, 1, 3), Town(kernel), Town(kernel)
    old = [a for turn in range(3) for a in first.heralds.speak(every, turn * 2 * SECOND)]
    new = second.heralds.speak(every, 5 * SECOND)
    for site in every:
        before = [a for a in old if a.origin == SITES[site]]
        after = next(a for a in new if a.origin == SITES[site])
        assert after.counter > max(a.counter for a in before)
        assert after.version > max(a.version for a in before)
