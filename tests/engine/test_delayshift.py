"""The delay test against one tunnel at a time, and what it must do by hand."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import delayshift
from patronus.engine.arrays import BLOCK, Rows
from patronus.engine.delayshift import DelayShift
from patronus.engine.units import MS, NEVER, SECOND
from tests.mutants.harness import mutant
from tests.oracles.delayshift import Tunnel

ROWS = 3

RTT_NS = st.sampled_from([-1, 0, 1, 20 * MS, 21 * MS, 22 * MS, 23 * MS, 40 * MS, 2**61])
JITTER_NS = st.sampled_from([-1, 0, 1, MS, 3 * MS, 2**61])
SAMPLE = st.tuples(RTT_NS, JITTER_NS)
STEP = st.one_of(
    st.tuples(st.just("some"), st.lists(st.none() | SAMPLE, min_size=ROWS, max_size=ROWS)),
    st.tuples(st.just("all"), st.lists(SAMPLE, min_size=ROWS, max_size=ROWS)),
    st.tuples(st.just("again"), st.tuples(SAMPLE, st.integers(2, 40))),
    st.tuples(st.just("rotate"), st.sampled_from([1, 299, 300])),
)
LIVES = st.lists(STEP, max_size=20)

Life = list[Any]


def live(module: ModuleType, life: Life) -> None:
    test, tunnels = module.DelayShift(ROWS + 2), [Tunnel() for _ in range(ROWS)]
    for what, detail in life:
        if what == "rotate":
            for _ in range(detail):
                adopted = test.rotate(slice(1, 1 + ROWS))
                assert adopted.tolist() == [r + 1 for r in range(ROWS) if tunnels[r].rotate()]
        elif what == "again":
            for _ in range(detail[1]):
                take(test, tunnels, [detail[0]] * ROWS, dense=True)
        else:
            take(test, tunnels, detail, dense=what == "all")
    assert test.usual_ns[[0, ROWS + 1]].tolist() == [-1, -1]


def take(test: DelayShift, tunnels: list[Tunnel], samples: list[Any], *, dense: bool) -> None:
    rows = [row for row in range(ROWS) if samples[row] is not None]
    rtt_ns, jitter_ns = np.array([samples[r] for r in rows], dtype=np.int64).reshape(-1, 2).T
    meant: Rows = slice(1, 1 + ROWS) if dense else np.array(rows, dtype=np.int64) + 1
    shift = test.observe(meant, rtt_ns=rtt_ns, jitter_ns=jitter_ns)
    said = {row: tunnels[row].observe(*samples[row]) for row in rows}
    assert shift.alarmed.tolist() == [r + 1 for r in rows if said[r] == "alarmed"]
    assert shift.cleared.tolist() == [r + 1 for r in rows if said[r] == "cleared"]
    all_rows = slice(1, 1 + ROWS)
    assert test.alarmed[all_rows].tolist() == [t.alarmed for t in tunnels]
    assert test.usual_ns[all_rows].tolist() == [t.usual for t in tunnels]
    assert test.width_ns[all_rows].tolist() == [t.width for t in tunnels]


def again(times: int, rtt_ns: int, jitter_ns: int = 0) -> tuple[str, object]:
    return "again", ((rtt_ns, jitter_ns), times)


def mixed(*samples: tuple[int, int]) -> tuple[str, object]:
    return "all", list(samples)


CALM, RISEN = again(150, 20 * MS), again(9, 40 * MS)
EXAMPLES = [
    [CALM, RISEN, again(40, 20 * MS)],  # an alarm, cleared
    [CALM, RISEN, ("rotate", 299), again(1, 44 * MS), ("rotate", 1), again(9, 60 * MS)],
    [CALM, again(3, 40 * MS), again(30, 20 * MS), RISEN],  # raised, and calm again
    [CALM, again(60, 10 * MS), RISEN],  # a fall is followed, and the rise seen from there
    [CALM, again(40, 20 * MS, 9 * MS), RISEN],  # jitter widens it
    [CALM, RISEN, again(60, 20 * MS + 400_000)],  # near enough to be cleared
    [CALM, RISEN, again(60, 20 * MS + 600_000)],  # and not
    [CALM, *[mixed((20 * MS, 0), (-1, 0), (40 * MS, 0))] * 9, CALM],  # every kind in one block
    [*[mixed((-1, 0), (20 * MS, 2**61), (2**61, -1))] * 9, CALM],
    [CALM, again(18, 22 * MS), again(1, 20 * MS)],
    [again(9, 20 * MS), ("some", [None, (25 * MS, 5), (-1, 5)]), CALM, RISEN],
    [again(600, 20 * MS), RISEN],
    [again(1, 20 * MS), *[mixed((-1, 0), (20 * MS, 0), (20 * MS, 0))] * 20, again(40, 21 * MS)],
]
"""One for each thing that can happen, and at its edges; the rest is found by luck."""


@pytest.mark.parametrize("life", EXAMPLES)
def test_rows_together_fare_as_each_alone_at_the_edges(life: Life) -> None:
    """The same for lives made to meet every case."""
    live(delayshift, life)


@given(LIVES)
def test_rows_together_fare_as_each_alone(life: Life) -> None:
    """Dense or by index, calm or odd: each row moves as if it were the only one."""
    live(delayshift, life)


def fails(module: ModuleType, life: Life) -> bool:
    try:
        live(module, life)
    except (AssertionError, ArithmeticError, LookupError):
        return True
    return False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("odd = after[SCORE] >= RAISED_WIDTHS * state[WIDTH]", "odd = rtt_ns < -1"),
        ("odd |= rtt_ns < 0", "pass"),
        ("odd |= self.special[rows]", "pass"),
        ("value[others] = field[others]", "pass"),
        ("seen += ~odd & (seen < YOUNG)", "pass"),
        ("seen += ~odd & (seen < YOUNG)", "seen += seen < YOUNG"),
        ("np.where(frozen, state[USUAL], usual_ns)", "usual_ns"),
        ("np.where(frozen, state[WIDTH], width_ns)", "width_ns"),
        ("np.where(clear, 0, np.maximum(mirror, 0))", "np.where(clear, 0, mirror)"),
        ("(width_ns >> 1) - np.clip", "width_ns - np.clip"),
        ("age >= ADOPT_INTERVALS", "age > ADOPT_INTERVALS"),
        ("np.minimum(beyond, 0, out=beyond)", "beyond[:] = 0"),
        ("np.maximum(far, jitter_ns, out=far)", "pass"),
        ("np.maximum(far, WIDTH_NS_MIN, out=far)", "pass"),
        ("np.minimum(far, most, out=far)", "pass"),
        ("np.where(seen < YOUNG, FAST, SLOW)", "SLOW"),
        ("np.maximum(after, 0, out=after)", "pass"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(delayshift, old, new)
    assert any(fails(broken, life) for life in EXAMPLES)


STATES = st.tuples(st.integers(0, 2**40), st.integers(MS, SECOND), st.integers(0, 7 * MS))


@given(
    STATES, st.integers(0, 2), st.integers(0, 2**30), st.integers(0, 2**40), st.integers(-1, 2**35)
)
def test_no_state_falls_because_it_stood_higher(
    state: tuple[int, int, int], which: int, more: int, rtt_ns: int, jitter_ns: int
) -> None:
    """The same sample leaves a higher usual, width or score, each alone, higher or equal."""
    test = DelayShift(2)
    for sample in (10 * MS, 10 * MS):
        test.observe(slice(0, 2), rtt_ns=np.full(2, sample), jitter_ns=np.zeros(2, np.int64))
    test.state[:3] = np.array([state, state]).T
    test.state[which, 1] += more
    test.observe(slice(0, 2), rtt_ns=np.full(2, rtt_ns), jitter_ns=np.full(2, jitter_ns))
    low, high = test.state[which].tolist()
    if which == 2:
        # A score that has reached an alarm stands above all others.
        assert (bool(test.alarmed[0]), low) <= (bool(test.alarmed[1]), high)
    elif which == 1 or not test.alarmed.any():
        assert low <= high


def test_blocks_are_joined_seamlessly() -> None:
    """A slice over several blocks gives each row what a call by index gives it."""
    rows = 2 * BLOCK + 5
    dense, single = DelayShift(rows), DelayShift(rows)
    row = np.arange(rows, dtype=np.int64)
    for turn in range(60):
        late = np.where(row % 83 == 0, 30 * MS, 0) * (turn > 45)
        rtt_ns = 20 * MS + row % 7 * 9_000 + late
        rtt_ns[(row + turn) % 97 == 0] = -1
        jitter_ns = row % 5 * 1_000_000
        a = dense.observe(slice(None), rtt_ns=rtt_ns, jitter_ns=jitter_ns)
        b = single.observe(row, rtt_ns=rtt_ns, jitter_ns=jitter_ns)
        assert a.alarmed.tolist() == b.alarmed.tolist()
    assert dense.alarmed.tolist() == single.alarmed.tolist()
    assert dense.alarmed.any()
    assert dense.usual_ns.tolist() == single.usual_ns.tolist()
    assert dense.width_ns.tolist() == single.width_ns.tolist()


def at_the_limits(module: ModuleType) -> None:
    """A score of sixteen widths alarms, a mirrored one of six clears, and not one less."""
    rtt_ns, jitter_ns = np.full(4, 20 * MS), np.zeros(4, dtype=np.int64)
    test = module.DelayShift(4)
    test.observe(slice(None), rtt_ns=rtt_ns, jitter_ns=jitter_ns)
    test.width_ns[:] = MS
    test.alarmed[2:] = test.special[2:] = True
    test.state[2] = [15 * MS, 15 * MS - 1, 6 * MS - MS // 2, 6 * MS - MS // 2 - 1]
    rtt_ns[:2] += 2 * MS
    shift = test.observe(slice(None), rtt_ns=rtt_ns, jitter_ns=jitter_ns)
    assert [part.tolist() for part in shift] == [[0], [2]]


def test_a_score_at_its_limit_counts() -> None:
    """Alarms and clearances begin exactly at their thresholds."""
    at_the_limits(delayshift)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hit = score >= ALARM_WIDTHS", "hit = score > ALARM_WIDTHS"),
        ("clear = mirror >= CLEAR_WIDTHS", "clear = mirror > CLEAR_WIDTHS"),
        ("CLEAR_WIDTHS: Final = 6", "CLEAR_WIDTHS: Final = 5"),
    ],
)
def test_the_limits_catch_mutants(old: str, new: str) -> None:
    """A threshold that is a little off is noticed."""
    broken = mutant(delayshift, old, new)
    with pytest.raises(AssertionError):
        at_the_limits(broken)


def run(test: DelayShift, rtt_ns: int, samples: int) -> list[tuple[str, int]]:
    """Give one row a steady round trip; return what was said and at which sample."""
    said, none = [], np.zeros(1, dtype=np.int64)
    for number in range(1, samples + 1):
        shift = test.observe(slice(0, 1), rtt_ns=np.array([rtt_ns]), jitter_ns=none)
        said += [("alarm", number)] * len(shift.alarmed) + [("clear", number)] * len(shift.cleared)
    return said


def test_a_step_is_seen_after_six_samples() -> None:
    """Without noise a step of 20 ms counts 3 widths a sample: 16 need six of them."""
    test = DelayShift(1)
    assert run(test, 20 * MS, 2000) == []
    assert test.width_ns.tolist() == [MS]
    assert run(test, 40 * MS, 50) == [("alarm", 6)]
    # Twelve, but the first samples of the step were still learnt from a little.
    assert run(test, 20 * MS, 50) == [("clear", 11)]
    assert run(test, 21 * MS, 50) == []
    assert run(test, NEVER >> 2, 50) == [("alarm", 6)]


def test_the_new_usual_delay_is_what_stayed() -> None:
    """After 300 intervals at 60 ms that is the usual round trip, and 80 ms alarms again."""
    test = DelayShift(1)
    run(test, 20 * MS, 200)
    for rtt_ns in (60 * MS, 80 * MS):
        assert [what for what, _ in run(test, rtt_ns, 100)] == ["alarm"]
        adopted = [test.rotate(slice(None)).tolist() for _ in range(300)]
        assert adopted == [[]] * 299 + [[0]]
        assert rtt_ns - MS < test.usual_ns[0] <= rtt_ns
        assert run(test, rtt_ns, 100) == []
