"""Two sessions over a fake link: every pair of timers comes Up and stays there."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.bfd import intervals, session
from patronus.dataplane.bfd.authentication import Authentication, AuthType
from patronus.dataplane.bfd.intervals import INTERVAL_US_MAX, Settings
from patronus.dataplane.bfd.machine import State
from patronus.dataplane.bfd.session import Session
from patronus.engine.units import MINUTE, MS, SECOND, US
from tests.dataplane.bfd.link import Link, timers
from tests.mutants.harness import caught, mutant

STRAIGHT_UP = ([State.UP], [State.INIT, State.UP])
"""The only ways to Up without a flap."""

GRID = [
    timers(*values)
    for values in product((1, 50_000, 3_000_000), (1, 50_000, 3_000_000), (1, 3, 255))
]


def stayed_up(link: Link) -> None:
    for end in link.ends:
        assert end.states in STRAIGHT_UP, end.events


@pytest.mark.parametrize("a", GRID, ids=str)
def test_every_pair_of_a_grid_comes_up_without_a_flap(a: Settings) -> None:
    """Microseconds against seconds, multiplier 1 against 255: all pairs come Up and stay."""
    for b in GRID:
        link = Link(a, b, delay_ns=(30 * US, 70 * US), starts_ns=(0, 1300 * MS))
        link.run_until_up()
        link.run(packets=24)
        stayed_up(link)


INTERVALS_US = (
    st.integers(1, 100) | st.integers(1_000, 5_000_000) | st.sampled_from([1, INTERVAL_US_MAX])
)
ANY_SETTINGS = st.builds(timers, INTERVALS_US, INTERVALS_US, st.integers(1, 255))
DELAYS_NS = st.tuples(st.integers(0, 400 * US), st.integers(0, 400 * US))


@given(ANY_SETTINGS, ANY_SETTINGS, DELAYS_NS, st.integers(0, 3 * SECOND), st.integers(0, 2**32))
def test_any_pair_comes_up_without_a_flap(
    a: Settings, b: Settings, delay_ns: tuple[int, int], late_ns: int, seed: int
) -> None:
    """Whatever the timers, delays, luck and who begins: Up within seconds, and no way back."""
    link = Link(a, b, delay_ns=delay_ns, starts_ns=(0, late_ns), seed=seed)
    link.run_until_up()
    link.run(packets=60)
    stayed_up(link)


USUAL_US = st.integers(10_000, 2_000_000)
USUAL = st.builds(timers, USUAL_US, USUAL_US, st.sampled_from([1, 2, 3, 10, 255]))


@given(USUAL, USUAL, st.integers(0, 90 * MS), st.integers(0, 2**32))
def test_usual_pairs_stay_up_for_long(a: Settings, b: Settings, delay_ns: int, seed: int) -> None:
    """Watched for many Detection Times after all is settled, nothing happens any more."""
    link = Link(a, b, delay_ns=(delay_ns, 5 * MS), seed=seed)
    link.run_until_settled(30 * SECOND)
    link.run(MINUTE, packets=200)
    stayed_up(link)


CHANGES = [
    timers(*values)
    for values in product((10_000, 250_000, 1_500_000), (10_000, 250_000, 1_500_000), (1, 4))
]


@pytest.mark.parametrize("before", CHANGES, ids=str)
def test_timers_are_changed_while_up_without_a_flap(before: Settings) -> None:
    """From any point of a grid to any other, on one side, intervals rise and fall while Up."""
    for after in CHANGES:
        link = Link(before, timers(50_000, 50_000), delay_ns=(20 * MS, 15 * MS))
        link.run_until_settled()
        link.configure(0, after)
        link.run_until_settled()
        link.run(packets=40)
        stayed_up(link)
        assert link.a.transmit_interval_us == max(after.desired_min_tx_us, 50_000)
        assert link.b.transmit_interval_us == max(after.required_min_rx_us, 50_000)


STEPS = st.lists(
    st.tuples(st.integers(0, 1), USUAL, st.integers(0, 3 * SECOND)), min_size=1, max_size=6
)
CHANGED = st.tuples(USUAL, USUAL, STEPS, st.integers(0, 400 * MS), st.integers(0, 2**32))
Changed = tuple[Settings, Settings, list[tuple[int, Settings, int]], int, int]


def survives(example: Changed, *, lossy: bool = False, make: type[Session] = Session) -> None:
    a, b, steps, delay_ns, seed = example
    link = Link(a, b, delay_ns=(delay_ns, 2 * MS), seed=seed, make=make)
    for end in link.ends:
        end.lossy = lossy
    link.run_until_up(60 * SECOND)
    for place, wanted, wait_ns in steps:
        link.configure(place, wanted)
        link.run(wait_ns, packets=400)
    link.run_until_settled(60 * SECOND)
    link.run(packets=40)
    stayed_up(link)


@given(CHANGED)
def test_any_run_of_changes_is_survived(example: Changed) -> None:
    """Changes on both sides, amid Poll Sequences too and with many polls on their way."""
    survives(example)


HARDY = st.builds(timers, USUAL_US, USUAL_US, st.integers(3, 5))
HARDY_STEPS = st.lists(
    st.tuples(st.integers(0, 1), HARDY, st.integers(0, 3 * SECOND)), min_size=1, max_size=6
)
LOSSY = st.tuples(HARDY, HARDY, HARDY_STEPS, st.integers(0, 400 * MS), st.integers(0, 2**32))


@given(LOSSY)
def test_changes_are_survived_where_packets_are_lost(example: Changed) -> None:
    """With a multiplier of 3 or more, losing every other packet at worst is no flap either."""
    survives(example, lossy=True)


RULES = {
    "min(before.tx_us, target.tx_us)": "target.tx_us",
    "max(before.rx_us, target.rx_us)": "target.rx_us",
    "self._quiet_until_ns = now_ns + took_ns": "self._quiet_until_ns = 0",
    "return NEVER if self.polling else self._quiet_until_ns": "return self._quiet_until_ns",
}
"""What holds new intervals back, and the same without it."""


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_for_new_intervals_is_needed(rule: str) -> None:
    """Without any of the rules that hold intervals back, some run of changes makes a flap."""
    broken = mutant(
        session, "import Intervals, Settings, jittered_ns", "import Settings, jittered_ns"
    )
    vars(broken)["Intervals"] = mutant(intervals, rule, RULES[rule]).Intervals
    assert caught(LOSSY, lambda example: survives(example, lossy=True, make=broken.Session))


MODEST_US = st.integers(20_000, 1_500_000)
MODEST = st.builds(timers, MODEST_US, MODEST_US, st.integers(2, 5))
FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["deafen", "hear", "disable", "enable", "configure"]),
        st.integers(0, 1),
        MODEST,
        st.integers(0, 20 * SECOND),
    ),
    max_size=8,
)
AUTHENTICATIONS = st.sampled_from(
    [None, *(Authentication(auth_type, {1: b"key"}, 1) for auth_type in AuthType)]
)


@given(MODEST, MODEST, FAULTS, AUTHENTICATIONS, st.integers(0, 2**32))
def test_after_any_storm_both_are_up_again(
    a: Settings,
    b: Settings,
    faults: list[tuple[str, int, Settings, int]],
    auth: Authentication | None,
    seed: int,
) -> None:
    """Cuts each way, admin downs and changes at random; healed, it is Up within bounded time."""
    link = Link(a, b, delay_ns=(8 * MS, 3 * MS), seed=seed, auth=(auth, auth))
    for kind, place, wanted, wait_ns in faults:
        _inject(link, kind, place, wanted)
        link.run(wait_ns, packets=400)
    for place in (0, 1):
        _inject(link, "hear", place, a)
        _inject(link, "enable", place, a)
    # Twice the longest Detection Time for a forgotten number, some slow intervals for the rest.
    link.run_until_settled(2 * 5 * 1_500 * MS + 6 * SECOND)
    before = [len(end.events) for end in link.ends]
    link.run(packets=60)
    assert [len(end.events) for end in link.ends] == before


def _inject(link: Link, kind: str, place: int, wanted: Settings) -> None:
    match kind:
        case "deafen":
            link.ends[place].deaf = True
        case "hear":
            link.ends[place].deaf = False
        case "disable":
            link.disable(place)
        case "enable":
            link.enable(place)
        case "configure":
            link.configure(place, wanted)
