"""The loss test against one that puts nothing off, and what it must do by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import brownout_table, lossshift
from patronus.engine.arrays import Rows
from patronus.engine.brownout_table import ADDED, ALARM, BASE_PPM, SUSPECTED_PPM, TAKEN
from patronus.engine.lossshift import LossShift
from tests.generate import brownout_table as generator
from tests.mutants.harness import mutant
from tests.oracles.lossshift import Tunnel

ROWS = 3

PROBES = [(0, 0), (1, 0), (1, 0), (1, 1)]
DATA = [(50, 0), (50, 0), (50, 1), (50, 3), (50, 40), (127, 0), (128, 0), (128, 1), (700, 5)]
HEAPS = [(700, 0), (3000, 0), (10**5, 100), (2**31, 2**31), (2**40, 1)]
BATCH = st.sampled_from([*PROBES, *DATA, *HEAPS])
STEP = st.one_of(
    st.tuples(st.just("batch"), st.lists(st.none() | BATCH, min_size=ROWS, max_size=ROWS)),
    st.tuples(st.just("all"), st.lists(BATCH, min_size=ROWS, max_size=ROWS)),
    st.tuples(st.just("again"), st.tuples(BATCH, st.integers(2, 40))),
    st.tuples(st.just("rotate"), st.sampled_from([1, 2, 3, 299, 300, 600])),
    st.tuples(st.just("anew"), st.sampled_from([0b111, 0b101, 0b010])),
)
LIVES = st.lists(STEP, max_size=25)

Life = list[Any]


def live(module: ModuleType, life: Life) -> None:
    test, tunnels = module.LossShift(ROWS + 2), [Tunnel() for _ in range(ROWS)]
    for what, detail in life:
        if what == "rotate":
            rotate(test, tunnels, detail)
        elif what == "anew":
            chosen = [row for row in range(ROWS) if detail >> row & 1]
            test.calm(np.array(chosen, dtype=np.int64) + 1)
            for row in chosen:
                tunnels[row].rest()
            compare(test, tunnels)
        elif what == "again":
            for _ in range(detail[1]):
                count(test, tunnels, [detail[0]] * ROWS, dense=True)
        else:
            count(test, tunnels, detail, dense=what == "all")
    untouched = np.array([0, ROWS + 1])
    assert test.usual_ppm(untouched).tolist() == [Tunnel().usual_ppm()] * 2
    assert not test.alarmed[untouched].any()


def count(test: LossShift, tunnels: list[Tunnel], batches: list[Any], *, dense: bool) -> None:
    rows = [row for row in range(ROWS) if batches[row] is not None]
    sent = np.array([batches[row][0] for row in rows], dtype=np.int64)
    lost = np.array([batches[row][1] for row in rows], dtype=np.int64)
    meant: Rows = slice(1, 1 + ROWS) if dense else np.array(rows, dtype=np.int64) + 1
    shift = test.observe(meant, sent=sent, lost=lost)
    said = {row: tunnels[row].observe(*batches[row]) for row in rows}
    assert shift.alarmed.tolist() == [r + 1 for r in rows if said[r] == "alarmed"]
    assert shift.cleared.tolist() == [r + 1 for r in rows if said[r] == "cleared"]
    compare(test, tunnels)


def rotate(test: LossShift, tunnels: list[Tunnel], times: int) -> None:
    for _ in range(times):
        adopted = test.rotate(slice(1, 1 + ROWS))
        assert adopted.tolist() == [row + 1 for row in range(ROWS) if tunnels[row].rotate()]
    compare(test, tunnels)


def compare(test: LossShift, tunnels: list[Tunnel]) -> None:
    all_rows = slice(1, 1 + ROWS)
    assert test.alarmed[all_rows].tolist() == [t.alarm is not None for t in tunnels]
    assert test.estimate_ppm[all_rows].tolist() == [t.estimate_ppm() for t in tunnels]
    assert test.usual_ppm(all_rows).tolist() == [t.usual_ppm() for t in tunnels]


def again(times: int, sent: int, lost: int) -> tuple[str, object]:
    return "again", ((sent, lost), times)


BAD, GOOD = again(2, 50, 40), again(40, 50, 0)
EXAMPLES = [
    [BAD, ("rotate", 300), GOOD, ("rotate", 600)],  # adopted
    [BAD, GOOD] * 7 + [("rotate", 600), again(90, 1, 1), GOOD],  # bursts
    [BAD, ("rotate", 2), GOOD, again(12, 1, 1)],  # a burst ...
    [BAD, ("rotate", 3), GOOD, again(12, 1, 1)],  # ... and none
    [BAD, again(12, 50, 4), again(40, 50, 1), GOOD],
    [again(9, 10**5, 100), again(40, 50, 3), ("rotate", 300)],
    [again(6, 50, 10), again(30, 1, 0), ("rotate", 300)],  # good packets not looked at yet
    [again(2, 50, 10), again(2, 50, 0), ("rotate", 300)],
    [again(1, 50, 10), ("rotate", 600), again(3, 50, 10), ("rotate", 1)],  # too few, then enough
    [again(20, 2**40, 1), again(40, 2**31, 2**31), ("rotate", 300)],
    [again(1, 1, 1), again(60, 1, 0)] * 8,  # never two losses within memory
    [again(1, 1, 1), again(3, 1, 0)] * 14,
    [again(1, 1, 1), again(20, 1, 0), again(1, 50, 40)],  # three change points
    [BAD, again(60, 1, 0)],  # cleared by the 46th good packet
    [again(4, 50, 3), ("anew", 0b101), again(4, 50, 3), BAD, ("anew", 0b011), GOOD, BAD],
    [BAD, again(3, 50, 3), again(40, 50, 1)],  # falls from 80 to 6, then to 2 % ...
    [BAD, again(3, 50, 3), GOOD],  # ... or to nothing
    [BAD, again(2, 50, 3), GOOD],
    [again(9, 10**5, 100), again(30, 10**5, 150)],  # the usual loss is forgotten slowly
    [again(9, 50, 4), again(30, 50, 4), again(9, 1, 0), again(2, 50, 40), GOOD],  # much worse
    [again(9, 50, 4), *[again(16, 1, 1), again(25, 1, 0)] * 3, GOOD],  # not quite
    [again(9, 50, 4), again(1, 50, 12), again(30, 1, 0), again(3, 50, 12), ("rotate", 2), GOOD],
    [again(9, 50, 4), ("rotate", 9), again(9, 50, 40), ("rotate", 2), GOOD, again(12, 1, 1)],
]
"""One for each thing that can happen, and at its edges; the rest is found by luck."""


@pytest.mark.parametrize("life", EXAMPLES)
def test_putting_off_changes_nothing_at_the_edges(life: Life) -> None:
    """The same for lives made to meet every case."""
    live(lossshift, life)


def fails(module: ModuleType, life: Life) -> bool:
    try:
        live(module, life)
    except (AssertionError, ArithmeticError, LookupError):
        return True
    return False


@given(LIVES)
def test_putting_off_changes_nothing(life: Life) -> None:
    """Rows that are looked at only when they must be fare as if looked at in every batch."""
    live(lossshift, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("left <= 0", "left < 0"),
        ("score -= taken * good", "pass"),
        ("since = _tally(score, since, good, _ZERO)", "pass"),
        ("highest >= limit >> 1", "highest > limit"),
        ("_KINDS - 1 - np.argmax(holds[::-1], axis=0)", "np.argmax(holds, axis=0)"),
        ("below[:, fallen] = 0", "below[:, fallen] *= 99"),
        ("mirror[fallen] = 0", "pass"),
        ("counts[:, fallen] = below[:, fallen]", "pass"),
        ("self.age[cleared] < BURST_INTERVALS", "self.age[cleared] <= BURST_INTERVALS"),
        ("counts[0] += good[counted]", "pass"),
        ("self._episode[2, rows] + good >= EPOCH", "self._episode[2, rows] >= EPOCH"),
        ("(age >= PATIENCE_INTERVALS) & ~loud", "age >= PATIENCE_INTERVALS"),
        ("lost + isqrt(lost) + 1", "lost + 1"),
        ("-(-missing // _TAKEN[kind, level])", "missing // _TAKEN[kind, level]"),
        ("counts >> (counts[0] >= MEMORY)", "counts"),
        ("< _BASE[-1], _ADDED", "< PPM, _ADDED"),
        ("level = self._episode[3, rows]", "level = self._level[rows]"),
        (
            "(good, sent, lost), limit)\n        self._score[_GRAVEST",
            "(0 * good, sent, lost), limit)\n        self._score[_GRAVEST",
        ),
        ("self._begin(worse, since[:, hit])", "pass"),
        ("self._score[:, rows] = self._episode[:, rows] = 0\n        self._since", "self._since"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(lossshift, old, new)
    assert any(fails(broken, life) for life in EXAMPLES)


@given(
    st.integers(0, ALARM - 1), st.integers(0, ALARM - 1), st.lists(BATCH, min_size=1, max_size=8)
)
def test_a_score_never_falls_because_it_stood_higher(
    one: int, other: int, batches: list[tuple[int, int]]
) -> None:
    """Of two rows with the same packets the one whose score was higher stays so, or alarms."""
    test = LossShift(2)
    test._score[0] = sorted((one, other))
    for sent, lost in batches:
        test.observe(slice(0, 2), sent=np.full(2, sent), lost=np.full(2, min(sent, lost)))
        standing = [(alarmed, int(test._score[0, r])) for r, alarmed in enumerate(test.alarmed)]
        assert standing[0] <= standing[1]
        if test.alarmed.any():
            return


def test_a_blackout_of_probes_alarms_after_four_losses() -> None:
    """Against 1 % usual loss a lost probe is worth a bit more than a quarter of an alarm."""
    test = LossShift(1)
    one = np.array([1])
    at = [n for n in range(1, 9) if len(test.observe(slice(0, 1), sent=one, lost=one).alarmed)]
    assert at == [4]
    assert test.estimate_ppm.tolist() == [1_000_000]


def test_a_level_that_stays_becomes_usual_and_is_watched_from_there() -> None:
    """5 % after 1 % alarms, is adopted after 300 intervals, and 20 % alarms again."""
    test, rows = LossShift(1), slice(0, 1)

    def run(seconds: int, lost: int) -> list[str]:
        """Count 500 packets a second, ``lost`` of each 100."""
        said = []
        for _ in range(seconds):
            for _ in range(5):
                shift = test.observe(rows, sent=np.array([100]), lost=np.array([lost]))
                said += ["alarm"] * len(shift.alarmed) + ["clear"] * len(shift.cleared)
            said += ["usual"] * len(test.rotate(rows))
        return said

    assert run(60, 1) == []
    assert run(299, 5) == ["alarm"]
    assert 49_000 < test.estimate_ppm[0] < 51_000
    assert run(2, 5) == ["usual"]
    assert 50_000 < test.usual_ppm(rows)[0] < 65_000
    assert test.estimate_ppm[0] == -1
    assert run(10, 20) == ["alarm"]
    assert run(20, 5) == ["clear"]


def test_loss_that_stays_keeps_its_alarm() -> None:
    """As long as 3 % stays, its alarm does; when 1 % is back it is cleared within 6 s."""
    test, rows = LossShift(1), slice(0, 1)
    for lost, batches in ((1, 300), (3, 500)):
        for _ in range(batches):
            shift = test.observe(rows, sent=np.array([100]), lost=np.array([lost]))
            assert not len(shift.cleared)
    assert test.alarmed[0]
    batches = 0
    while test.alarmed[0]:
        test.observe(rows, sent=np.array([100]), lost=np.array([1]))
        batches += 1
    assert 5 <= batches <= 30


def test_the_weights_are_what_their_script_writes() -> None:
    """The committed module is byte for byte the generator's."""
    assert brownout_table.__file__ is not None
    assert Path(brownout_table.__file__).read_text() == generator.module()


