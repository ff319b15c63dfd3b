"""Congestion: nothing appears or vanishes, capacity holds, queues follow M/M/1 to the buffer."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.overlay import I64
from patronus.engine.units import MS, NEVER, PPM, SECOND
from patronus.sim import congestion, traffic
from patronus.sim.congestion import Congestion, Routes, capacities, congest, queueing_ns
from patronus.sim.faults.effects import effects
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence, Timeline
from tests.mutants.harness import caught, mutant
from tests.rules.arithmetic import findings
from tests.sim.handmade import make_fault, make_network

Case = tuple[list[list[int]], list[int], list[int], list[int]]
"""Routes, rates by flow, capacities by link, wire loss by link."""

LINKS = 5
FEW = settings(max_examples=50)


def routes_of(paths: Sequence[Sequence[int]]) -> Routes:
    """Put the links of each flow into one table."""
    start = np.cumsum([0, *map(len, paths)])
    return Routes(start, np.array([link for path in paths for link in path], dtype=np.int32))


def run(case: Case, module: ModuleType = congestion) -> Congestion:
    """Let links of a 50 ms buffer congest."""
    paths, rates, capacity, wire = case
    state: Congestion = module.congest(
        routes_of(paths),
        rate_bps=np.array(rates, dtype=np.int64),
        capacity_bps=np.array(capacity, dtype=np.int64),
        buffer_ns=np.full(LINKS, 50 * MS),
        wire_loss_ppm=np.array(wire, dtype=np.int64),
    )
    return state


@st.composite
def cases(draw: st.DrawFn, *, forward: bool = False, lossy: bool = True) -> Case:
    """Draw flows over few links, in ascending order of links if ``forward``."""
    path = st.lists(st.integers(0, LINKS - 1 - forward), unique=True, max_size=4)
    paths = draw(st.lists(path, max_size=8))
    rate = st.one_of(
        st.integers(1, 2_000), st.integers(1, 10**10), st.integers(4 * 10**12, 2 * 10**13)
    )
    rates = draw(st.lists(rate, min_size=len(paths), max_size=len(paths)))
    # Capacities often lie just beside a rate.
    beside = st.builds(lambda r, d: max(0, r - d), st.sampled_from([*rates, 5]), st.integers(-2, 9))
    capacity = draw(st.lists(rate | beside, min_size=LINKS, max_size=LINKS))
    loss = st.sampled_from([0, 1, 300_000, PPM] if lossy else [0])
    wire = draw(st.lists(loss, min_size=LINKS, max_size=LINKS))
    return [sorted(p) if forward else p for p in paths], rates, capacity, wire


def conserves(case: Case, module: ModuleType = congestion) -> None:
    """Check that delivered and lost make up what was offered, in total and at each link."""
    state = run(case, module)
    lost = state.dropped_bps + state.wire_lost_bps
    assert sum(case[1]) == int(state.delivered_bps.sum() + lost.sum())
    for link in range(LINKS):
        through = [i for i, path in enumerate(case[0]) if link in path]
        if through and all(case[0][i][0] == link for i in through):
            assert state.offered_bps[link] == sum(case[1][i] for i in through)
    assert (lost <= state.offered_bps).all()
    assert (state.delivered_bps >= 0).all()


def keeps_capacity(case: Case, module: ModuleType = congestion) -> None:
    """Check that no link carries more than it can, nor wastes what it could carry."""
    state, flows = run(case, module), len(case[0])
    carried = state.offered_bps - state.dropped_bps
    capacity = np.array(case[2])
    assert (carried <= capacity).all()
    # Loss is in whole ppm of the load, and each flow is rounded to a bit per second.
    # Loads beyond 2^42 are compared in steps of 2^20.
    slack = state.offered_bps // PPM + flows + 1
    slack += np.where(state.offered_bps >> 42, 2 * 2**20, 0)
    full = state.loss_ppm > 0
    assert (carried[full] >= capacity[full] - slack[full]).all()
    assert (state.offered_bps[~full] <= capacity[~full]).all()


@FEW
@given(cases())
def test_delivered_and_lost_is_offered(case: Case) -> None:
    """To the last bit, with overload, circles, cut links and links of no capacity."""
    conserves(case)


@given(cases(forward=True))
def test_capacity_holds_where_flows_go_forward(case: Case) -> None:
    """Up to four overloaded links in a row settle exactly: full, and never more than full."""
    keeps_capacity(case)


@FEW
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_flows_does_not_matter(case: Case, luck: object) -> None:
    """Flows listed in another order give the same links and the same deliveries."""
    paths, rates, capacity, wire = case
    order = list(range(len(paths)))
    luck.shuffle(order)  # type: ignore[attr-defined]  # Hypothesis' Random
    other = run(([paths[i] for i in order], [rates[i] for i in order], capacity, wire))
    state = run(case)
    assert np.array_equal(state.loss_ppm, other.loss_ppm)
    assert np.array_equal(state.delay_ns, other.delay_ns)
    assert state.delivered_bps[order].tolist() == other.delivered_bps.tolist()


@FEW
@given(cases(), st.integers(0, LINKS - 1))
def test_more_capacity_never_loses_more_in_all(case: Case, link: int) -> None:
    """On routes of one link, a wider link delivers at least as much."""
    paths, rates, capacity, _ = case
    single = [path[:1] for path in paths]
    wider = [c * 2 + 1 if i == link else c for i, c in enumerate(capacity)]
    before, after = (
        run((single, rates, c, [0] * LINKS)).delivered_bps.sum() for c in (capacity, wider)
    )
    assert after >= before


# ---------------------------------------------------------------- by hand


def test_a_half_overloaded_link() -> None:
    """Three flows of 50 Mbit/s over 100 Mbit/s lose a third each and fill the buffer."""
    state = run(([[0]] * 3, [50_000_000] * 3, [100_000_000] * LINKS, [0] * LINKS))
    assert state.loss_ppm.tolist() == [333_334, 0, 0, 0, 0]
    assert state.delivered_bps.tolist() == [33_333_300] * 3
    assert state.delay_ns.tolist() == [50 * MS, 0, 0, 0, 0]


def test_a_huge_link_overloaded_by_a_little() -> None:
    """Three bits above five terabits, the loss is rounded up to something, not down to nothing."""
    state = run(([[0]], [5 * 10**12], [5 * 10**12 - 3] * LINKS, [0] * LINKS))
    assert state.loss_ppm[0] == 1
    assert state.delivered_bps[0] == 5 * 10**12 - 5 * 10**6


def test_upstream_loss_relieves_the_next_link() -> None:
    """What the first link drops the second need not carry: it stays without loss."""
    paths, rates = [[0, 1], [1]], [200_000_000, 40_000_000]
    state = run((paths, rates, [50_000_000, 100_000_000, 1, 1, 1], [0] * LINKS))
    assert state.loss_ppm.tolist()[:2] == [750_000, 0]
    assert state.offered_bps.tolist()[:2] == [200_000_000, 90_000_000]
    # 8000 bits at 100 Mbit/s are 80 µs; at 90 % they wait 9 services.
    assert state.delay_ns[1] == 720_000


def test_a_cut_link_relieves_what_lies_behind() -> None:
    """Loss on the wire thins the load of later links but fills the queue before it."""
    state = run(([[0, 1]], [80_000_000], [100_000_000] * LINKS, [PPM, 0, 0, 0, 0]))
    assert state.offered_bps.tolist()[:2] == [80_000_000, 0]
    assert state.wire_lost_bps.tolist()[:2] == [80_000_000, 0]
    assert state.delivered_bps.tolist() == [0]


def test_circles_settle() -> None:
    """Two flows that cross two full links in opposite orders end near the exact balance."""
    state = run(([[0, 1], [1, 0]], [200_000_000] * 2, [100_000_000] * LINKS, [0] * LINKS))
    # Load L = 200 + 200 x 100 / L Mbit/s, so L = 100 (1 + sqrt 3) = 273.2; loss 63.4 %.
    assert abs(int(state.loss_ppm[0]) - 633_975) < 50
    assert state.loss_ppm[0] == state.loss_ppm[1]


def test_steep_circles_do_not_swing() -> None:
    """Where each link's loss hangs steeply on the other's, half steps still settle."""
    heavy = [2_000_000_000, 2_000_000_000, 60_000_000, 60_000_000]
    paths = [[0, 1], [1, 0], [0], [1]]
    state = run((paths, heavy, [100_000_000] * LINKS, [0] * LINKS))
    carried = state.offered_bps[:2] - state.dropped_bps[:2]
    assert (carried <= 101_000_000).all()
    assert (carried >= 99_000_000).all()


def test_no_flow_no_load() -> None:
    """Without flows, and for flows that cross nothing, links are idle and all is delivered."""
    assert not run(([], [], [0] * LINKS, [0] * LINKS)).delay_ns.any()
    state = run(([[], [2]], [7, 0], [0] * LINKS, [0] * LINKS))
    assert state.delivered_bps.tolist() == [7, 0]
    assert not state.loss_ppm.any()
    assert not state.delay_ns.any()


def test_wire_loss_is_optional() -> None:
    """Left out, wires lose nothing."""
    state = congest(
        routes_of([[0]]),
        rate_bps=np.array([10]),
        capacity_bps=np.array([20]),
        buffer_ns=np.array([MS]),
    )
    assert state.delivered_bps.tolist() == [10]


# ---------------------------------------------------------------- queues


RATES = st.integers(0, 10**13)


def queue(load: int, capacity: int, buffer_ns: int = NEVER) -> int:
    """Return the queueing delay of one link."""
    three: list[I64] = [np.array([x], dtype=np.int64) for x in (load, capacity, buffer_ns)]
    return int(queueing_ns(*three)[0])


@given(RATES, RATES, st.integers(0, SECOND))
def test_queue_is_mm1_up_to_the_buffer(load: int, capacity: int, buffer_ns: int) -> None:
    """The delay is service x load / (capacity - load) in whole ns, cut at the buffer."""
    if load >= capacity:
        expected = buffer_ns if load else 0
    else:
        service = Fraction(8_000 * SECOND // capacity)
        expected = min(int(service * load / (capacity - load)), buffer_ns)
    assert queue(load, capacity, buffer_ns) == expected


@given(RATES, RATES, RATES)
def test_queue_never_shrinks_with_load(one: int, other: int, capacity: int) -> None:
    """More load waits at least as long."""
    low, high = sorted((one, other))
    assert queue(low, capacity, 50 * MS) <= queue(high, capacity, 50 * MS)


# ---------------------------------------------------------------- faults on links


def test_capacity_is_the_lower_of_the_links_and_the_faults() -> None:
    """A rate fault lowers a link's capacity while it is there and never raises it."""
    links = make_network().underlay.links
    cut = make_fault(FaultKind.RATE, "cut", rate_bps=20_000_000)
    idle = make_fault(FaultKind.RATE, "idle", rate_bps=10**12)
    timeline = Timeline(
        (Occurrence(cut, 0, 0, SECOND, (1,)), Occurrence(idle, 0, 0, SECOND, (2,))), (), SECOND
    )
    found = effects(timeline, links, seed=1)
    assert capacities(links, found, 0)[:3].tolist() == [100_000_000, 20_000_000, 100_000_000]
    assert (capacities(links, found, SECOND) == 100_000_000).all()


