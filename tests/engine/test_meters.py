"""Meters against single tunnels measured sample by sample: alarms, what was known then, and now."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import meters as kernel
from patronus.engine.health import HABIT_PROBES
from patronus.engine.policy import Features, Policy
from patronus.engine.units import MS, NEVER
from tests.mutants.harness import caught, mutant
from tests.oracles import delayshift, health, lossshift

ROWS = 3
WINDOW = 1
STALE_NS = 250 * MS
"""Reached to the nanosecond by a round trip of 50 ms, three steps later."""

# How far the sequence goes on, how many of those the peer has heard, and the round trip.
PROBE = st.tuples(
    st.sampled_from([1, 1, 1, 4, 30, 300]),
    st.sampled_from([0, 1, 1, 30]),
    st.sampled_from([NEVER, 20 * MS, 50 * MS, 50 * MS, 900 * MS]),
)
STEP = st.one_of(
    *[
        st.tuples(st.sampled_from(["block", "some"]), st.lists(PROBE, min_size=3, max_size=3))
    ] * 4,
    st.tuples(st.just("repeat"), PROBE),
    st.tuples(st.just("count"), st.sampled_from([(50, 0), (50, 3), (400, 200)])),
    st.tuples(st.sampled_from(["rotate", "count_anew", "forget"]), st.sampled_from([5, 7, 2])),
)  # fmt: skip
LIVES = st.tuples(st.booleans(), st.lists(STEP, max_size=15))
"""Whether brownouts count, and what happens every 100 ms."""

Life = tuple[bool, list[tuple[str, Any]]]
Figures = tuple[int, int, int]


class Meter:
    """One tunnel."""

    def __init__(self, *, brownout: bool) -> None:
        self.brownout = brownout
        self.sequence = self.heard = 0
        self.forget()

    def forget(self) -> None:
        self.health = health.Tunnel(WINDOW, HABIT_PROBES)
        self.loss, self.delay = lossshift.Tunnel(), delayshift.Tunnel()

    def sample(self, now: int, ahead: int, heard: int, rtt: int) -> tuple[int, ...]:
        """Return (sent, reflected, arrived, sequence, count) of a probe."""
        self.sequence += ahead
        self.heard += min(heard, ahead)
        back = NEVER if rtt == NEVER else now + rtt
        return now, now + 7, back, self.sequence, self.heard

    def observe(self, sample: tuple[int, ...]) -> bool:
        """Tell whether a sample raises an alarm."""
        sent, lost, rtt = self.health.observe(*sample)
        worse = self.loss.observe(sent, lost) == "alarmed"
        jitter = self.health.figures()[1]
        return (self.delay.observe(rtt, jitter) == "alarmed") or worse

    def count(self, sent: int, lost: int) -> bool:
        self.health.count(sent, lost)
        return self.loss.observe(sent, lost) == "alarmed"

    def rotate(self) -> None:
        self.health.rotate()
        self.loss.rotate()
        self.delay.rotate()

    def count_anew(self) -> None:
        self.health.count_anew()
        self.loss.rest()

    def figures(self, now: int) -> Figures:
        srtt, jitter, updated, _, _, floor, *_ = self.health.figures()
        if now - updated > STALE_NS:
            return -1, -1, -1
        return srtt, jitter, max(floor, self.loss.estimate_ppm() if self.brownout else -1)


class Board:
    """Three rows of the kernel between two that nobody touches, and three tunnels."""

    def __init__(self, module: ModuleType, *, brownout: bool) -> None:
        features = Features(brownout=brownout)
        policy = Policy(stale_ns=STALE_NS, loss_window=WINDOW, features=features)
        self.meters = module.Meters(ROWS + 2, policy)
        self.tunnels = [Meter(brownout=brownout) for _ in range(ROWS)]

    def observe(self, now: int, probes: list[Any], *, dense: bool) -> None:
        chosen = range(ROWS) if dense else [r for r in range(ROWS) if probes[r][0] < 100]
        samples = [self.tunnels[r].sample(now, *probes[r]) for r in chosen]
        names = ("sent_ns", "reflected_ns", "arrived_ns", "sequence", "heard_count")
        columns = np.array(samples, dtype=np.int64).reshape(-1, 5).T
        rows = slice(1, 1 + ROWS) if dense else np.array(chosen, dtype=np.int64) + 1
        told = self.meters.observe(rows, **dict(zip(names, columns, strict=True)))
        self.compare(told, [
            (r + 1, s[2], *self.tunnels[r].figures(s[2]))
            for r, s in zip(chosen, samples, strict=True)
            if self.tunnels[r].observe(s)
        ])  # fmt: skip

    def count(self, now: int, batch: tuple[int, int]) -> None:
        rows = np.array([1, 3], dtype=np.int64)
        sent, lost = (np.full(2, n, dtype=np.int64) for n in batch)
        at_ns = np.array([now + 1, now + 2], dtype=np.int64)
        told = self.meters.count(rows, sent=sent, lost=lost, at_ns=at_ns)
        self.compare(told, [
            (row, at, *self.tunnels[row - 1].figures(at))
            for row, at in zip(rows.tolist(), at_ns.tolist(), strict=True)
            if self.tunnels[row - 1].count(*batch)
        ])  # fmt: skip

    def compare(self, told: Any, expected: list[tuple[int, ...]]) -> None:
        columns = [told.rows, told.at_ns, *told.figures]
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == expected

    def close(self, what: str, mask: int) -> None:
        chosen = [row for row in range(ROWS) if mask >> row & 1]
        getattr(self.meters, what)(np.array(chosen, dtype=np.int64) + 1)
        for row in chosen:
            getattr(self.tunnels[row], what)()

    def agree(self, now: int) -> None:
        every = np.arange(ROWS + 2)
        columns = self.meters.figures(every, now)
        shown = list(zip(*(c.tolist() for c in columns), strict=True))
        nothing = (-1, -1, -1)
        assert shown == [nothing, *(t.figures(now) for t in self.tunnels), nothing]
        habit = self.meters.habit(every[1:-1])
        assert habit.proven_ppm.tolist() == [t.health.figures()[8] for t in self.tunnels]


def live(module: ModuleType, life: Life) -> None:
    brownout, steps = life
    board = Board(module, brownout=brownout)
    now = 0
    for what, detail in steps:
        for _ in range(12 if what == "repeat" else 1):
            now += 100 * MS
            if what in ("block", "some", "repeat"):
                probes = [detail] * 3 if what == "repeat" else detail
                board.observe(now, probes, dense=what != "some")
            elif what == "count":
                board.count(now, detail)
            else:
                board.close(what, detail)
            board.agree(now)


def browned(rtt: int, batch: tuple[int, int], *, brownout: bool) -> Life:
    """Return a life in which delay changes, then loss is counted."""
    calm: tuple[str, Any] = ("repeat", (1, 1, 20 * MS))
    turn: tuple[str, Any] = ("rotate", 7)
    after = [turn, turn, calm, ("count_anew", 7), ("forget", 5), calm]
    return brownout, [calm, ("repeat", (1, 1, rtt)), ("count", batch), *after]


LIFE = LIVES | st.builds(
    browned,
    st.sampled_from([20 * MS, 900 * MS]),
    st.sampled_from([(50, 3), (400, 200)]),
    brownout=st.booleans(),
)


@given(LIFE)
def test_a_row_knows_what_its_own_samples_say(life: Life) -> None:
    """By slice or by index; alarms carry what was known when their proof arrived."""
    live(kernel, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> self._policy.stale_ns", ">= self._policy.stale_ns"),
        ("if self._policy.features.brownout:", "if True:"),
        ("loss = np.maximum(loss, self", "loss = np.minimum(loss, self"),
        ("np.concatenate([loss.alarmed, delay.alarmed])", "loss.alarmed"),
        ("np.concatenate([loss.alarmed, delay.alarmed])", "delay.alarmed"),
        ("alarmed - bounds(rows, self._rows)[0]", "alarmed - 1 - bounds(rows, self._rows)[0]"),
        ("self.figures(rows, at_ns)", "self.figures(rows, at_ns + self._policy.stale_ns)"),
        ("at_ns[np.searchsorted(rows, alarmed)]", "at_ns[alarmed]"),
        ("jitter_ns=self.health.jitter_ns(rows)\n        )", "jitter_ns=sample.rtt_ns\n        )"),
        ("self.brownout.count_anew(rows)", "pass"),
        ("self.health.count_anew(rows)", "pass"),
        ("self.health.rotate(rows)", "pass"),
        ("self.health.forget(rows)", "pass"),
        ("self.brownout.forget(rows)", "pass"),
        ("np.where(stale, -1, self.health.srtt_ns[rows])", "self.health.srtt_ns[rows]"),
        ("np.where(stale, -1, loss)", "loss"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of wiring the meters wrongly is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIFE, lambda life: live(broken, life))
