"""Path choice for a million pairs: all of them at once, and after one site's change.

Two overlays of spokes and hubs, with shared-risk groups on every tunnel:

- *direct*: a full mesh; each pair has one candidate a transport;
- *hubs*: spokes behind transit sites; each pair of spokes has one candidate a hub and a
  transport, and what is beyond the hub is what the hub announced.

Every choice is the whole one, as at an evaluation: verdicts, grades, the margin over the
path in use, a primary and two backups apart from it, the table written and what is new of
it handed down. Figures of tunnels are drawn at random, and wander by some milliseconds;
no probe is simulated and nothing journalled. Passes are compiled, as in every large run,
and loaded before the clock runs.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from patronus.engine.liveness import State
from patronus.engine.overlay import I64, Overlay, build_overlay
from patronus.engine.parts import Parts, assemble
from patronus.engine.policy import Policy
from patronus.engine.selection import select
from patronus.engine.units import MS
from patronus.engine.verdict import COMPLIANT
from patronus.sim import compiled
from patronus.sim.benchmarks.spread import Clock, Spread
from patronus.sim.blocks import Blocks
from patronus.sim.choosers import Choosers

SMALL_SITES: Final = 200
FULL_SITES: Final = 1000

HUBS: Final = 4

BARS_S: Final = (0.05, 0.005)
"""For a million pairs, all at once and after one site's change; over three transports."""

TRANSPORTS: Final = ("mpls", "broadband", "lte")

_SEED: Final = 1
_WANDER_NS: Final = 3 * MS
_GROUPS: Final = 60
_RISKS: Final = 3
"""Shared-risk groups in all, and so many on each tunnel."""


class Choosing(NamedTuple):
    """What choosing took on one overlay."""

    layout: str
    sites: int
    pairs: int
    candidates: int
    """Of each pair."""
    every: Spread
    """All pairs, after all metrics have changed."""
    one: Spread
    """After those of one site's tunnels have, and those of the tunnels to it."""
    changed: tuple[int, int]
    """How many pairs got another primary, at the last of each."""

    def record(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        bars = BARS_S if self.sites == FULL_SITES else (None, None)
        return {
            "layout": self.layout,
            "sites": self.sites,
            "pairs": self.pairs,
            "candidates": self.candidates,
            "all_wall_s": self.every.record(),
            "one_wall_s": self.one.record(),
            "all_bar_s": bars[0],
            "one_bar_s": bars[1],
            "all_moved": self.changed[0],
            "one_moved": self.changed[1],
        }


def choosing(layout: str, sites: int, runs: int) -> Choosing:
    """Measure an overlay of so many sites, ``direct`` or ``hubs``."""
    moment = Moment(layout, sites)
    every, one = Clock(), Clock()
    changed = [0, 0]
    for turn in range(runs):
        moment.redraw(np.arange(moment.overlay.rows, dtype=np.int64))
        changed[0] = every.time(moment.choose)
        moment.redraw(moment.rows_at(sites - 1 - turn % (sites - HUBS)))
        changed[1] = one.time(moment.choose)
    return Choosing(
        layout, sites, moment.pairs, moment.candidates, every.spread, one.spread,
        (changed[0], changed[1]),
    )  # fmt: skip


class Moment:
    """The engine's tables at one moment, everything up and compliant."""

    def __init__(self, layout: str, sites: int) -> None:
        self.dice = np.random.default_rng(_SEED)
        self.overlay = _overlay(layout, sites)
        rows = self.overlay.rows
        self._usual_ns = self.dice.integers(10 * MS, 100 * MS, rows)
        bits = np.uint64(1) << self.dice.integers(0, _GROUPS, (_RISKS, rows)).astype(np.uint64)
        fates = np.bitwise_or.reduce(bits, axis=0)[:, None]
        policy = Policy()
        self.parts: Parts = assemble(self.overlay, policy, fates=fates, sink=None, selector=select)
        self.parts.steering.whole.passes = Choosers(compiled, Blocks())
        self.parts.tunnels.state[:] = State.UP
        self.parts.ranking.verdict[:] = COMPLIANT
        self.parts.moves.recording = False
        self.redraw(np.arange(rows, dtype=np.int64))
        self.now_ns = 0
        self.choose()
        self._announce()
        self.choose()

    @property
    def pairs(self) -> int:
        """Ordered pairs of a site and a destination."""
        return len(self.overlay.sites) * (len(self.overlay.sites) - 1)

    @property
    def candidates(self) -> int:
        """Of a pair of spokes."""
        lanes = len(TRANSPORTS)
        return lanes * HUBS if self.overlay.transit else lanes

    def rows_at(self, site: int) -> I64:
        """Return the tunnels from and to a site."""
        found: I64 = np.flatnonzero((self.overlay.src == site) | (self.overlay.dst == site))
        return found

    def redraw(self, rows: I64) -> None:
        """Give some tunnels other figures, and mark what that may change."""
        ranking = self.parts.ranking
        rtt_ns = self._usual_ns[rows] + self.dice.integers(-_WANDER_NS, _WANDER_NS, len(rows))
        ranking.told[:, rows] = rtt_ns, rtt_ns // 20, np.zeros(len(rows), dtype=np.int64)
        for metric in (ranking.metric_now, ranking.metric_smooth, ranking.metric_published):
            metric[rows] = rtt_ns
        self.parts.attention.tunnels(rows)

    def choose(self) -> int:
        """Choose anew where it may matter; return how many pairs move."""
        every = np.arange(len(self.overlay.sites), dtype=np.int64)
        marked = self.parts.attention.take(every)
        entries = self.parts.steering.space.of_pairs(marked)
        found = self.parts.steering.reselect(entries)
        self.parts.moves.commit(found.change, found.written, self.now_ns, None)
        return len(found.change.entries)

    def _announce(self) -> None:
        """Let all sites hear what the transit sites have to say."""
        every = np.arange(len(self.overlay.sites), dtype=np.int64)
        for said in self.parts.heralds.speak(self.overlay.transit, self.now_ns):
            site = self.overlay.site_index[said.origin]
            self.parts.knowledge.receive(every[every != site], said, self.now_ns)
        self.parts.attention.sites(every)


def _overlay(layout: str, sites: int) -> Overlay:
    hubs = np.arange(HUBS)
    one, other = np.triu_indices(sites, 1)
    if layout == "hubs":
        kept = one < HUBS
        one, other = one[kept], other[kept]
    lanes = np.arange(len(TRANSPORTS)).repeat(len(one))
    pairs = np.stack([np.tile(one, len(TRANSPORTS)), np.tile(other, len(TRANSPORTS)), lanes], 1)
    names = [f"site{n}" for n in range(sites)]
    return build_overlay(
        sites=names, transports=TRANSPORTS, pairs=pairs.astype(np.int64),
        transit=[names[h] for h in hubs] if layout == "hubs" else (),
    )  # fmt: skip
