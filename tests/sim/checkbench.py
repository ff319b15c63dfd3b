"""Tables and wires without an engine: what checkers look at, set by hand."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np

from patronus.engine.forwarding import NO_ROW, EntrySpace, ForwardingTable
from patronus.engine.overlay import I32
from patronus.engine.policy import Policy
from patronus.engine.units import MS, SECOND
from patronus.sim.checkers import Checkers
from patronus.sim.faults.compile import compile_faults
from patronus.sim.faults.effects import effects
from patronus.sim.faults.outages import mutes
from patronus.sim.scenario import FaultSpec
from patronus.sim.wire import Wire
from patronus.sim.world import World
from tests.sim.handmade import Network, make_network, make_scenario

STEP_NS = 100 * MS


class Bench:
    """Five sites over mpls and lte; both hubs announce ``internet`` and may be transit."""

    def __init__(
        self, *faults: FaultSpec, policy: Policy | None = None, cold: bool = False
    ) -> None:
        made = make_network()
        self.overlay = replace(made.overlay, transit=(0, 1))
        scenario = make_scenario(*faults, policy=policy or Policy(), cold=cold)
        network = Network(self.overlay, made.underlay)
        timeline = compile_faults(scenario, network, 1)
        shaped = effects(timeline, made.underlay.links, 1)
        self.wire = Wire(self.overlay, made.underlay, shaped, mutes(timeline, self.overlay), 1)
        sites, classes = len(self.overlay.sites), len(scenario.policy.classes)
        self.space = EntrySpace(sites, len(self.overlay.destinations), classes)
        self.table = ForwardingTable(self.space.entries)
        self.used: I32 = np.full(self.space.entries, NO_ROW, dtype=np.int32)
        every = np.ones(sites, dtype=np.bool_)
        self.agents = SimpleNamespace(
            running=every.copy(), reached=every.copy(), lan_up=every.copy()
        )
        self._fill()
        self.world = SimpleNamespace(
            overlay=self.overlay, wire=self.wire, scenario=scenario, timeline=timeline, seed=1,
            now_ns=0, agents=self.agents, load=SimpleNamespace(entries=np.zeros(0, np.int64)),
            dataplane=SimpleNamespace(
                space=self.space, table=self.table, used=self.used,
                latched=np.zeros(self.overlay.rows, dtype=np.bool_),
                since_ns=np.full(self.overlay.rows, -10 * SECOND, dtype=np.int64),
            ), underlay=made.underlay,
        )  # fmt: skip
        self.checkers = Checkers(cast(World, self.world))
        self.now_ns = 0
        if not cold:
            self.checkers.start()

    def _fill(self) -> None:
        """Let every entry use mpls to the first home, with lte behind it."""
        for entry in range(self.space.entries):
            site, destination, _ = self.space.key(entry)
            homes = self.overlay.destinations[destination].sites
            if site not in homes:
                rows = list(self.overlay.direct(site, homes[0]))
                self.table.rows[entry, : len(rows)] = rows
                self.used[entry] = rows[0]

    def site(self, name: str) -> int:
        """Return a site by name."""
        return self.overlay.site_index[name]

    def entry(self, site: str, destination: str, number: int = 0) -> int:
        """Return an entry by names."""
        names = [d.name for d in self.overlay.destinations]
        return self.space.index(self.site(site), names.index(destination), number)

    def row(self, site: str, other: str, transport: str = "mpls") -> int:
        """Return a tunnel by names."""
        rows = self.overlay.direct(self.site(site), self.site(other))
        place = self.overlay.transports.index(transport)
        return next(r for r in rows if self.overlay.transport[r] == place)

    def move(self, entry: int, row: int, at_ns: int | None = None, *, told: bool = True) -> None:
        """Break a table by hand; tell the checkers of it, or do not."""
        self.used[entry] = row
        if told:
            entries = np.array([entry], dtype=np.int64)
            when = self.now_ns if at_ns is None else at_ns
            self.checkers.moved(when, entries, np.array([row], dtype=np.int32))

    def tell(self, moves: Sequence[tuple[int, int, int]]) -> None:
        """Tell of moves (time, entry, row) in the order given."""
        for at_ns, entry, row in moves:
            self.move(entry, row, at_ns)

    def advance(self, until_ns: int) -> "Bench":
        """Let time pass at once: for what depends on moves alone."""
        if until_ns > self.now_ns:
            self.run(self.now_ns + STEP_NS)
            self.now_ns = max(self.now_ns, until_ns - STEP_NS)
            self.run(until_ns)
        return self

    def run(self, until_ns: int, step_ns: int = STEP_NS) -> "Bench":
        """Let time pass."""
        while self.now_ns < until_ns:
            start, self.now_ns = self.now_ns, min(self.now_ns + step_ns, until_ns)
            self.wire.begin(start, self.now_ns)
            self.world.now_ns = self.now_ns
            self.checkers.end(self.now_ns)
        return self
