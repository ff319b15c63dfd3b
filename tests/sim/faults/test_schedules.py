"""Schedules: when a fault happens, and when it cannot."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.faults.schedules import MOST, happenings
from patronus.sim.faults.selectors import FaultError
from patronus.sim.scenario import FaultKind, Schedule
from tests.sim.handmade import make_fault

END = 60 * SECOND


def times(schedule: Schedule, end_ns: int = END, seed: int = 1, name: str = "f") -> list[list[int]]:
    """Return the spans of a blackhole with a schedule."""
    return [list(s) for s in happenings(make_fault(name=name, schedule=schedule), end_ns, seed)]


def test_once() -> None:
    """At a time, for a time; or from then on."""
    assert times(Schedule(at_ns=5, for_ns=7)) == [[5, 12]]
    assert times(Schedule(at_ns=5)) == [[5, NEVER]]
    assert times(Schedule(at_ns=NEVER - 1, for_ns=NEVER - 1), NEVER) == [[NEVER - 1, NEVER]]


def test_a_fault_after_the_end_does_not_happen() -> None:
    """What would begin at the end or later is left out; what lasts beyond it stays."""
    assert times(Schedule(at_ns=END)) == []
    assert times(Schedule(at_ns=END - 1, for_ns=SECOND)) == [[END - 1, END - 1 + SECOND]]


def test_every() -> None:
    """Repeated so many times, or until the end."""
    schedule = Schedule(at_ns=SECOND, for_ns=MS, every_ns=10 * SECOND, times=3)
    starts = [1, 11, 21, 31, 41, 51]
    assert times(schedule) == [[s * SECOND, s * SECOND + MS] for s in starts[:3]]
    assert times(replace(schedule, times=0)) == [[s * SECOND, s * SECOND + MS] for s in starts]


def test_random_times_are_keyed() -> None:
    """Random times follow name and seed, do not overlap, and begin after ``at``."""
    schedule = Schedule(at_ns=SECOND, for_ns=500 * MS, random_mean_ns=2 * SECOND, times=0)
    one = times(schedule)
    assert one == times(schedule)
    assert one != times(schedule, seed=2)
    assert one != times(schedule, name="g")
    assert one[0][0] >= SECOND
    assert all(a[1] <= b[0] for a, b in pairwise(one))
    assert times(replace(schedule, times=2)) == one[:2]


def test_random_gaps_keep_their_luck() -> None:
    """Another duration moves later occurrences but draws the same gaps."""
    short = Schedule(for_ns=100 * MS, random_mean_ns=2 * SECOND, times=5)
    long = replace(short, for_ns=900 * MS)

    def gaps(spans: list[list[int]]) -> list[int]:
        edges = [0, *(edge for span in spans for edge in span)]
        return [b - a for a, b in zip(edges[::2], edges[1::2], strict=False)]

    assert gaps(times(short, 10 * END)) == gaps(times(long, 10 * END))


def test_random_gaps_have_their_mean() -> None:
    """2,000 gaps have the asked mean within five deviations."""
    schedule = Schedule(for_ns=1, random_mean_ns=SECOND, times=2000)
    spans = times(schedule, 10_000 * END)
    assert abs(spans[-1][0] / 2000 / SECOND - 1) < 5 / 2000**0.5


def test_random_and_endless_happens_once() -> None:
    """A random fault that is never undone leaves no room for a second."""
    assert len(times(Schedule(random_mean_ns=SECOND, times=0))) == 1


# ---------------------------------------------------------------- flapping


@given(st.integers(1, 5 * SECOND), st.integers(1, 5 * SECOND), st.integers(1, 40 * SECOND))
def test_flapping_alternates(down_ns: int, up_ns: int, for_ns: int) -> None:
    """A flap begins down, is up in between for just so long, and ends with its schedule."""
    down_ns, up_ns = down_ns + for_ns // 500, up_ns + for_ns // 500
    schedule = Schedule(at_ns=7 * SECOND, for_ns=for_ns)
    fault = make_fault(FaultKind.FLAPPING, schedule=schedule, down_ns=down_ns, up_ns=up_ns)
    spans = happenings(fault, END, 1)
    assert spans[0].start_ns == 7 * SECOND
    assert all(b.start_ns - a.end_ns == up_ns for a, b in pairwise(spans))
    assert all(s.end_ns - s.start_ns == down_ns for s in spans[:-1])
    end_ns = 7 * SECOND + for_ns
    assert spans[-1].end_ns == min(spans[-1].start_ns + down_ns, end_ns)
    assert spans[-1].start_ns + down_ns + up_ns >= min(end_ns, END)


def test_endless_flapping_stops_with_the_scenario() -> None:
    """Without ``for`` it flaps to the end, and the last flap may outlast it."""
    fault = make_fault(
        FaultKind.FLAPPING, schedule=Schedule(at_ns=0), down_ns=9 * SECOND, up_ns=SECOND
    )
    spans = happenings(fault, 25 * SECOND, 1)
    assert [s.start_ns // SECOND for s in spans] == [0, 10, 20]
    assert spans[-1].end_ns == 29 * SECOND


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule(at_ns=-1), "begins before"),
        (Schedule(for_ns=0), "lasts no time"),
        (Schedule(every_ns=-1, times=2), "negative"),
        (Schedule(every_ns=1, times=-1), "negative"),
        (Schedule(every_ns=1, random_mean_ns=1), "both regularly and at random"),
        (Schedule(times=2), "neither every how long nor at random"),
        (Schedule(times=0), "neither every how long nor at random"),
        (Schedule(every_ns=1, for_ns=1, times=0), f"more than {MOST}"),
        (Schedule(random_mean_ns=1, for_ns=1, times=0), f"more than {MOST}"),
    ],
)
def test_schedules_that_make_no_sense(schedule: Schedule, message: str) -> None:
    """Contradictions and endless repetition are errors, found without looping for ever."""
    with pytest.raises(FaultError, match=message):
        times(schedule, 10 * SECOND)
