"""The search for the path's MTU finds it, in few probes, and notices when it shrinks."""

from dataclasses import dataclass, field
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.tunnels.pmtu import (
    BASE_PLPMTU,
    CONFIRMATION_TIMER_NS,
    MAX_PROBES,
    MIN_PLPMTU,
    PMTU_RAISE_TIMER_NS,
    Action,
    Found,
    PathMtu,
    Probe,
    State,
)
from patronus.engine.units import MS, SECOND

RTT_NS = 10 * MS


@dataclass
class Path:
    """A path that passes what fits, in virtual time."""

    search: PathMtu
    mtu: int
    now_ns: int = 0
    probes: list[int] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Found):
                self.found.append(action)
                continue
            self.probes.append(action.size)
            if action.size <= self.mtu:
                self.now_ns += RTT_NS
                self.take(self.search.answered(action.number, self.now_ns))

    def run(self, until_ns: int) -> None:
        while self.search.next_deadline() <= until_ns:
            self.now_ns = max(self.now_ns, self.search.next_deadline())
            self.take(self.search.poll(self.now_ns))
        self.now_ns = max(self.now_ns, until_ns)

    def settle(self) -> None:
        while self.search.state is not State.SEARCH_COMPLETE:
            assert len(self.probes) < 200, "never settles"
            self.run(max(self.now_ns, self.search.next_deadline()))


def path(mtu: int, interface_mtu: int = 1500, version: int = 4) -> Path:
    return Path(PathMtu(version=version, interface_mtu=interface_mtu), mtu)


versions = st.sampled_from([4, 6])


@given(versions, st.integers(576, 9200), st.integers(576, 9200))
def test_the_largest_size_that_fits_is_found(version: int, mtu: int, interface: int) -> None:
    """Any path that takes sizes up to one and no further is measured to the byte."""
    mtu, interface = max(mtu, MIN_PLPMTU[version]), max(interface, MIN_PLPMTU[version])
    p = path(mtu, interface, version)
    p.settle()
    assert p.search.pmtu == min(mtu, interface)
    assert p.found[-1] == Found(min(mtu, interface), complete=True)
    sizes = ceil(log2(interface - MIN_PLPMTU[version] + 1)) + 3
    assert len(p.probes) <= sizes * MAX_PROBES
    assert all(size <= interface for size in p.probes)


@given(st.integers(576, 9000), st.integers(576, 9000))
def test_nothing_larger_than_fits_is_ever_promised(mtu: int, interface: int) -> None:
    """On the way to the result no size is reported that does not fit."""
    p = path(mtu, interface)
    p.settle()
    assert all(found.pmtu <= mtu for found in p.found)
    sizes = [found.pmtu for found in p.found]
    assert sizes == sorted(sizes)


@given(st.integers(576, 1500), st.integers(576, 1500), st.booleans())
def test_a_black_hole_is_found_and_recovered_from(before: int, after: int, told: bool) -> None:
    """A path that shrinks is measured anew: idle within 10 s, on suspicion at once."""
    p = path(before)
    p.search.set_rtt(RTT_NS)
    p.settle()
    p.mtu = after
    start_ns = p.now_ns
    if told:
        p.take(p.search.suspect(p.now_ns))
        p.run(p.now_ns + 2 * SECOND)
    else:
        p.run(p.now_ns + 10 * SECOND)
    assert p.search.pmtu <= after
    assert p.search.black_holes == (after < before)
    p.run(start_ns + PMTU_RAISE_TIMER_NS + 2 * CONFIRMATION_TIMER_NS + 10 * SECOND)
    assert p.search.pmtu == after


@given(st.integers(576, 1499), st.integers(50, 2000))
def test_steady_suspicion_does_not_hold_the_search_up(after: int, every_ms: int) -> None:
    """Large packets go on being lost until the search is over: it ends as soon all the same."""
    p = path(1500)
    p.search.set_rtt(RTT_NS)
    p.settle()
    start_ns, p.mtu = p.now_ns, after
    sizes = ceil(log2(1500 - MIN_PLPMTU[4] + 1)) + 3
    # The doubt itself, each size, and a proof of what is in use for each that was refuted.
    timer_ns = p.search.probe_timer_ns + RTT_NS
    bound_ns = 2 * sizes * MAX_PROBES * timer_ns + 2 * every_ms * MS
    while not p.search.black_holes or p.search.state is not State.SEARCH_COMPLETE:
        p.take(p.search.suspect(p.now_ns))
        p.run(p.now_ns + every_ms * MS)
        assert p.now_ns - start_ns <= bound_ns
    assert p.search.pmtu == after


@given(st.integers(576, 1500))
def test_an_outage_lowers_nothing_until_something_smaller_passes(mtu: int) -> None:
    """While nothing passes the MTU stays; afterwards the same one is found again."""
    p = path(mtu)
    p.settle()
    count = len(p.found)
    p.mtu = 0
    p.run(p.now_ns + 60 * SECOND)
    assert p.search.state.value == "error"
    assert p.search.pmtu == mtu
    assert len(p.found) == count
    p.mtu = mtu
    p.run(p.now_ns + 60 * SECOND)
    assert p.search.state is State.SEARCH_COMPLETE
    assert p.search.pmtu == mtu


def test_one_late_answer_hardly_lengthens_the_wait() -> None:
    """The wait follows what is usual: it is four round trips, and an eighth of a late one."""
    search = PathMtu(version=4, interface_mtu=1500)
    search.set_rtt(40 * MS)
    assert search.probe_timer_ns == 160 * MS
    search.set_rtt(280 * MS)
    assert search.probe_timer_ns == 4 * 70 * MS
    for _ in range(100):
        search.set_rtt(40 * MS)
    assert search.probe_timer_ns < 165 * MS


