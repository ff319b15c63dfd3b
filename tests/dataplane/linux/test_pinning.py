"""Pinned flows, packet by packet: ``engine/pinning.py`` decides what is right."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from patronus.dataplane.linux.prefixes import Target
from patronus.dataplane.linux.records import FLOW_ASTRAY, FLOW_TICK, FlowFlag, Note, Outcome
from patronus.engine import pinning
from patronus.engine.fastpath import Entry, Tunnel, steer
from patronus.engine.forwarding import NO_ROW
from patronus.engine.pinning import UNLED_NS, Leave, Pin, Way
from patronus.engine.units import LONG_AGO, MS, NEVER, SECOND
from tests.dataplane.linux.kit import Kit, lan, outer, wrapped
from tests.mutants.harness import caught

pytestmark = pytest.mark.root

ROWS = 3
SLACK_NS = 5 * MS
BEGAN_NS = 1000 * SECOND
DETECT_NS = 10**6 * SECOND
OUT = bytes(lan(IP(src="10.0.0.7", dst="10.1.0.9") / UDP(sport=1000, dport=2000)))
BACK = IP(src="10.1.0.9", dst="10.0.0.7") / UDP(sport=2000, dport=1000)
NOTES = {Leave.FREELY: Note.DRAINED, Leave.BY_FORCE: Note.DRAIN_FORCED}
WATCHED = {Note.DRAINED, Note.DRAIN_FORCED, Note.PIN_MOVED, Note.RETURN_PINNED}


class Step(NamedTuple):
    """Time goes by, something may change, and a packet goes out or comes in."""

    pause_ns: int
    alive: tuple[bool, ...]
    ways: tuple[Way, ...]
    rows: tuple[int, ...]
    came_by: int | None
    """Tunnel of a packet of the peer; None: one of ours goes out."""


@st.composite
def lives(draw: st.DrawFn) -> list[Step]:
    """Draw packets and changes of one flow; most things change seldom."""
    row = st.integers(0, ROWS - 1)
    delay = st.sampled_from([0, 10 * MS, 50 * MS, 50 * MS + 1])
    pause = st.sampled_from([0, 1, SLACK_NS, 45 * MS, 1 << FLOW_TICK, UNLED_NS, 60 * SECOND])
    rows = st.permutations([0, 1, 2, NO_ROW, NO_ROW]).map(lambda order: tuple(order[:3]))
    deadline = st.sampled_from([None, 0, 1, 45 * MS, -UNLED_NS, 1 - UNLED_NS])
    alive, ways = [True] * ROWS, [Way(10 * MS), Way(50 * MS), Way(50 * MS)]
    entry: tuple[int, ...] = (0, 1, 2)
    now_ns, steps = BEGAN_NS, []
    for _ in range(draw(st.integers(2, 10))):
        pause_ns = draw(pause) + draw(st.sampled_from([0, -1, 1, (1 << FLOW_TICK) - 1]))
        pause_ns = max(pause_ns, 0)
        now_ns += pause_ns
        change, at = draw(st.integers(0, 6)), draw(row)
        if change == 1:
            alive[at] = not alive[at]
        elif change == 2:
            after_ns = draw(deadline)
            until_ns = 0 if after_ns is None else now_ns + after_ns
            ways[at] = ways[at]._replace(drain_until_ns=until_ns)
        elif change == 3:
            ways[at] = ways[at]._replace(delay_ns=draw(delay))
        elif change == 4:
            entry = draw(rows)
        came_by = draw(st.none() | row)
        steps.append(Step(pause_ns, tuple(alive), tuple(ways), entry, came_by))
    return steps


class Site(NamedTuple):
    """Two sites' tunnels, one destination, and one class, which is pinned."""

    kit: Kit
    endpoints: list[Any]

    @property
    def now_ns(self) -> int:
        return self.kit.now_ns


def ready(kit: Kit) -> Site:
    """Return a site in which nothing has happened yet."""
    kit.clear()
    kit.route({"10.1.0.0/16": Target(1), "10.0.0.0/16": Target(0, True)})
    kit.settings["pinned_classes"] = 1
    return Site(kit, [kit.tunnel(row, detect_ns=DETECT_NS) for row in range(ROWS)])


@pytest.fixture
def site(kit: Kit) -> Site:
    return ready(kit)


def prepare(site: Site, step: Step) -> dict[int, Tunnel]:
    """Bring a site to where a step has it; return its tunnels as the reference sees them."""
    kit = site.kit
    kit.at(kit.now_ns + step.pause_ns)
    kit.heartbeat()
    kit.entry(1, *step.rows)
    tunnels = {}
    for row, (up, way) in enumerate(zip(step.alive, step.ways, strict=True)):
        stamp, since = (kit.now_ns, kit.now_ns) if up else (LONG_AGO, NEVER)
        tunnels[row] = Tunnel(DETECT_NS, kit.now_ns, stamp, -1, not up, since)
        for name, value in (tunnels[row]._asdict() | way._asdict()).items():
            kit.tunnels[name][row] = value
    return tunnels


