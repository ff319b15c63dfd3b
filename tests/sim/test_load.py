"""Load by hand: flows follow the tables over one leg or two, and fill the links they cross."""

from types import SimpleNamespace
from typing import cast

import numpy as np

from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I64
from patronus.engine.units import MS, PPM
from patronus.sim.congestion import Congestion
from patronus.sim.load import Load
from patronus.sim.prober import Prober
from patronus.sim.scenario import FaultKind, FaultSpec, Schedule, Selector
from patronus.sim.traffic import Demands
from tests.sim.checkbench import Bench
from tests.sim.handmade import make_fault

MBPS = 1_000_000


class Flows:
    """Some flows on a bench: (site, destination, rate, bytes)."""

    def __init__(
        self, *flows: tuple[str, str, int, int], faults: tuple[FaultSpec, ...] = ()
    ) -> None:
        self.bench = bench = Bench(*faults)
        names = [d.name for d in bench.overlay.destinations]
        site = np.array([bench.site(f[0]) for f in flows], dtype=np.int32)
        destination = np.array([names.index(f[1]) for f in flows], dtype=np.int32)
        demands = Demands(
            site=site,
            destination=destination,
            traffic_class=np.zeros(len(flows), dtype=np.int32),
            rate_bps=np.array([f[2] for f in flows], dtype=np.int64),
            packet_bytes=np.array([f[3] for f in flows], dtype=np.int64),
            key=np.zeros(len(flows), dtype=np.uint64),
        )
        self.load = Load(demands, bench.space, bench.wire)
        self.counted: list[tuple[I64, I64]] = []
        self.prober = cast(Prober, SimpleNamespace(carry=self.carry))

    def carry(self, rate_pps: I64, too_large_ppm: I64) -> None:
        self.counted.append((rate_pps, too_large_ppm))

    def spread(self, now_ns: int = 0) -> Congestion:
        """Put the flows on the wires of a window."""
        self.bench.wire.begin(now_ns, now_ns + 100 * MS)
        assert self.load.changed(self.bench.used, now_ns)
        return self.load.spread(self.prober, now_ns)

    def offered(self, state: Congestion) -> dict[str, int]:
        """Return what arrives at each link, by name and direction, in Mbps."""
        names = self.bench.wire.underlay.links.names
        found = {}
        for link in np.flatnonzero(state.offered_bps).tolist():
            found[f"{names[link]}:{'io'[link % 2 == 0]}"] = int(state.offered_bps[link]) // MBPS
        return found

    def rate(self, row: int) -> tuple[int, int]:
        """Return packets a second and the share that is too large, of one row."""
        rate, too_large = self.counted[-1]
        return int(rate[row]), int(too_large[row])


def test_a_flow_loads_its_two_access_links() -> None:
    """Out of one site and into the other, with what it offers; the tunnel counts its packets."""
    flows = Flows(("berlin", "oslo", 8 * MBPS, 1000))
    state = flows.spread()
    assert flows.offered(state) == {"access:berlin:mpls:o": 8, "access:oslo:mpls:i": 8}
    assert flows.rate(flows.bench.row("berlin", "oslo")) == (1000, 0)
    assert sum(int(r.sum()) for r, _ in flows.counted) == 1000
    assert state.delivered_bps.tolist() == [8 * MBPS]


def test_transit_loads_four_and_is_counted_twice() -> None:
    """Through a hub a flow crosses the hub's access link both ways."""
    flows = Flows(("berlin", "oslo", 8 * MBPS, 1000))
    bench = flows.bench
    bench.used[bench.entry("berlin", "oslo")] = bench.row("berlin", "hub1", "lte")
    state = flows.spread()
    assert flows.offered(state) == {
        "access:berlin:lte:o": 8,
        "access:hub1:lte:i": 8,
        "access:hub1:mpls:o": 8,
        "access:oslo:mpls:i": 8,
    }
    for row in (bench.row("berlin", "hub1", "lte"), bench.row("hub1", "oslo")):
        assert flows.rate(row) == (1000, 0)


def test_what_has_no_row_loads_nothing() -> None:
    """A flow that its dataplane drops is on no wire."""
    flows = Flows(("berlin", "oslo", 8 * MBPS, 1000))
    flows.bench.used[flows.bench.entry("berlin", "oslo")] = NO_ROW
    assert flows.offered(flows.spread()) == {}
    assert int(flows.counted[-1][0].sum()) == 0


def test_two_flows_share_a_link_that_is_too_small() -> None:
    """Of 60 + 60 Mbps over an access link of 100 the excess is dropped, alike; others pass."""
    flows = Flows(
        ("berlin", "oslo", 60 * MBPS, 1000),
        ("berlin", "rome", 60 * MBPS, 1000),
        ("hub1", "hub2", 60 * MBPS, 1000),
    )
    state = flows.spread()
    delivered = state.delivered_bps.tolist()
    assert delivered[0] == delivered[1]
    assert abs(sum(delivered[:2]) - 100 * MBPS) < 1000
    assert delivered[2] == 60 * MBPS
    bench = flows.bench
    assert bench.wire.overloaded(bench.row("berlin", "oslo"))
    assert not bench.wire.overloaded(bench.row("hub1", "hub2"))
    assert not bench.wire.overloaded(bench.row("berlin", "oslo", "lte"))


def test_the_counters_are_bounded_and_know_what_is_too_large() -> None:
    """Half of a row's packets do not fit through an MTU of 1000; no more than 40,000 count."""
    small = make_fault(
        FaultKind.MTU_BLACKHOLE, mtu=1000, schedule=Schedule(at_ns=0, for_ns=1000 * MS)
    )
    flows = Flows(
        ("berlin", "oslo", 8 * MBPS, 1000),
        ("berlin", "oslo", 12 * MBPS, 1500),
        ("hub1", "hub2", 80 * MBPS, 100),
        faults=(small,),
    )
    flows.spread()
    assert flows.rate(flows.bench.row("berlin", "oslo")) == (2000, PPM // 2)
    assert flows.rate(flows.bench.row("hub1", "hub2")) == (40_000, 0)


def test_only_news_are_news() -> None:
    """A table, a capacity or a route that changes is something new; time that passes is not."""
    slow = make_fault(
        FaultKind.RATE, rate_bps=MBPS, schedule=Schedule(at_ns=500 * MS, for_ns=200 * MS),
        select=Selector(sites=("rome",), transports=("lte",)),
    )  # fmt: skip
    flows = Flows(("berlin", "oslo", MBPS, 1000), faults=(slow,))
    bench, load = flows.bench, flows.load
    assert load.changed(bench.used, 0)
    assert not load.changed(bench.used, 100 * MS)
    bench.used[bench.entry("rome", "oslo")] = NO_ROW  # no flow goes there
    assert not load.changed(bench.used, 200 * MS)
    bench.used[bench.entry("berlin", "oslo")] = bench.row("berlin", "oslo", "lte")
    assert load.changed(bench.used, 300 * MS)
    assert not load.changed(bench.used, 400 * MS)
    assert [load.changed(bench.used, t * MS) for t in (500, 700, 900)] == [True, True, False]


def test_without_traffic_there_is_never_news() -> None:
    """No flows, nothing to spread."""
    assert not Flows().load.changed(Bench().used, 0)
