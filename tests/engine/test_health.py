"""Health against a tunnel kept as plain lists; unknowns, wraps, late and lost samples."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patronus.engine import health as kernel
from patronus.engine.arrays import BLOCK, RUN, Rows
from patronus.engine.health import Health
from patronus.engine.units import LONG_AGO, MS, NEVER
from tests.mutants.harness import caught, mutant
from tests.oracles.health import Tunnel

ROWS = 3
WINDOW = 2
WRAP = 2**32

PROBE = st.tuples(
    st.sampled_from([1, 1, 1, 2, 3, 11, 12, 0, -1, 2**31, 2**31 - 1, 2**31 + 1]),  # next sequence
    st.integers(0, 13),  # of them heard
    st.sampled_from([0, 1, 7 * MS, 40 * MS, 3 * 10**18, NEVER, -1]),  # round trip
    st.sampled_from([0, 1, 15, 16, 17, 3 * MS, -5 * MS]),  # transit, by another clock
)
STEP = st.one_of(
    st.tuples(st.just("probe"), st.lists(st.none() | PROBE, min_size=ROWS, max_size=ROWS)),
    st.tuples(st.just("block"), st.lists(PROBE, min_size=ROWS, max_size=ROWS)),
    st.tuples(st.just("count"), st.sampled_from([(0, 0), (1, 1), (50, 3), (2**31, 2**31)])),
    st.tuples(st.just("rotate"), st.sampled_from([0b111, 0b101, 0b010, 0])),
    st.tuples(st.just("anew"), st.sampled_from([0b111, 0b101, 0b010, 0])),
)
LIVES = st.tuples(st.sampled_from([0, WRAP - 3, 2**31 - 2]), st.lists(STEP, max_size=25))
"""The first sequence, and what happens to three rows."""

Life = tuple[int, list[Any]]


def act(health: Health, rows: Rows, samples: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Give one sample a row; return what each told."""
    columns = np.array(samples, dtype=np.int64).reshape(-1, 5).T
    names = ("sent_ns", "reflected_ns", "arrived_ns", "sequence", "heard_count")
    told = health.observe(rows, **dict(zip(names, columns, strict=True)))
    return [tuple(t.tolist()) for t in np.stack(told, axis=1)]


def figures(health: Health, row: int) -> tuple[int, ...]:
    one = np.array([row])
    habit = health.habit(one)
    return (
        int(health.srtt_ns[row]),
        int(health.jitter_ns(one)[0]),
        int(health.updated_ns[row]),
        int(health.late[row]),
        int(health.loss_ppm(one)[0]),
        int(health.loss_floor_ppm(one)[0]),
        int(habit.loss_ppm[0]),
        int(habit.burst_milli[0]),
        int(habit.proven_ppm[0]),
    )


class Pair:
    """Three rows of the kernel, between two that nobody touches, and a tunnel for each."""

    def __init__(self, module: ModuleType, first: int) -> None:
        self.health = module.Health(ROWS + 2, WINDOW)
        self.tunnels = [Tunnel(WINDOW, module.HABIT_PROBES) for _ in range(ROWS)]
        self.places = [[first, 0] for _ in range(ROWS)]
        """Sequence and peer's count so far."""

    def probe(self, now: int, probes: list[Any], *, dense: bool) -> None:
        rows = [row for row in range(ROWS) if probes[row] is not None]
        samples = [self.sample(row, now, *probes[row]) for row in rows]
        meant: Rows = slice(1, 1 + ROWS) if dense else np.array(rows, np.int64) + 1
        told = act(self.health, meant, samples)
        assert told == [self.tunnels[r].observe(*s) for r, s in zip(rows, samples, strict=True)]

    def sample(
        self, row: int, now: int, ahead: int, heard: int, rtt: int, transit: int
    ) -> tuple[int, ...]:
        place = self.places[row]
        sequence, count = (place[0] + ahead) % WRAP, (place[1] + heard) % WRAP
        if 0 <= rtt < NEVER and 0 < ahead < 2**31:
            self.places[row] = [sequence, count]
        return now, now + transit, NEVER if rtt == NEVER else now + rtt, sequence, count

    def count(self, batch: tuple[int, int]) -> None:
        sent, lost = (np.full(ROWS, n, dtype=np.int64) for n in batch)
        self.health.count(slice(1, 1 + ROWS), sent=sent, lost=lost)
        for tunnel in self.tunnels:
            tunnel.count(*batch)

    def close(self, what: str, mask: int) -> None:
        chosen = [row for row in range(ROWS) if mask >> row & 1]
        some = np.array(chosen, dtype=np.int64) + 1
        if what == "anew":
            self.health.count_anew(some)
        else:
            self.health.rotate(slice(1, 1 + ROWS) if len(chosen) == ROWS else some)
        for row in chosen:
            tunnel = self.tunnels[row]
            tunnel.count_anew() if what == "anew" else tunnel.rotate()