def standing(site: Site) -> Pin:
    """Return the one flow's record."""
    table: Any = site.kit.pins.array("flows")["way"].reshape(-1)
    used = table[table["sequence"] != 0]
    assert len(used) == 1
    return Pin(
        row=int(used["row"][0]) - 1,
        follows=bool(used["rule"][0] & FlowFlag.FOLLOWS),
        astray=bool(used["class"][0] & FLOW_ASTRAY),
        last=int(used["last"][0]),
    )


def lives_alike(site: Site, life: list[Step]) -> None:
    """Let a flow live, and compare every packet of it, and its record after each."""
    site.kit.pins.array("flows").view(np.uint8)[:] = 0
    site.kit.used["row"][1] = 0
    site.kit.at(BEGAN_NS)
    pin: Pin | None = None
    for step in life:
        tunnels, ways = prepare(site, step), dict(enumerate(step.ways))
        takes = goes_out if step.came_by is None else comes_in
        pin = takes(site, step, pin, tunnels, ways)
        assert standing(site) == pin


def goes_out(
    site: Site, step: Step, pin: Pin | None, tunnels: dict[int, Tunnel], ways: dict[int, Way]
) -> Pin:
    """Send a packet of ours, and return the flow's record."""
    last = int(site.kit.used["row"][1]) - 1
    rows = step.rows[0], step.rows[1], step.rows[2]
    verdict = steer(Entry(rows, last=last), tunnels, site.now_ns)
    sent = pinning.send(
        pin or Pin(), verdict, rows, tunnels, ways, slack_ns=SLACK_NS, now_ns=site.now_ns
    )
    seen = site.kit.run("steer_lan", OUT)
    if sent.row == NO_ROW:
        assert seen.outcome is Outcome.DROP_NO_PATH
    else:
        assert outer(seen)[1].tunnel == sent.row + 100
    assert (seen.outcome is Outcome.STEER_PINNED) == sent.pinned
    expected = {NOTES[sent.left]: 1} if sent.left in NOTES else {}
    if sent.dead:
        expected[Note.PIN_MOVED] = 1
    assert {n: c for n, c in seen.notes.items() if n in WATCHED} == expected
    return sent.pin


def comes_in(
    site: Site, step: Step, pin: Pin | None, tunnels: dict[int, Tunnel], ways: dict[int, Way]
) -> Pin:
    """Let a packet of the peer come, and return the flow's record."""
    row = step.came_by
    assert row is not None
    frame = wrapped(site.endpoints[row], row, BACK, sequence=7, hears=step.alive[row])
    seen = site.kit.run("tunnel_ether", frame)
    if pin is None:
        expected = {Note.RETURN_PINNED: 1}
        pin = Pin(row, follows=True, last=pinning.tick(site.now_ns))
    else:
        heard = pinning.hear(pin, row, tunnels, ways, slack_ns=SLACK_NS, now_ns=site.now_ns)
        expected = {NOTES[heard.left]: 1} if heard.left in NOTES else {}
        if heard.moved:
            expected[Note.RETURN_PINNED] = 1
        pin = heard.pin
    assert {n: c for n, c in seen.notes.items() if n in WATCHED} == expected
    return pin


def test_a_pinned_flow_lives_as_the_reference_has_it(site: Site) -> None:
    """Row, notes and record: the same for any packets, pauses, deaths, drains and delays."""

    @settings(max_examples=400)
    @given(lives())
    def alike(life: list[Step]) -> None:
        lives_alike(site, life)

    alike()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "file", "old", "new"),
    [
        ("steer.bpf.c", "flow.h", "tick_of(work) - last - 1", "tick_of(work) - last"),
        ("steer.bpf.c", "flow.h", "known && longer_ns <= 0", "longer_ns <= 0"),
        ("steer.bpf.c", "flow.h", "work->now_ns >= from->drain_until_ns", "0"),
        ("steer.bpf.c", "flow.h", "if (!overdue(work, from))", "if (0)"),
        ("steer.bpf.c", "flow.h", "decision->follows ? FLOW_ASTRAY : 0", "0"),
        ("steer.bpf.c", "flow.h", "decision->is_new || decision->strays", "decision->is_new"),
        ("steer.bpf.c", "flow.h", "(from->drain_until_ns || !is_c", "(!is_c"),
        ("tunnel.bpf.c", "flow.h", "from && usable(work, from) && !may", "from && !may"),
        ("tunnel.bpf.c", "flow.h", "!usable(work, to) || overdue", "overdue"),
        ("tunnel.bpf.c", "flow.h", "|| overdue(work, to)", ""),
        ("tunnel.bpf.c", "flow.h", "decided & ~(FLOW_ASTRAY << 16)", "decided"),
    ],
)  # fmt: skip
def test_the_property_catches_broken_pinning(
    source: str, file: str, old: str, new: str, broken: Callable[..., Kit]
) -> None:
    """Gaps, deadlines, who follows and who went astray are noticed when broken."""
    site = ready(broken(source, file, old, new))
    assert caught(lives(), partial(lives_alike, site), examples=3000)


def test_ticks_are_the_kernels() -> None:
    """The reference keeps the times of flows in the units of the table."""
    assert pinning.TICK_BITS == FLOW_TICK
