"""The tally against lists of packets: outage to a tooth, seconds, and what spoils them."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.policy import SlaClass, TrafficClass
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim import tally as kernel
from patronus.sim.comb import TOOTH_NS, Teeth
from patronus.sim.tally import Tally, has_limits, spoiling_teeth, teeth_between
from tests.mutants.harness import caught, mutant
from tests.oracles import tally as oracle
from tests.oracles.tally import Packet

LIMITED = TrafficClass(
    "voice", sla=SlaClass(latency_ns=100 * MS, jitter_ns=9 * MS, loss_ppm=10_000)
)
FREE = TrafficClass("rest")

PACKET = st.one_of(
    st.builds(
        Packet, st.just(0), st.sampled_from([5 * MS, 6 * MS, 49 * MS, 60 * MS]),
        st.sampled_from([1, 1, 1, 2]),
    ),
    st.just(Packet(0, None, 0)),
)  # fmt: skip
LIVES = st.tuples(
    st.lists(st.lists(PACKET, max_size=8), max_size=7),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=7, max_size=7),
    st.sets(st.integers(0, 7)),
)
"""The packets of slots, how many columns stand before and after them, and where seconds end."""

Life = tuple[list[list[Packet]], list[tuple[int, int]], set[int]]


def teeth_of(packets: list[Packet], room: tuple[int, int]) -> Teeth:
    """Lay out a slot of two like streams, with columns beside it that do not belong to it."""
    before, after = room
    width = before + len(packets) + after
    inside = np.zeros((2, width), dtype=np.bool_)
    inside[:, before : before + len(packets)] = True
    sent, arrived = np.zeros((2, 2, width), dtype=np.int64)
    copies = np.ones((2, width), dtype=np.int64)
    for place, packet in enumerate(packets, start=before):
        sent[:, place] = packet.sent_ns
        lost = packet.delay_ns is None
        arrived[:, place] = NEVER if lost else packet.sent_ns + (packet.delay_ns or 0)
        copies[:, place] = packet.copies
    return Teeth(sent, np.zeros((2, width), dtype=np.int32), arrived, copies, inside)


def live(module: ModuleType, plain: ModuleType, life: Life) -> None:
    slots, rooms, ends = life
    counted = module.Tally((FREE, LIMITED))
    counted.add(np.array([0], dtype=np.int64))
    both = counted.add(np.array([0, 1], dtype=np.int64))
    every: list[Packet] = []
    closed, degraded = 0, 0
    for number, packets in enumerate(slots):
        placed = [p._replace(sent_ns=(len(every) + n) * TOOTH_NS) for n, p in enumerate(packets)]
        if placed:
            counted.count(both, teeth_of(placed, rooms[number]))
        every += placed
        if number in ends:
            told, worth = counted.close_second(both), plain.second(every[closed:], every[:closed])
            columns = told.offered, told.delivered, told.duplicated, told.delay_ns, told.jitter_ns
            assert [tuple(int(c[n]) for c in columns) for n in (0, 1)] == [worth, worth]
            kept = worth.delivered > 0 and (worth.offered - worth.delivered) * 100 <= worth.offered
            kept &= 2 * worth.delay_ns <= 100 * MS and worth.jitter_ns <= 9 * MS
            assert told.in_sla.tolist() == [-1, int(kept) if worth.offered else -1]
            degraded += 0 if kept else worth.offered * TOOTH_NS
            closed = len(every)
    counted.finish()
    assert counted.outage_ns.tolist() == [0, *[plain.outage_ns(every)] * 2]
    assert counted.degraded_ns.tolist() == [0, 0, degraded]


@given(LIVES)
def test_a_stream_is_worth_what_its_packets_say(life: Life) -> None:
    """However the packets fall into slots and seconds; another stream is untouched."""
    live(kernel, oracle, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_AROUND: Final = 2", "_AROUND: Final = 1"),
        ("2 * delivered < span", "2 * delivered <= span + 1"),
        ("2 * known", "known"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of counting wrongly is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIVES, lambda life: live(broken, oracle, life))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[True, True, *(", "[False, False, *("),
        ("arrived[place - 2 : place + 3]", "arrived[place - 2 : place + 2]"),
        ("2 * sum(around) < len(around)", "2 * sum(around) <= len(around)"),
        ("[*earlier[-1:], *delays]", "delays"),
        ("abs(b - a)", "b - a"),
        ("for p in packets if p.delay_ns is not None),", "for p in packets),"),
        ("sum(delays) // len(delays)", "min(delays)"),
        ("sum(steps) // len(steps)", "max(steps)"),
    ],
)
def test_the_property_tells_the_definitions_from_their_neighbours(old: str, new: str) -> None:
    """With any definition changed some stream is worth something else."""
    other = mutant(oracle, old, new)
    assert caught(LIVES, lambda life: live(kernel, other, life))


def test_a_cut_is_exact_to_a_tooth_and_a_lone_loss_is_none() -> None:
    """Of twenty packets one is lost here and there: no outage; seven in a row: 70 ms."""
    good, lost = Packet(0, 5 * MS), Packet(0, None, 0)
    for line, out in (
        ([good, lost, good, good, lost] * 4, 0),
        ([good] * 6 + [lost] * 7 + [good] * 7, 70 * MS),
        ([lost] * 20, 200 * MS),
    ):
        counted = Tally((FREE,))
        counted.count(counted.add(np.zeros(2, dtype=np.int64)), teeth_of(line, (0, 0)))
        counted.finish()
        assert counted.outage_ns.tolist() == [out, out]


def test_the_warm_up_is_forgotten_but_not_how_it_ended() -> None:
    """After a reset the counts are those of what comes; the last teeth still count as around."""
    counted = Tally((FREE,))
    streams = counted.add(np.zeros(2, dtype=np.int64))
    counted.count(streams, teeth_of([Packet(0, None, 0)] * 8, (0, 0)))
    counted.reset()
    assert counted.outage_ns.tolist() == [0, 0]
    counted.count(streams, teeth_of([Packet(0, 5 * MS)] * 4, (0, 0)))
    assert counted.close_second(streams).offered.tolist() == [4, 4]
    # The last two lost ones are judged now: around each of them three or more are lost.
    assert counted.outage_ns.tolist() == [2 * TOOTH_NS] * 2


@given(
    st.integers(0, TOOTH_NS - 1),
    st.sampled_from([-3 * SECOND, -1, 0, 1, 7 * MS, 10 * MS, SECOND]),
    st.integers(0, 35 * MS),
)
def test_teeth_between_two_instants(phase: int, start: int, length: int) -> None:
    """Exactly those multiples of 10 ms plus the phase that lie in the half-open span."""
    teeth = teeth_between(*(np.array([n], dtype=np.int64) for n in (phase, start, start + length)))
    span = range(start // TOOTH_NS - 1, (start + length) // TOOTH_NS + 2)
    assert teeth.tolist() == [sum(start <= n * TOOTH_NS + phase < start + length for n in span)]


@pytest.mark.parametrize(
    ("sla", "teeth"),
    [
        (SlaClass(), 101),
        (SlaClass(loss_ppm=0), 1),
        (SlaClass(loss_ppm=10_000), 2),
        (SlaClass(loss_ppm=999_999), 50),  # no class bears the loss of half
        (SlaClass(latency_ns=MS), 50),
    ],
)
def test_what_spoils_a_second(sla: SlaClass, teeth: int) -> None:
    """One lost packet in a hundred is one per cent; without limits nothing spoils anything."""
    assert spoiling_teeth(sla) == teeth
    assert has_limits(sla) == (sla != SlaClass())