# ---------------------------------------------------------------- rules


MUTANTS = {
    "np.add.at(lost, link, queued - rate[flow])": "lost[link] += queued - rate[flow]",
    "np.add.at(dropped, link, arrived - queued)": "np.add.at(dropped, link, arrived // 2)",
    "-(-over * PPM // np.maximum(load_bps >> shift, 1))": (
        "over * PPM // np.maximum(load_bps >> shift, 1)"
    ),
    "WHOLE_TURNS: Final = 4": "WHOLE_TURNS: Final = 0",
    "range(TURNS)": "range(1)",
    "np.where(load_bps >> 42, 20, 0)": "0",
}


@pytest.mark.parametrize(("old", "new"), MUTANTS.items())
def test_properties_notice_mutants(old: str, new: str) -> None:
    """Sums that lose, losses rounded down, too few turns and overflow are each noticed."""
    broken = mutant(congestion, old, new)

    def holds(case: Case) -> None:
        conserves(case, broken)
        keeps_capacity(case, broken)

    assert caught(cases(forward=True), holds)


@pytest.mark.parametrize("module", [congestion, traffic], ids=["congestion", "traffic"])
def test_nothing_is_a_float(module: ModuleType) -> None:
    """What congests and what is offered is reckoned in integers."""
    assert findings(Path(str(module.__file__)).read_text()) == []
