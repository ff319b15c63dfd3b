"""Random moments of small overlays: an engine's parts filled at random, and what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from patronus.engine.announcement import Announcement
from patronus.engine.forwarding import NO_ROW
from patronus.engine.parts import assemble
from patronus.engine.policy import Features, Policy, SlaClass, TrafficClass, WhenNone
from patronus.engine.selection import select
from patronus.engine.units import MS, PPM
from tests.oracles.overlays import LANES, SITES, Plan, plans
from tests.oracles.steering import Entry, Known, Offer, Tunnel

OPTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "latency_ns": (None, 50 * MS, 100 * MS),
    "jitter_ns": (None, None, 5 * MS),
    "loss_ppm": (None, 10_000),
    "prefer": ((), (), (), ("lte",), ("sat", "mpls"), LANES),
    "forbid": (frozenset(), frozenset(), frozenset({"lte"})),
    "when_none": tuple(WhenNone),
}
SHARES: Final[tuple[dict[str, int], ...]] = (
    {}, {}, {"mpls": 1, "lte": 3}, {"lte": 1, "sat": 1, "mpls": 0},
)  # fmt: skip
COSTS: Final[tuple[dict[str, int], ...]] = ({}, {}, {"lte": 5}, {"mpls": 5, "sat": 1})


def policy_of(rng: np.random.Generator) -> Policy:
    """Draw a policy of two classes; most features are on."""

    def one(values: Sequence[Any]) -> Any:
        return values[int(rng.integers(len(values)))]

    classes = [
        TrafficClass(
            name,
            sla=SlaClass(**{option: one(values) for option, values in OPTIONS.items()}),
            share=one(SHARES),
        )
        for name in ("one", "two")
    ]
    on = {name: one((True, True, True, False)) for name in ("backups", "transit", "sla")}
    return Policy(
        classes=tuple(classes),
        cost=one(COSTS),
        margin_ns=one((0, 2 * MS)),
        margin_ppm=one((0, 100_000)),
        features=Features(**on, hysteresis=one((True, False))),
    )


RTT = (-1, 10 * MS, 11 * MS, 12 * MS, 13 * MS, 50 * MS, 51 * MS, 100 * MS, 101 * MS, 10**12)
JITTER = (-1, 0, 0, 0, 5 * MS, 6 * MS)
LOSS = (-1, 0, 0, 0, 10_000, 10_001, 500_000, PPM)
METRIC = (10 * MS, 10 * MS, 11 * MS, 12 * MS, 12 * MS + 1, 14 * MS, 50 * MS, 2**42 - 1, 2**42)


@dataclass(frozen=True)
class Case:
    """An overlay, and luck to draw from: the policies of its sites, and what they know."""

    plan: Plan
    luck: int
    calm: bool
    """Nearly everything is up, compliant and offered."""
    keep: bool


CASES = st.builds(
    Case,
    plans().filter(lambda plan: plan.tunnels),
    # Neighbours have nothing in common.
    st.integers(0, 10**6).map(lambda n: n * 2_654_435_761 % 2**32),
    st.booleans(),
    st.booleans(),
)


class Scene:
    """The parts of an engine filled at random, and what each site knows in plain words."""

    def __init__(self, case: Case) -> None:
        self.case, self.plan = case, case.plan
        self.rng = np.random.default_rng(case.luck)
        self.overlay = case.plan.build()
        rows = self.overlay.rows
        self.fates = self.rng.integers(0, 2, (rows, 70)) & (self.rng.random((rows, 70)) < 0.02)
        words = np.zeros((rows, 2), dtype=np.uint64)
        for row, group in np.argwhere(self.fates).tolist():
            words[row, group // 64] |= np.uint64(1 << group % 64)
        self.common, self.other = policy_of(self.rng), policy_of(self.rng)
        self.parts = assemble(self.overlay, self.common, fates=words, sink=None, selector=select)
        self.parts.configured.set([0], self.other)
        self.fill(rows)
        self.denied: set[tuple[int, int, int]] = set()
        self.offers: dict[tuple[int, int, int, int], Offer] = {}
        for site in self.parts.knowledge.announcers:
            for observer in range(self.plan.sites):
                self.tell(site, observer)
        self.space = self.parts.steering.space
        self.hold_something()

    def some(self, values: Any, *shape: int) -> Any:
        return np.array(values)[self.rng.integers(0, len(values), shape)]

    def fill(self, rows: int) -> None:
        parts, calm = self.parts, self.case.calm
        parts.tunnels.state[:] = self.some([3] * 6 + [2] if calm else [0, 1, 2, 3, 3, 3], rows)
        parts.tunnels.settled[:] = (np.arange(rows) + self.case.luck) % 3 > 0
        parts.tunnels.drained[:] = self.some([False] * 3 + [not calm], rows)
        parts.ranking.verdict[:] = self.some([0] * 6 + [1] if calm else [0, 0, 1, 2, 3], 2, rows)
        parts.ranking.told[:] = [self.some(v, rows) for v in (RTT, JITTER, LOSS)]
        parts.ranking.metric_now[:] = self.some(METRIC, rows)
        parts.ranking.metric_published[:] = self.some(METRIC, rows)

    def tell(self, site: int, observer: int) -> None:
        """Let a site hear something of another, unless it does not."""
        if site == observer or self.rng.random() < 0.1:
            return
        names = [d.name for d in self.overlay.destinations]
        order = sorted(range(len(names)), key=names.__getitem__)
        shape = len(names), 2
        usable = self.rng.random(shape) < (0.9 if self.case.calm else 0.6)
        told = [self.some(v, *shape) for v in (RTT, JITTER, LOSS)]
        verdict = self.some([0, 0, 0, 1, 2, 3], *shape)
        announced = [d for d in order if self.rng.random() < 0.8]
        counter = 1 + observer
        parts = self.parts.knowledge.receive(
            np.array([observer], dtype=np.int64),
            Announcement(
                SITES[site], counter, counter, 0, lan_up=True,
                destinations=tuple(names[d] for d in announced), classes=("one", "two"),
                targets=tuple(names[d] for d in order), usable=usable[order],
                rtt_ns=told[0][order], jitter_ns=told[1][order],
                loss_ppm=told[2][order].astype(np.int32), verdict=verdict[order].astype(np.int8),
            ),
            now_ns=0,
        )  # fmt: skip
        assert parts
        self.denied |= {(observer, site, d) for d in order if d not in announced}
        if self.rng.random() < 0.1:  # it is long ago
            self.parts.knowledge.fresh[observer, self.parts.knowledge.slot[site]] = False
            return
        for d, number in np.argwhere(usable).tolist():
            rtt, jitter, loss = (int(f[d, number]) for f in told)
            offer = Offer((rtt, jitter, loss), int(verdict[d, number]))
            self.offers[observer, site, d, number] = offer

    def hold_something(self) -> None:
        """Let most entries hold rows of their own site, among them such as make no sense."""
        for entry in range(self.space.entries):
            site = self.space.key(entry).site
            own = np.flatnonzero(self.overlay.src == site)
            if len(own):
                held = self.rng.permutation(np.append(own, [NO_ROW] * 2))[:3]
                self.parts.steering.wanted.rows[entry, : len(held)] = held

    # ------------------------------------------------------------ in plain words

    def policy(self, site: int) -> Policy:
        return self.other if site == 0 else self.common

    def known(self, site: int) -> Known:
        return Known(
            {row: self.tunnel(row) for row in np.flatnonzero(self.overlay.src == site).tolist()},
            frozenset((s, d) for o, s, d in self.denied if o == site),
            {(s, d, n): offer for (o, s, d, n), offer in self.offers.items() if o == site},
        )

    def tunnel(self, row: int) -> Tunnel:
        tunnels, ranking = self.parts.tunnels, self.parts.ranking
        rtt, jitter, loss = ranking.told[:, row].tolist()
        return Tunnel(
            end=int(self.overlay.dst[row]),
            lane=int(self.overlay.transport[row]),
            state=int(tunnels.state[row]),
            drained=bool(tunnels.drained[row]),
            verdicts=tuple(ranking.verdict[:, row].tolist()),
            told=(rtt, jitter, loss),
            now=int(ranking.metric_now[row]),
            published=int(ranking.metric_published[row]),
            fates=frozenset(np.flatnonzero(self.fates[row]).tolist()),
            settled=bool(tunnels.settled[row]),
        )

    def entries(self) -> list[tuple[int, Entry]]:
        return [(e, Entry(*self.space.key(e))) for e in range(self.space.entries)]
