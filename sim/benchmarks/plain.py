"""The dense half of the simulator once more, plainly: one process a tunnel, one event a packet.

Everything is a Python integer. The way of a packet is walked link by link, and every
fault is asked whether it is there. Stamps follow the packet-time rule of
``engine/fastpath.py``, one packet at a time. Of the product it uses that rule, the
keyed luck's constants, the carriers' routes and the drawn burst periods; none of the
arrays that it is compared with.

It knows probes and stamps only: no traffic (hence no queues), no engine.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple

import simpy

from patronus.engine.fastpath import Packet, Tunnel, arrive, expire, expiry_ns, hears
from patronus.engine.units import LONG_AGO, MS, NEVER, PPM
from patronus.sim.bursts import bad_intervals
from patronus.sim.luck import NOISE, object_keys
from patronus.sim.scenario import Burst, FaultKind, Scenario
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.topology import Network
from patronus.sim.topology.routes import segments

GRID_NS = 100 * MS
"""Carriers change their routes on this grid."""

DARK = {
    FaultKind.LINK_DOWN,
    FaultKind.BLACKHOLE,
    FaultKind.FLAPPING,
    FaultKind.SHARED_RISK_CUT,
    FaultKind.PROVIDER_OUTAGE,
    FaultKind.SITE_CRASH,
}
VISIBLE = DARK - {FaultKind.BLACKHOLE, FaultKind.SITE_CRASH}
"""A carrier sees these, and so does the site whose own interface is down."""

_WORD = 2**64 - 1


class Probe(NamedTuple):
    """The whole fate of one probe; ``NEVER`` where it was lost."""

    row: int
    ordinal: int
    sent_ns: int
    there_ns: int
    back_ns: int
    hears: bool
    """The H bit that it carried."""


class Edge(NamedTuple):
    """A tunnel went silent, or was heard again."""

    at_ns: int
    row: int
    silent: bool


class State(NamedTuple):
    """What one link does to packets at an instant."""

    dark: bool
    loss_ppm: tuple[int, ...]
    """Of bursts, of faults, of corruption; one after the other."""
    delay_ns: int
    jitter_ns: int


class PlainWire:
    """Links, faults, bursts and routes; asked about one packet at a time."""

    def __init__(self, network: Network, timeline: Timeline, seed: int, begin_ns: int) -> None:
        self.overlay, self.underlay = network.overlay, network.underlay
        self.timeline, self.seed = timeline, seed
        self.until_ns = timeline.end_ns + 60_000 * MS
        self.routes: dict[tuple[int, frozenset[int]], list[int] | None] = {}
        ranked = sorted(timeline.occurrences, key=lambda o: (o.fault.name, o.ordinal))
        self.on_link: defaultdict[int, list[Occurrence]] = defaultdict(list)
        for occurrence in ranked:
            for link in occurrence.links:
                self.on_link[link].append(occurrence)
        links = self.underlay.links
        self.bursts = self._periods("burst", range(len(links.names)), links.burst, begin_ns)
        self.fault_bursts = {
            o.name: self._periods(
                f"burst/{o.fault.name}", o.links, [o.fault.burst] * len(o.links), o.start_ns
            )
            for o in ranked
            if o.fault.kind is FaultKind.BURST_LOSS
        }
        self.mute = [
            (row, o.start_ns + i * o.fault.up_ns, o.start_ns + i * o.fault.up_ns + o.fault.down_ns)
            for o in ranked
            for i, one in enumerate(o.rows)
            for row in (one, int(self.overlay.reverse[one]))
        ]

    def _periods(
        self, stream: str, links: Sequence[int], bursts: Sequence[Burst | None], begin_ns: int
    ) -> dict[int, list[tuple[int, int]]]:
        """Return by link the bad periods as (from, until), in order."""
        keys = object_keys(self.seed, stream, self.underlay.links.key[list(links)])
        bad = bad_intervals(keys, bursts, begin_ns, self.until_ns)
        found: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for place, start, end in zip(*(c.tolist() for c in bad), strict=True):
            found[links[place]].append((start, end))
        return found

    # ------------------------------------------------------------ links

    def state(self, link: int, t_ns: int) -> State:
        """Ask every fault of a link what it does now."""
        dark, lost, corrupt, delay, jitter = False, 0, 0, 0, 0
        for occurrence in self.on_link.get(link, ()):
            fault = occurrence.fault
            if not occurrence.start_ns <= t_ns < occurrence.end_ns:
                continue
            dark |= fault.kind in DARK
            if fault.kind is FaultKind.LOSS:
                lost = _either(lost, fault.loss_ppm)
            elif fault.kind is FaultKind.BURST_LOSS and fault.burst is not None:
                if _inside(self.fault_bursts[occurrence.name][link], t_ns):
                    lost = _either(lost, fault.burst.loss_ppm)
            elif fault.kind is FaultKind.CORRUPTION:
                corrupt = _either(corrupt, fault.loss_ppm)
            elif fault.kind in (FaultKind.DELAY, FaultKind.JITTER):
                delay, jitter = delay + fault.delay_ns, jitter + fault.jitter_ns
        burst = self.underlay.links.burst[link]
        bad = burst.loss_ppm if burst and _inside(self.bursts[link], t_ns) else 0
        return State(dark, (bad, lost, corrupt), delay, jitter)

    def links(self, row: int, t_ns: int) -> list[int] | None:
        """Return the links that a tunnel crosses, on the carrier's route of this grid instant."""
        src, dst, lane = (
            int(c[row]) for c in (self.overlay.src, self.overlay.dst, self.overlay.transport)
        )
        provider = self.underlay.providers[lane]
        known = t_ns // GRID_NS * GRID_NS - provider.reroute_ns
        failed = frozenset(
            link
            for o in self.timeline.occurrences
            if o.fault.kind in VISIBLE and o.start_ns <= known < o.end_ns
            for link in o.links
        )
        if (row, failed) not in self.routes:
            self.routes[row, failed] = self._route(src, dst, lane, failed)
        return self.routes[row, failed]

    def _route(self, src: int, dst: int, lane: int, failed: frozenset[int]) -> list[int] | None:
        provider = self.underlay.providers[lane]
        table = segments(self.underlay, lane, failed)
        here, there = int(self.underlay.pop[src, lane]), int(self.underlay.pop[dst, lane])
        number = here * len(provider.nodes) + there
        if not table.reachable[number]:
            return None
        inner = table.links[table.start[number] : table.start[number + 1]].tolist()
        return [int(self.underlay.up[src, lane]), *inner, int(self.underlay.down[dst, lane])]

    # ------------------------------------------------------------ packets

    def leg(
        self, row: int, leaves_ns: int, route: list[int] | None, *, chance: int, cell: int
    ) -> int:
        """Return when a packet arrives that leaves now, ``NEVER`` when it is lost.

        Args:
            row: the tunnel it takes.
            leaves_ns: now.
            route: the links it crosses.
            chance: its 20 bits that decide on loss.
            cell: its 12 bits that choose the noise.
        """
        if route is None or any(r == row and a <= leaves_ns < b for r, a, b in self.mute):
            return NEVER
        own, survive, delay, jitter = self.underlay.links, PPM, 0, 0
        for link in route:
            survive = survive * (PPM - int(own.loss_ppm[link])) // PPM
        for link in route:
            state = self.state(link, leaves_ns)
            if state.dark:
                return NEVER
            for loss in state.loss_ppm:
                survive = survive * (PPM - loss) // PPM
            delay += int(own.delay_ns[link]) + state.delay_ns
            jitter += int(own.jitter_ns[link]) + state.jitter_ns
        lost = PPM - survive
        steps = ((lost << 20) + PPM // 2) // PPM
        if chance < (max(steps, 1) if lost else 0):
            return NEVER
        return leaves_ns + delay + (int(NOISE[cell]) * jitter >> 16)


class PlainWorld:
    """Tunnels and their probes."""

    def __init__(
        self,
        network: Network,
        scenario: Scenario,
        timeline: Timeline,
        seed: int,
        *,
        rows: Iterable[int] | None = None,
    ) -> None:
        """Prepare; nothing has happened yet.

        Args:
            network: sites, tunnels and links.
            scenario: its policy's liveness profiles and warm-up count.
            timeline: the faults.
            seed: of all luck.
            rows: the tunnels to simulate (all by default), both directions of each.
        """
        begin_ns = -scenario.warmup_ns
        self.network, self.scenario = network, scenario
        self.wire = PlainWire(network, timeline, seed, begin_ns)
        self.env = simpy.Environment(initial_time=begin_ns)
        overlay = network.overlay
        self.rows = list(range(overlay.rows)) if rows is None else list(rows)
        self.keys = object_keys(seed, "probe", overlay.key).tolist()
        self.phases = object_keys(seed, "phase", overlay.key).tolist()
        profiles = [scenario.policy.profile(t) for t in overlay.transports]
        self.profile = [profiles[lane] for lane in overlay.transport.tolist()]
        self.tunnel = {row: Tunnel(self.profile[row].detect_ns) for row in self.rows}
        self.watched: set[int] = set()
        self.last = {row: [LONG_AGO, LONG_AGO] for row in self.rows}
        self.probes: list[Probe] = []
        self.edges: list[Edge] = []
        self.lost = 0
        for row in self.rows:
            self.env.process(self._probing(row))
        for occurrence in timeline.occurrences:
            if occurrence.fault.kind in VISIBLE:
                self.env.process(self._carrier(occurrence))

    @property
    def now_ns(self) -> int:
        """The time; SimPy would take fractions of it, too."""
        return int(self.env.now)

    def run(self, until_ns: int) -> None:
        """Let everything happen that happens before a time."""
        self.env.run(until=until_ns)

    def set_detect(self, row: int, detect_ns: int) -> None:
        """Give a tunnel another detect time, from now on."""
        self.tunnel[row] = self.tunnel[row]._replace(detect_ns=detect_ns)
        self._at(expiry_ns(self.tunnel[row].confirmed_ns, detect_ns), lambda: self._look(row))

    # ------------------------------------------------------------ processes

    def _probing(self, row: int) -> Generator[simpy.Event, None, None]:
        """Send a probe once an interval, at the tunnel's own phase."""
        interval = self.profile[row].interval_ns
        phase = _mixed(self.phases[row], 0) % interval
        ordinal = -((phase - self.now_ns) // interval)
        while True:
            yield self.env.timeout(ordinal * interval + phase - self.now_ns)
            self._send(row, ordinal)
            ordinal += 1

    def _at(self, t_ns: int, action: Callable[[], None]) -> None:
        """Do something at a time, as one event."""
        event = self.env.timeout(max(t_ns - self.now_ns, 0))
        event.callbacks.append(lambda _: action())

    def _send(self, row: int, ordinal: int) -> None:
        """One probe: out, reflected, home."""
        word, sent_ns, reverse = _mixed(self.keys[row], ordinal), self.now_ns, self._reverse(row)
        self._look(row)
        hears_peer = hears(self.tunnel[row], sent_ns)
        out = self.wire.links(row, sent_ns)
        # The way home is that of the moment at which the probe left.
        home = self.wire.links(reverse, sent_ns)
        there_ns = self._leg(row, 0, out, chance=word >> 44, cell=word >> 12 & 0xFFF)

        def reach_peer() -> None:
            packet = Packet(ordinal + 2**30, hears_peer)
            self._becomes(reverse, arrive(self.tunnel[reverse], packet, there_ns))
            chance, cell = word >> 24 & 0xFFFFF, word & 0xFFF
            back_ns = self._leg(reverse, 1, home, chance=chance, cell=cell)
            probe = Probe(row, ordinal, sent_ns, there_ns, back_ns, hears_peer)
            self._note(probe)
            if back_ns != NEVER:
                self._at(back_ns, lambda: self._come_home(probe))

        if there_ns == NEVER:
            self._note(Probe(row, ordinal, sent_ns, NEVER, NEVER, hears_peer))
        else:
            self._at(there_ns, reach_peer)

    def _come_home(self, probe: Probe) -> None:
        # Reflections carry our own numbers; they do not disturb those of the peer's probes.
        mine = self.tunnel[probe.row]
        reflection = Packet(mine.sequence, hears=False, reflection=True)
        self._becomes(probe.row, arrive(mine, reflection, self.now_ns))

    def _leg(self, row: int, way: int, route: list[int] | None, *, chance: int, cell: int) -> int:
        """Send a packet now; it does not overtake the one before it."""
        at_ns = self.wire.leg(row, self.now_ns, route, chance=chance, cell=cell)
        if at_ns != NEVER:
            last = self.last[self._reverse(row) if way else row]
            at_ns = last[way] = max(at_ns, last[way] + 1)
        return at_ns

    def _carrier(self, occurrence: Occurrence) -> Generator[simpy.Event, None, None]:
        """An interface goes down: what was proven over it is void."""
        yield self.env.timeout(occurrence.start_ns - self.now_ns)
        overlay, under, now_ns = self.network.overlay, self.network.underlay, self.now_ns
        for row in self.rows:
            if int(under.up[overlay.src[row], overlay.transport[row]]) in occurrence.links:
                tunnel = self.tunnel[row]
                gone_ns = now_ns - tunnel.detect_ns - 1
                void = tunnel._replace(confirmed_ns=min(tunnel.confirmed_ns, gone_ns))
                self._becomes(row, expire(void, now_ns))

    def _watch(self, row: int) -> None:
        """Come back when a tunnel's proof runs out; by then it may have a newer one."""
        tunnel = self.tunnel[row]
        if row not in self.watched and tunnel.since_ns != NEVER:
            self.watched.add(row)
            self._at(expiry_ns(tunnel.confirmed_ns, tunnel.detect_ns), lambda: self._lapse(row))

    def _lapse(self, row: int) -> None:
        self.watched.discard(row)
        self._look(row)
        self._watch(row)

    # ------------------------------------------------------------ stamps

    def _look(self, row: int) -> None:
        """Whoever looks at a tunnel lets it expire first, if it is time."""
        self._becomes(row, expire(self.tunnel[row], self.now_ns))

    def _becomes(self, row: int, after: Tunnel) -> None:
        """Take over a tunnel's record; note edges, and come back when it would expire."""
        before, now_ns = self.tunnel[row], self.now_ns
        self.tunnel[row] = after
        if before.since_ns not in {NEVER, after.since_ns}:
            self.edges.append(Edge(now_ns, row, silent=True))
        if after.since_ns not in {NEVER, before.since_ns}:
            self.edges.append(Edge(now_ns, row, silent=False))
        self._watch(row)

    def _reverse(self, row: int) -> int:
        return int(self.network.overlay.reverse[row])

    def _note(self, probe: Probe) -> None:
        self.probes.append(probe)
        self.lost += probe.back_ns == NEVER


def _either(p_ppm: int, q_ppm: int) -> int:
    return p_ppm + q_ppm - (p_ppm * q_ppm + PPM // 2) // PPM


def _inside(periods: list[tuple[int, int]], t_ns: int) -> bool:
    place = bisect_right(periods, (t_ns, NEVER)) - 1
    return place >= 0 and t_ns < periods[place][1]


def _mixed(key: int, ordinal: int) -> int:
    """Return a word of SplitMix64 that starts at a key."""
    z = (key + ordinal * 0x9E3779B97F4A7C15) & _WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _WORD
    return z ^ z >> 31