def test_an_outage_costs_one_probe_a_second() -> None:
    """However short the round trip, a dead path is asked at most once a second."""
    p = path(1500)
    p.search.set_rtt(MS)
    p.settle()
    p.mtu = 0
    p.run(p.now_ns + 20 * SECOND)
    before = len(p.probes)
    p.run(p.now_ns + 100 * SECOND)
    assert len(p.probes) - before <= 101


def test_a_path_that_grows_is_noticed_by_the_raise_timer() -> None:
    """A larger MTU is found within the raise timer, and nothing shrinks meanwhile."""
    p = path(1400)
    p.settle()
    p.mtu = 1500
    p.run(p.now_ns + PMTU_RAISE_TIMER_NS + 2 * CONFIRMATION_TIMER_NS)
    assert p.search.pmtu == 1500
    assert [f.pmtu for f in p.found] == sorted(f.pmtu for f in p.found)


def test_random_loss_of_single_probes_changes_nothing() -> None:
    """A size counts as too large only after MAX_PROBES losses of it in a row."""
    search = PathMtu(version=4, interface_mtu=1500)
    now_ns, drops = 0, 0
    while search.state is not State.SEARCH_COMPLETE:
        now_ns = max(now_ns, search.next_deadline())
        for action in search.poll(now_ns):
            assert isinstance(action, Probe)
            drops += 1
            if drops % MAX_PROBES == 0:
                search.answered(action.number, now_ns)
    assert search.pmtu == 1500


@pytest.mark.parametrize("interface", [1500, 9000])
def test_a_path_like_its_interface_takes_two_probes(interface: int) -> None:
    """The likeliest size is asked right after the base."""
    p = path(interface, interface)
    p.settle()
    assert p.probes == [BASE_PLPMTU, interface]


def test_a_late_or_foreign_answer_means_nothing() -> None:
    """Only the number of the probe under way proves anything."""
    search = PathMtu(version=4, interface_mtu=1500)
    (probe,) = search.poll(0)
    assert isinstance(probe, Probe)
    assert search.answered(probe.number + 1, 1) == []
    assert search.answered(probe.number - 1, 1) == []
    assert search.state is State.BASE
    assert search.answered(probe.number, 1) == [Found(BASE_PLPMTU, complete=False)]
    assert search.answered(probe.number, 1) == []


@given(st.integers(0, 70_000))
def test_a_claim_of_too_big_never_moves_the_mtu_by_itself(claim: int) -> None:
    """A forged ICMP message costs at most a probe."""
    p = path(1400)
    p.settle()
    p.take(p.search.too_big(claim, p.now_ns))
    p.run(p.now_ns + 30 * SECOND)
    assert p.search.pmtu == 1400
    assert p.search.black_holes == 0


@pytest.mark.parametrize("claim", [1300, 1400, 1450])
def test_a_true_claim_shortens_the_search(claim: int) -> None:
    """A router that names its MTU during the search spares probes."""
    plain, told = path(claim), path(claim)
    plain.settle()
    told.run(0)
    told.take(told.search.too_big(claim, told.now_ns))
    told.settle()
    assert told.search.pmtu == plain.search.pmtu == claim
    assert len(told.probes) < len(plain.probes)


@given(st.integers(68, 9000))
def test_the_interface_bounds_the_mtu_at_once(interface: int) -> None:
    """A smaller interface MTU holds immediately, a larger one is searched."""
    p = path(9000, 1500)
    p.settle()
    p.take(p.search.set_interface_mtu(interface, p.now_ns))
    assert p.search.pmtu <= max(interface, MIN_PLPMTU[4])
    p.settle()
    assert p.search.pmtu == max(interface, MIN_PLPMTU[4])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("poll"), st.integers(0, 20 * SECOND)),
            st.tuples(st.just("answer"), st.integers(-2, 1)),
            st.tuples(st.just("suspect"), st.just(0)),
            st.tuples(st.just("too_big"), st.integers(0, 9000)),
            st.tuples(st.just("interface"), st.integers(0, 9000)),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_breaks_an_invariant(events: list[tuple[str, int]]) -> None:
    """Whatever happens when, the MTU lies between floor and ceiling and a deadline is set."""
    search, now_ns, last, ceiling = PathMtu(version=4, interface_mtu=1500), 0, 0, 1500
    for kind, value in events:
        actions: list[Action] = []
        if kind == "poll":
            now_ns += value
            actions = search.poll(now_ns)
        elif kind == "answer":
            actions = search.answered(last + value, now_ns)
        elif kind == "suspect":
            actions = search.suspect(now_ns)
        elif kind == "too_big":
            actions = search.too_big(value, now_ns)
        else:
            ceiling = max(value, 576)
            actions = search.set_interface_mtu(value, now_ns)
        for action in actions:
            if isinstance(action, Probe):
                last = action.number
                assert 576 <= action.size <= ceiling
        assert 576 <= search.pmtu <= ceiling
        assert search.next_deadline() <= now_ns + max(CONFIRMATION_TIMER_NS, SECOND)


def test_an_outage_that_ends_between_base_and_floor_is_no_small_path() -> None:
    """The base was lost in the outage and the floor answered after it: all is asked again."""
    p = path(1500)
    p.settle()
    p.mtu = 0
    while p.search.state is not State.ERROR:
        p.run(p.search.next_deadline())
    p.mtu = 1500
    p.settle()
    assert p.search.pmtu == 1500
    assert {found.pmtu for found in p.found if found.complete} == {1500}
    assert p.search.refused == 1501
