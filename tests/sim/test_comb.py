"""The comb by hand: a packet each ten milliseconds, over the tunnel of its own instant."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.comb import TOOTH_NS, Comb, Teeth
from patronus.sim.exposures import Kind, Move
from patronus.sim.pointers import Pointers
from patronus.sim.scenario import FaultKind, Schedule, Selector
from tests.sim.checkbench import Bench
from tests.sim.handmade import make_fault

LEG_NS = 10 * MS
"""Two access links of 5 ms; all sites hang on one node of the carrier."""

NOISE_NS = 2 * MS
"""A millisecond at most on each."""


class Sender:
    """A bench and a comb over its wires."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.comb = Comb(bench.overlay, bench.space, bench.wire, np.array([200]), 1)
        self.lan_up = np.ones(len(bench.overlay.sites), dtype=np.bool_)
        self.moves: list[Move] = []

    def send(self, entries: list[int], start_ns: int, end_ns: int, keys: list[int]) -> Teeth:
        self.bench.wire.begin(start_ns, end_ns)
        return self.comb.send(
            np.array(entries, dtype=np.int64),
            np.array(keys, dtype=np.uint64),
            start_ns,
            end_ns,
            pointers=Pointers(self.bench.used, self.moves),
            lan_up=self.lan_up,
        )

    def move(self, at_ns: int, entry: int, row: int) -> None:
        entries: I64 = np.array([entry], dtype=np.int64)
        rows: I32 = np.array([row], dtype=np.int32)
        self.moves.append(Move(at_ns, Kind.ENGINE, entries, rows))


def sent(teeth: Teeth, place: int = 0) -> list[int]:
    """Return when the packets of an entry left."""
    times: list[int] = teeth.sent_ns[place][teeth.inside[place]].tolist()
    return times


def fates(teeth: Teeth, place: int = 0) -> list[int | None]:
    """Return the delays of an entry's packets, None where lost."""
    here = teeth.inside[place]
    pairs = zip(
        teeth.sent_ns[place][here].tolist(), teeth.arrived_ns[place][here].tolist(), strict=True
    )
    return [None if back == NEVER else back - out for out, back in pairs]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(1, 99), unique=True, max_size=4))
def test_teeth_do_not_depend_on_slots(key: int, cuts: list[int]) -> None:
    """A packet leaves each 10 ms at the entry's phase, once, however time is cut into slots."""
    sender = Sender(Bench())
    entry = sender.bench.entry("berlin", "oslo")
    edges = [0, *(c * MS + 77 for c in sorted(cuts)), 100 * MS]
    parts = [sender.send([entry], start, end, [key]) for start, end in pairwise(edges)]
    whole = sender.send([entry], 0, 100 * MS, [key])
    assert sent(whole) == [n * TOOTH_NS + key % TOOTH_NS for n in range(10)]
    assert [t for part in parts for t in sent(part)] == sent(whole)
    assert [f for part in parts for f in fates(part)] == fates(whole)


def test_a_direct_packet_takes_its_links() -> None:
    """Two access links and their noise, nothing else; one copy arrives."""
    sender = Sender(Bench())
    teeth = sender.send([sender.bench.entry("berlin", "oslo")], 0, 100 * MS, [5])
    assert all(LEG_NS <= delay <= LEG_NS + NOISE_NS for delay in fates(teeth) if delay is not None)
    assert fates(teeth).count(None) == 0
    assert (teeth.copies[teeth.inside] == 1).all()


def test_without_a_row_nothing_is_sent() -> None:
    """What the dataplane drops is offered, and lost."""
    sender = Sender(Bench())
    entry = sender.bench.entry("berlin", "oslo")
    sender.bench.used[entry] = NO_ROW
    teeth = sender.send([entry], 0, 100 * MS, [5])
    assert fates(teeth) == [None] * 10
    assert (teeth.copies == 0).all()


def test_a_packet_takes_the_row_of_its_own_instant() -> None:
    """A pointer that moves amid a slot: packets before it go the old way, from then on the new."""
    sender = Sender(Bench())
    entry = sender.bench.entry("berlin", "oslo")
    old, new = sender.bench.row("berlin", "oslo"), sender.bench.row("berlin", "oslo", "lte")
    sender.move(50 * MS, entry, new)
    teeth = sender.send([entry], 0, 100 * MS, [0])
    assert teeth.rows[0][teeth.inside[0]].tolist() == [old] * 5 + [new] * 5


def test_transit_is_two_legs_and_no_more() -> None:
    """Through a hub the delays add up; a hub that has no direct tunnel in use itself drops it."""
    sender = Sender(Bench())
    entry = sender.bench.entry("berlin", "oslo")
    sender.bench.used[entry] = sender.bench.row("berlin", "hub1", "lte")
    teeth = sender.send([entry], 0, 100 * MS, [5])
    assert all(2 * LEG_NS <= d <= 2 * (LEG_NS + NOISE_NS) for d in fates(teeth) if d is not None)
    assert fates(teeth).count(None) == 0
    # From a tunnel only a direct one: the hub itself goes through the other hub now.
    sender.bench.used[sender.bench.entry("hub1", "oslo")] = sender.bench.row("hub1", "hub2")
    assert fates(sender.send([entry], 0, 100 * MS, [5])) == [None] * 10


@pytest.mark.parametrize("through", [False, True])
def test_a_dead_lan_takes_what_arrives(through: bool) -> None:
    """The far site's own side is down: packets for it are lost, those through it are not."""
    sender = Sender(Bench())
    entry = sender.bench.entry("berlin", "oslo")
    if through:
        sender.bench.used[entry] = sender.bench.row("berlin", "hub1")
        sender.lan_up[sender.bench.site("hub1")] = False
    else:
        sender.lan_up[sender.bench.site("oslo")] = False
    teeth = sender.send([entry], 0, 100 * MS, [5])
    assert fates(teeth).count(None) == (0 if through else 10)


def test_a_fault_takes_the_packets_that_meet_it() -> None:
    """A cut of berlin's access between 130 and 160 ms takes the packets that leave then."""
    cut = make_fault(
        FaultKind.BLACKHOLE,
        select=Selector(sites=("berlin",), transports=("mpls",)),
        schedule=Schedule(at_ns=130 * MS, for_ns=30 * MS),
    )
    sender = Sender(Bench(cut))
    entries = [sender.bench.entry("berlin", "oslo"), sender.bench.entry("rome", "oslo")]
    teeth = sender.send(entries, 100 * MS, 200 * MS, [0, 0])
    assert [fate is None for fate in fates(teeth)] == [n in (3, 4, 5) for n in range(10)]
    assert fates(teeth, 1).count(None) == 0


def test_the_size_of_a_class_meets_the_mtu() -> None:
    """Beneath an MTU of 100 B no packet of 200 B comes through."""
    small = make_fault(FaultKind.MTU_BLACKHOLE, mtu=100, schedule=Schedule(at_ns=0, for_ns=SECOND))
    sender = Sender(Bench(small))
    teeth = sender.send([sender.bench.entry("berlin", "oslo")], 0, 100 * MS, [5])
    assert fates(teeth) == [None] * 10