def live(module: ModuleType, life: Life) -> None:
    first, steps = life
    pair = Pair(module, first)
    for number, (what, detail) in enumerate(steps):
        if what in ("probe", "block"):
            pair.probe(number * 100 * MS, detail, dense=what == "block")
        elif what == "count":
            pair.count(detail)
        else:
            pair.close(what, detail)
        for row, tunnel in enumerate(pair.tunnels):
            assert figures(pair.health, row + 1) == tunnel.figures()
    untouched = Tunnel(WINDOW, 1).figures()
    assert figures(pair.health, 0) == figures(pair.health, ROWS + 1) == untouched


PLAIN = (1, 1, 40 * MS, 3 * MS)
CLOSED = (0, [("block", [PLAIN] * 3), ("rotate", 7), ("anew", 5), ("rotate", 7), ("rotate", 7)])
"""Buckets closed, thrown away, and filled again."""


@given(LIVES | st.just(CLOSED))
def test_health_is_what_a_list_of_samples_says(life: Life) -> None:
    """Dense or by index, ordinary or odd: each row has the figures of its own history."""
    live(kernel, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("step >>= 3", "step >>= 2"),
        ("np.add(jitter, 8, out=step)", "np.add(jitter, 0, out=step)"),
        ("step >>= 4", "step >>= 5"),
        ("np.maximum(jitter, 0, out=jitter)", "pass"),
        ("np.clip(gap + 1 - heard, 0, gap)", "gap"),
        ("np.clip(gap + 1 - heard, 0, gap)", "np.maximum(gap + 1 - heard, 0)"),
        ("fresh = came & (gap >= 0)", "fresh = came"),
        ("fresh = came & (gap >= 0)", "fresh = gap >= 0"),
        ("state[start] + wrap", "state[start]"),
        ("state[:, odd] = before", "pass"),
        ("gap[odd] = 0", "pass"),
        ("state[JITTER, first] = UNKNOWN", "pass"),
        ("+ 1) % len(self.ring)", "+ 1) % 1"),
        ("self.opened[:, rows] = 0\n        probes", "probes"),
        ("self.opened[:, rows] = self.sums[:, rows] = 0\n        self.ring", "self.ring"),
        ("self.ring[:, :, rows] = 0\n\n    def rotate", "pass\n\n    def rotate"),
        ("bursts - isqrt(4 * bursts)", "bursts - isqrt(bursts)"),
        ("+= (gap > 0) & ~outage", "+= gap > 0"),
        ("for start in (MARK, BASE)", "for start in (MARK,)"),
        ("lost[some] - isqrt(4 * lost", "lost[some] - isqrt(lost"),
        ("np.minimum(closed, _BUCKET_MAX, out=closed)", "pass"),
        ("outage = gap > OUTAGE_PROBES", "outage = gap >= OUTAGE_PROBES"),
        ("gap.view(np.uint64) < _SERIAL_HALF", "gap.view(np.uint64) < 2 * _SERIAL_HALF"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIVES | st.just(CLOSED), lambda life: live(broken, life))


def test_more_losses_never_prove_less() -> None:
    """Of a hundred packets, one more lost never lowers what the counts prove."""
    health = Health(100)
    rows = np.arange(100)
    health.count(rows, sent=np.full(100, 100), lost=rows)
    floor = health.loss_floor_ppm(rows)
    assert (np.diff(floor) >= 0).all()
    # Five are more than twice their root, four are just that.
    assert floor[4:7].tolist() == [0, 10_000, 20_000]


def test_a_habit_by_hand() -> None:
    """1 + 2980 * 11 = 32,781 probes are more than 2^15: 14,900 of 16,390 are kept as lost."""
    health = Health(1)
    for turn in range(2981):
        act(health, slice(0, 1), [(0, 0, 1, 11 * turn, turn)])
    assert health.habit(slice(0, 1)).loss_ppm.tolist() == [29_800 * 10**6 // 32_781]
    health.rotate(slice(0, 1))
    habit = health.habit(np.array([0]))
    assert habit.loss_ppm.tolist() == [14_900 * 10**6 // 16_390]
    assert habit.burst_milli.tolist() == [10_000]


GAPPED = (3, 3, 40 * MS, 3 * MS)


@given(LIVES)
@example((0, [("block", [PLAIN] * 3)] * 17 + [("block", [GAPPED] * 3), ("rotate", 7)] * 2))
def test_a_habit_is_halved_when_it_is_long(life: Life) -> None:
    """With a memory of 20 probes instead of 2^15 the figures are those of the lists, too."""
    live(mutant(kernel, "HABIT_PROBES: Final = 2**15", "HABIT_PROBES: Final = 20"), life)


@given(
    st.integers(-1, 2**40),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.sampled_from([0, 1, 7, 8, 9, 15, 16, 17]) | st.integers(0, 2**40),
)
def test_an_estimator_never_falls_because_it_stood_higher(
    low: int, rtt_ns: int, transit_ns: int, more: int
) -> None:
    """The same sample leaves a higher state higher or equal: srtt and jitter, each alone."""
    health = Health(2)
    both = np.array([0, 1])
    act(health, both, [(0, 0, 5, 1, 1)] * 2)
    health.srtt_ns[:] = health.jitter_x16[:] = [low, low + more]
    act(health, both, [(10, 10 + transit_ns, 10 + rtt_ns, 2, 2)] * 2)
    assert health.srtt_ns[0] <= health.srtt_ns[1]
    assert health.jitter_x16[0] <= health.jitter_x16[1]


def test_blocks_are_joined_seamlessly() -> None:
    """A slice over several blocks gives each row what a call of its own gives."""
    rows = 2 * BLOCK + 5
    dense, single = Health(rows), Health(rows)
    row = np.arange(rows, dtype=np.int64)
    for turn in range(4):
        samples = {
            "sent_ns": row * 7 + turn * MS,
            "reflected_ns": row * 9 + turn * turn * 31,
            "arrived_ns": np.where((row + turn) % 97 == 0, NEVER, row * 31 + (turn + 1) * MS),
            "sequence": np.full(rows, turn) + (row % 89 == turn),
            "heard_count": np.full(rows, turn),
        }
        told = dense.observe(slice(None), **samples)
        told_singly = single.observe(row, **samples)
        for a, b in zip(told, told_singly, strict=True):
            assert a.tolist() == b.tolist()
    for name in ("srtt_ns", "jitter_x16", "updated_ns", "late"):
        assert getattr(dense, name).tolist() == getattr(single, name).tolist()
    assert dense.loss_ppm(row).tolist() == single.loss_ppm(slice(None)).tolist()


def test_long_runs_of_rows_are_as_good_as_single_ones() -> None:
    """Rotating and reading whole sites gives each row what it gets alone, wherever its ring is."""
    rows = 3 * RUN + 1
    sites = np.concatenate([np.arange(RUN + 1), np.arange(2 * RUN, rows)])
    whole, apart = Health(rows, WINDOW), Health(rows, WINDOW)
    every = np.arange(rows)
    for turn in range(5):
        sent = np.full(rows, 10 + turn)
        for health in (whole, apart):
            health.count(slice(None), sent=sent, lost=every % 7)
            act(health, every, [(0, 0, 5, turn, turn)] * rows)
        if turn == 2:  # from here on their rings stand at different places
            whole.rotate(every[::2])
            apart.rotate(every[::2])
        whole.rotate(sites)
        for row in sites.tolist():
            apart.rotate(np.array([row]))
    for read in ("loss_ppm", "loss_floor_ppm"):
        expected = [int(getattr(apart, read)(np.array([row]))[0]) for row in sites.tolist()]
        assert getattr(whole, read)(sites).tolist() == expected


def test_nothing_is_known_before_the_first_sample() -> None:
    """Every figure of a new row is unknown, and again after it is forgotten."""
    health = Health(1)
    unknown = (-1, -1, LONG_AGO, 0, -1, -1, -1, 1000, -1)
    assert figures(health, 0) == unknown
    act(health, slice(0, 1), [(0, 1, 2, 9, 4)])
    assert figures(health, 0) == (2, -1, 2, 0, 0, 0, 0, 1000, 0)
    health.rotate(slice(None))
    health.forget(np.array([0]))
    assert figures(health, 0) == unknown


def test_one_way_loss_by_hand() -> None:
    """Of five probes two die on the way out and two on the way back: 2 of 6 sent, 333,333 ppm."""
    health = Health(1)
    act(health, slice(0, 1), [(0, 0, 1, 10, 1)])
    told = act(health, slice(0, 1), [(0, 0, 1, 15, 4)])  # 11..15: the peer heard three of them
    assert told == [(5, 2, 1)]
    assert health.loss_ppm(slice(0, 1)).tolist() == [333_333]
    assert health.loss_floor_ppm(slice(0, 1)).tolist() == [0]
    health.count(slice(0, 1), sent=np.array([4]), lost=np.array([4]))
    assert health.loss_floor_ppm(slice(0, 1)).tolist() == [200_000]  # (6 - 2 * 2) / 10
    habit = health.habit(slice(0, 1))
    assert (habit.loss_ppm.tolist(), habit.burst_milli.tolist()) == ([666_666], [4000])


def test_rfc_3550_jitter_by_hand() -> None:
    """Transits 0, 16, 0 ms give 1 ms, then 1 + 15/16 ms (section 6.4.1)."""
    health = Health(1)
    for turn, transit in enumerate((0, 16 * MS, 0)):
        act(health, slice(0, 1), [(0, transit, 20 * MS, turn, turn)])
    assert health.jitter_ns(slice(0, 1)).tolist() == [MS + 15 * MS // 16]
