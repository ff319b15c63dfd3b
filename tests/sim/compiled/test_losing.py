"""The loss test of one row, compiled, is the engine's; so is the detect time of a habit."""

from types import ModuleType

import numpy as np
import pytest

from patronus.engine.health import UNPROVEN, Health
from patronus.engine.lossshift import EPOCH, LossShift
from patronus.engine.multiplier import adapt
from patronus.engine.overlay import I64
from patronus.engine.units import MS
from patronus.sim.compiled import losing
from tests.sim.compiled.interpreted import fails, interpreted

ROWS = 24
STEPS = 400


def tries_as_the_engine_tests(passes: ModuleType, seed: int) -> None:
    """Packets come in runs and bursts; each row is followed until it alarms."""
    luck = np.random.default_rng(seed)
    test, every = LossShift(ROWS), np.arange(ROWS)
    test.patience[:] = luck.integers(0, 3, ROWS)
    rates = luck.choice([0.0, 0.001, 0.01, 0.05, 0.3], ROWS)
    alarms = epochs = 0
    for _ in range(STEPS):
        # A sample accounts for itself and for those before it that are missing.
        run, gap = luck.integers(0, 300 // (1 + 200 * rates)), luck.integers(0, 4, ROWS)
        lost = np.minimum((luck.random(ROWS) < 200 * rates) * luck.integers(0, 4, ROWS), gap)
        calm = every[~test.alarmed]
        for row in calm[: luck.integers(len(calm) + 1)].tolist():
            trial = np.empty(losing.TRIAL, dtype=np.int64)
            left = int(test.left[row])
            good = min(int(run[row]), left - 1)
            test.observe(np.array([row]), sent=np.array([good]), lost=np.array([0]))
            assert test.left[row] == left - good, "nothing is due yet"
            taken = int(test.epochs.quota[row]) - left + good
            sent, gone = int(gap[row]) + 1, int(lost[row])
            passes.begin_trial(row, test.epochs, trial)
            before = [field.copy() for field in test.epochs[1:]]
            looked = test.left[row] - sent <= 0 or gone > 0
            test.observe(np.array([row]), sent=np.array([sent]), lost=np.array([gone]))
            if not looked:
                continue
            due = passes.try_packets(trial, taken, sent, gone, int(test.patience[row]))
            if test.alarmed[row]:
                assert due == 0
                alarms += 1
                continue
            assert due == test.left[row] == test.epochs.quota[row]
            epochs += due == EPOCH
            after = [field.copy() for field in test.epochs[1:]]
            for field, old in zip(test.epochs[1:], before, strict=True):
                field[:] = old
            passes.keep_trial(row, test.epochs, trial)
            for field, new in zip(test.epochs[1:], after, strict=True):
                assert np.array_equal(field, new)
    assert alarms > 5
    assert epochs > 50


def waits_as_long_as_the_engine(passes: ModuleType, seed: int) -> None:
    """Habits of all kinds, among them those of which nothing is known."""
    luck = np.random.default_rng(seed)
    adapted = 0
    for _ in range(300):
        probes = int(luck.choice([0, 1, 40, 900, 30_000]))
        bursts = int(luck.integers(0, 30))
        lost = bursts * int(luck.integers(1, 9)) if probes else 0
        interval_ns = int(luck.choice([1, 10, 100, 1000])) * MS
        multiplier = int(luck.integers(2, 8))
        wanted = _wanted_ns(probes, lost, bursts if lost else 0, interval_ns, multiplier)
        told = passes.wanted_ns(
            multiplier * interval_ns, interval_ns, probes, lost, bursts if lost else 0
        )
        assert told == wanted
        adapted += wanted > multiplier * interval_ns
    assert adapted > 20


def _wanted_ns(probes: int, lost: int, bursts: int, interval_ns: int, multiplier: int) -> int:
    health, row = Health(1), np.zeros(1, dtype=np.int64)
    health.state[3], health.state[7] = probes, 0
    health.habits[:] = np.array([[lost], [bursts]])
    habit = health.habit(row)
    many: I64 = adapt(
        np.array([multiplier]),
        interval_ns=np.array([interval_ns]),
        loss_ppm=habit.proven_ppm,
        burst_milli=habit.burst_milli,
    )
    return int(many[0]) * interval_ns


def test_packets_are_tried() -> None:
    """Scores, counts, epochs, what is usual, and alarms."""
    for seed in range(3):
        tries_as_the_engine_tests(losing, seed)


def test_habits_ask_for_patience() -> None:
    """And those of a few bursts for none, which is why nobody asks before."""
    for seed in range(3):
        waits_as_long_as_the_engine(losing, seed)
    assert losing.wanted_ns(300 * MS, 100 * MS, 1000, UNPROVEN, UNPROVEN) == 300 * MS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limit, highest, level = ALARM << patience, 0,", "limit, highest, level = ALARM, 0,"),
        ("score = max(trial[at] - taken * good, 0)", "score = trial[at] - taken * good"),
        ("missed = trial[at + 2] if score > 0 else 0", "missed = trial[at + 2]"),
        ("score = max(score + added * lost - taken * sent, 0)",
         "score = max(score + added * lost - taken * (sent - lost), 0)"),
        ("trial[_SENT] += good + sent", "trial[_SENT] += sent"),
        ("trial[_LOST] += lost", "pass"),
        ("if highest < limit >> 1:", "if highest < limit:"),
        ("trial[_SENT] = trial[_LOST] = 0", "trial[_SENT] = 0"),
        ("trial[_LEVEL] = _level_of(trial[_USUAL_SENT], trial[_USUAL_LOST])", "pass"),
        ("level[row] = trial[_LEVEL]", "pass"),
        ("since[kind, 1, row] = trial[3 * kind + 2]", "pass"),
        ("proven = max(bursts - isqrt(4 * bursts), 0)", "proven = max(bursts, 0)"),
        ("again = max(again, loss)", "pass"),
        ("while needed < MULTIPLIER_CEILING and micro > PPM:",
         "while needed < MULTIPLIER_CEILING and micro >= 2 * PPM:"),
        ("return max(configured_ns, needed * interval_ns)", "return needed * interval_ns"),
    ],
)  # fmt: skip
def test_mutants(old: str, new: str) -> None:
    """The properties notice each broken pass."""
    broken = interpreted(losing, old, new)
    assert any(
        fails(holds, broken, seed)
        for seed in range(3)
        for holds in (tries_as_the_engine_tests, waits_as_long_as_the_engine)
    )
