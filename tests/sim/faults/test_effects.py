"""Effects of faults on links: composed as a set, found at any instant, undone without trace."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.units import MS, NEVER, PPM, SECOND
from patronus.sim.bursts import Bursts
from patronus.sim.faults import effects as effects_module
from patronus.sim.faults.effects import LinkEffects, effects
from patronus.sim.luck import object_keys
from patronus.sim.scenario import Burst, FaultKind, FaultSpec
from patronus.sim.timeline import Occurrence, Timeline
from tests.mutants.harness import caught, mutant
from tests.oracles.link_effects import Effect, effect_at
from tests.sim.handmade import make_fault, make_network

NETWORK = make_network()
LINKS = NETWORK.underlay.links
COUNT = len(LINKS.names)
ALL_LINKS = np.arange(COUNT)

KINDS = {
    FaultKind.BLACKHOLE: {},
    FaultKind.SITE_CRASH: {},
    FaultKind.LINK_DOWN: {},
    FaultKind.LOSS: {"loss_ppm": 1},
    FaultKind.CORRUPTION: {"loss_ppm": 1},
    FaultKind.DUPLICATION: {"loss_ppm": 1},
    FaultKind.REORDERING: {"loss_ppm": 1, "delay_ns": 1},
    FaultKind.DELAY: {"delay_ns": 1, "jitter_ns": 1},
    FaultKind.JITTER: {"jitter_ns": 1},
    FaultKind.RATE: {"rate_bps": 1},
    FaultKind.MTU_BLACKHOLE: {"mtu": 1},
}
SIZES = {"loss_ppm": PPM, "delay_ns": SECOND, "jitter_ns": SECOND, "rate_bps": 10**9, "mtu": 1500}


def timeline(*occurrences: Occurrence) -> Timeline:
    """Put occurrences into a timeline of a minute."""
    return Timeline(tuple(occurrences), (), 60 * SECOND)


def on(
    fault: FaultSpec, *links: int, at: int = 10, until: int = 20, ordinal: int = 0
) -> Occurrence:
    """Let a fault hit links from one second until another."""
    return Occurrence(fault, ordinal, at * SECOND, until * SECOND, links)


def build(*occurrences: Occurrence) -> LinkEffects:
    """Compile the effects of occurrences."""
    return effects(timeline(*occurrences), LINKS, seed=1)


def seen(found: LinkEffects, link: int, t_ns: int) -> Effect:
    """Return the effect on one link at one instant as the oracle writes it."""
    state = found.at(np.array([link]), t_ns)
    return Effect(**{f.name: getattr(state, f.name)[0] for f in fields(Effect)})


@st.composite
def timelines(draw: st.DrawFn) -> tuple[Occurrence, ...]:
    """Draw overlapping, touching, nested, equal and endless occurrences on few links."""
    times = st.integers(0, 6).map(lambda t: t * SECOND)
    found = []
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        sizes: dict[str, Any] = {name: draw(st.integers(1, SIZES[name])) for name in KINDS[kind]}
        fault = make_fault(kind, draw(st.sampled_from("abc")) + str(number), **sizes)
        start, end = sorted((draw(times), draw(times)))
        links = draw(st.sets(st.integers(0, 3), min_size=1))
        for ordinal in range(draw(st.integers(1, 2))):
            end_ns = draw(st.sampled_from([end + 1, NEVER]))
            found.append(Occurrence(fault, ordinal, start, end_ns, tuple(sorted(links))))
    return tuple(found)


INSTANTS = [-5 * SECOND, -1, *(s * SECOND + d for s in range(8) for d in (-1, 0, 1))]


@given(timelines())
def test_composition_matches_the_oracle(occurrences: tuple[Occurrence, ...]) -> None:
    """On every link at every edge, a nanosecond before and after, all quantities agree."""
    found = build(*occurrences)
    for t_ns in INSTANTS:
        for link in range(5):
            assert seen(found, link, t_ns) == effect_at(occurrences, link, t_ns)


@given(timelines())
def test_lookup_of_many_is_lookup_of_each(occurrences: tuple[Occurrence, ...]) -> None:
    """A lookup with an instant per link gives what single lookups give."""
    found = build(*occurrences)
    links, times = (a.ravel() for a in np.meshgrid(np.arange(5), INSTANTS))
    together = found.find(links, times)
    assert together.tolist() == [
        int(found.find(np.array([link]), int(t))[0]) for link, t in zip(links, times, strict=True)
    ]


@given(timelines(), st.integers(-1, 8), st.integers(0, 9))
def test_changing_and_touched(occurrences: tuple[Occurrence, ...], start: int, length: int) -> None:
    """Links not changing stay as the window began; links not touched are neutral throughout."""
    found = build(*occurrences)
    start_ns, end_ns = start * SECOND, (start + length) * SECOND
    changing = set(found.changing(start_ns, end_ns).tolist())
    touched = set(found.touched(start_ns, end_ns).tolist())
    assert changing <= touched
    for link in range(5):
        states = [
            effect_at(occurrences, link, t) for t in (start_ns, *INSTANTS) if start_ns <= t < end_ns
        ]
        if link not in changing:
            assert all(state == states[0] for state in states)
        if link not in touched:
            assert all(state == Effect() for state in states)
        elif link not in changing and states:
            assert states[0] != Effect()


def test_a_change_at_the_windows_edges_is_none() -> None:
    """A fault that begins with the window or at its end does not make a link change in it."""
    found = build(on(make_fault(), 2))
    assert found.changing(10 * SECOND, 20 * SECOND).tolist() == []
    assert found.changing(10 * SECOND - 1, 20 * SECOND).tolist() == [2]
    assert found.changing(10 * SECOND, 20 * SECOND + 1).tolist() == [2]
    assert found.touched(10 * SECOND, 20 * SECOND).tolist() == [2]
    assert found.touched(20 * SECOND, 60 * SECOND).tolist() == []


def test_no_link_is_neutral() -> None:
    """The missing link -1 and the padding link beyond the last one are never harmed."""
    found = build(*(on(make_fault(), *range(COUNT)),))
    black = found.at(np.array([-1, COUNT, 0, COUNT - 1]), 15 * SECOND).blackhole
    assert black.tolist() == [False, False, True, True]


def test_undo_removes_one_member_and_restores_nothing() -> None:
    """When the first of two overlapping losses ends, exactly the second one is left."""
    one = make_fault(FaultKind.LOSS, "one", loss_ppm=100_000)
    two = make_fault(FaultKind.LOSS, "two", loss_ppm=200_000)
    found = build(on(one, 0, at=10, until=20), on(two, 0, at=15, until=25))
    losses = found.at(np.zeros(4, np.int64), np.array([12, 17, 22, 27]) * SECOND).loss_ppm
    # 1 - 0.9 x 0.8 = 0.28 where both are there.
    assert losses.tolist() == [100_000, 280_000, 200_000, 0]


@given(timelines(), st.permutations(range(6)))
def test_order_in_the_timeline_does_not_matter(
    occurrences: tuple[Occurrence, ...], order: list[int]
) -> None:
    """Composition goes by name, so any order of occurrences gives equal parameters."""
    shuffled = [occurrences[i] for i in order if i < len(occurrences)]
    shuffled += occurrences[6:]
    one, other = build(*occurrences), build(*shuffled)
    for t_ns in INSTANTS:
        for link in range(4):
            a, b = seen(one, link, t_ns), seen(other, link, t_ns)
            assert replace(a, cause=0) == replace(b, cause=0)


def test_a_crash_hides_the_faults_beneath() -> None:
    """Black dominates, and the cause is the first black fault by name."""
    crash, hole = make_fault(FaultKind.SITE_CRASH, "a"), make_fault(name="b")
    loss = make_fault(FaultKind.LOSS, "c", loss_ppm=PPM)
    found = build(on(loss, 0), on(hole, 0), on(crash, 0))
    state = found.at(np.array([0]), 15 * SECOND)
    assert (state.blackhole[0], state.cause[0]) == (True, 2)


def test_faults_on_sites_and_rows_leave_links_alone() -> None:
    """An agent's death, a drain or a rekey storm has no part in the links' parameters."""
    kinds = FaultKind.AGENT_KILL, FaultKind.DRAIN, FaultKind.REKEY_STORM, FaultKind.LAN_DOWN
    occurrences = [
        Occurrence(make_fault(kind, kind), 0, 0, NEVER, sites=(1,), rows=(0,)) for kind in kinds
    ]
    assert build(*occurrences).touched(0, NEVER).tolist() == []


# ---------------------------------------------------------------- bursts of faults

BURST = Burst(gap_ns=300 * MS, length_ns=100 * MS, loss_ppm=700_000)


def test_bursts_are_losses_in_their_bad_periods() -> None:
    """A burst fault adds its loss exactly in the bad periods keyed by fault and link."""
    fault = make_fault(FaultKind.BURST_LOSS, "gusts", burst=BURST)
    base = make_fault(FaultKind.LOSS, "base", loss_ppm=100_000)
    found = build(on(fault, 3, 7), on(base, 3, 7, 8, at=0, until=60))
    keys = object_keys(1, "burst/gusts", LINKS.key[[3, 7]])
    bad = Bursts(keys, [BURST] * 2).bad(10 * SECOND, 20 * SECOND)
    times = np.arange(9 * SECOND, 21 * SECOND, 7 * MS)
    for place, link in enumerate((3, 7)):
        mine = bad.link == place
        inside = (
            (bad.from_ns[mine] <= times[:, None]) & (times[:, None] < bad.until_ns[mine])
        ).any(axis=1)
        assert inside.sum() > 100
        loss = found.at(np.full(len(times), link), times).loss_ppm
        assert np.array_equal(loss, np.where(inside, 730_000, 100_000))


def test_bursts_do_not_depend_on_the_schedule() -> None:
    """Starting earlier, or another fault beside it, leaves the bursts of an instant equal."""
    fault = make_fault(FaultKind.BURST_LOSS, "gusts", burst=BURST)
    early, late = build(on(fault, 3, at=5)), build(on(make_fault(name="z"), 4), on(fault, 3))
    times = np.arange(10 * SECOND, 20 * SECOND, 3 * MS)
    links = np.full(len(times), 3)
    assert np.array_equal(early.at(links, times).loss_ppm, late.at(links, times).loss_ppm)


def test_endless_bursts_go_on_to_the_end_of_the_run() -> None:
    """A burst fault that is not undone still burns just after the last second."""
    fault = make_fault(FaultKind.BURST_LOSS, "gusts", burst=BURST)
    found = build(Occurrence(fault, 0, 0, NEVER, (3,)))
    times = np.arange(59 * SECOND, 62 * SECOND, 3 * MS)
    loss = found.at(np.full(len(times), 3), times).loss_ppm
    assert loss[times > 60 * SECOND].any()


def test_bursts_without_any_end_are_refused() -> None:
    """Endless bursts on an endless timeline would be infinitely many."""
    fault = make_fault(FaultKind.BURST_LOSS, "gusts", burst=BURST)
    endless = Timeline((Occurrence(fault, 0, 0, NEVER, (3,)),))
    with pytest.raises(ValueError, match="gusts#0"):
        effects(endless, LINKS, seed=1)


# ---------------------------------------------------------------- longest delay


def test_longest_delay_bounds_every_route() -> None:
    """Two access links and all links of one carrier together give the bound."""
    up = [int(x) for x in NETWORK.underlay.up[:3, 0]]
    rings = [p.first_link for p in NETWORK.underlay.providers]
    slow = make_fault(FaultKind.DELAY, "slow", delay_ns=10 * MS, jitter_ns=MS)
    held = make_fault(FaultKind.REORDERING, "held", loss_ppm=1, delay_ns=3 * MS)
    found = build(on(slow, *up, rings[0], rings[0] + 2, rings[1]), on(held, rings[1]))
    # Access: 2 x 11; the first carrier: 2 x 11; the second: 11 + 3.
    assert found.longest_delay_ns == (22 + 22) * MS


def test_nothing_is_held_back_without_faults() -> None:
    """An empty timeline is neutral everywhere, always."""
    found = build()
    assert found.longest_delay_ns == 0
    assert seen(found, 0, 0) == Effect()
    assert found.changing(0, NEVER).tolist() == []


# ---------------------------------------------------------------- mutants

MUTANTS = {
    "p + q - (p * q + PPM // 2) // PPM": "p + q - p * q // PPM",
    "a[:, _SUMS] + b[:, _SUMS]": "np.maximum(a[:, _SUMS], b[:, _SUMS])",
    "np.minimum(a[:, _LIMITS], b[:, _LIMITS])": "b[:, _LIMITS]",
    "(value[:, Quantity.BLACK] > 0) & (cause[where] < 0)": "value[:, Quantity.BLACK] > 0",
    "np.lexsort((members.rank[member], span))": "np.lexsort((members.who[member], span))",
    'np.searchsorted(self._times, at, side="right") - 1': (
        'np.maximum(np.searchsorted(self._times, at, side="left") - 1, 0)'
    ),
    "count -= first": "count -= first - 1",
    "[base, real]": "[real]",
}


@pytest.mark.parametrize(("old", "new"), MUTANTS.items())
def test_the_oracle_notices_mutants(old: str, new: str) -> None:
    """Rounding, order, edges and bases broken one at a time are each told from the oracle."""
    broken = mutant(effects_module, old, new)

    def holds(occurrences: tuple[Occurrence, ...]) -> None:
        found = broken.effects(timeline(*occurrences), LINKS, seed=1)
        for t_ns in INSTANTS:
            for link in range(5):
                assert seen(found, link, t_ns) == effect_at(occurrences, link, t_ns)

    assert caught(timelines(), holds)