def test_weights_follow_from_the_likelihood() -> None:
    """At every level: more suspicion weighs more, and the two weights have the law's ratio."""
    for kind in range(len(TAKEN)):
        for base, suspected, taken, added in zip(
            BASE_PPM, SUSPECTED_PPM[kind], TAKEN[kind], ADDED[kind], strict=True
        ):
            assert base < suspected < 1_000_000
            take, add = generator.weights(base, suspected)
            assert added / taken == pytest.approx(add / take, rel=2e-4)
            assert ALARM / added > 2  # no single loss comes near an alarm
    assert list(BASE_PPM) == sorted(set(BASE_PPM))


def test_the_mean_between_alarms_is_exact_where_it_is_known() -> None:
    """With one packet a batch and a threshold that one loss reaches, it is 1/p packets."""
    take, add = generator.weights(10_000, 30_000)
    mean = generator.packets_between_alarms(10_000, take, add, add - take, 1)
    assert mean == pytest.approx(100, rel=1e-6)


def test_nothing_counted_is_no_shift() -> None:
    """A call without rows and one without packets say nothing."""
    test = LossShift(2)
    none = np.zeros(0, dtype=np.int64)
    assert [len(part) for part in test.observe(none, sent=none, lost=none)] == [0, 0]
    zero = np.zeros(2, dtype=np.int64)
    assert [len(part) for part in test.observe(slice(None), sent=zero, lost=zero)] == [0, 0]
