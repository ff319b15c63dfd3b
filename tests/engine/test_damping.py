"""Damping: holds double with flaps, flaps decay while up, nothing overflows."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import damping
from patronus.engine.damping import Damper
from patronus.engine.policy import Damping, Features, Policy
from patronus.engine.units import MINUTE, NEVER, SECOND
from tests.mutants.harness import caught, mutant
from tests.oracles.damping import Record

BASE = -20
"""Times begin in the warm-up, before zero."""

LIVES = st.tuples(
    st.builds(
        Damping,
        hold_ns=st.integers(0, 5),
        hold_max_ns=st.sampled_from([0, 1, 5, 7, 40, 2**62]),
        decay_ns=st.integers(1, 6),
    ),
    st.lists(
        st.tuples(
            st.integers(0, 15),
            st.sampled_from(["look", "flap", "sla", "up", "blink", "blink"]),
        ),
        max_size=40,
    ),
)
"""The policy, and (time since the last step, step); to blink is to fail and come through."""


def live(kernel: ModuleType, life: tuple[Damping, list[tuple[int, str]]]) -> None:
    policy, steps = life
    damper = kernel.Damper(3, Policy(damping=policy))
    record = Record(policy.hold_ns, policy.hold_max_ns, policy.decay_ns)
    now, row = BASE, np.array([1])
    for wait, step in steps:
        now += wait
        for _ in range(wait):
            record.tick()
        assert damper.hold_ns(row, now).tolist() == [record.hold]
        if step in ("flap", "sla", "blink"):
            record.flap(still_up=step == "sla")
            damper.flap(row, now, still_up=step == "sla")
        if step in ("up", "blink"):
            record.up()
            damper.up(row, now)
        assert damper.hold_ns(row, now).tolist() == [record.hold]
    first = min(policy.hold_ns, policy.hold_max_ns)
    assert damper.hold_ns(np.array([0, 2]), now).tolist() == [first, first]


@given(LIVES)
def test_a_hold_is_what_counting_every_moment_says(
    life: tuple[Damping, list[tuple[int, str]]],
) -> None:
    """Sparse updates give the hold of a record kept moment by moment; other rows are untouched."""
    live(damping, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.minimum(flaps + ~again, self._flaps_max)", "flaps + ~again"),
        ("flaps + ~again", "flaps + 1"),
        ("self._fallen[rows] & (flaps == self.flaps[rows])", "self._fallen[rows]"),
        ("np.minimum(self.up_ns[rows], at_ns)\n        self._fallen[rows] = False",
         "np.minimum(self.up_ns[rows], at_ns)"),
        ("// self._damping.decay_ns", "// (self._damping.decay_ns + 1)"),
        ("now_ns - np.minimum(up_ns, now_ns)", "now_ns - up_ns"),
        ("at_ns if still_up else NEVER", "at_ns"),
        ("at_ns if still_up else NEVER", "self.up_ns[rows] if still_up else NEVER"),
        ("return np.minimum(holds, self._damping.hold_max_ns)", "return holds"),
    ],
)  # fmt: skip
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Unbounded memory, wrong decay, endless stories, wrap-around, a missing cap are noticed."""
    broken = mutant(damping, old, new)
    assert caught(LIVES, lambda life: live(broken, life))


@given(st.lists(st.integers(0, 90), max_size=12), st.integers(0, 11), st.integers(0, 200))
def test_holds_are_monotone(gaps: list[int], extra: int, wait: int) -> None:
    """One flap more never shortens a hold, and waiting without a flap never lengthens it."""
    row = np.array([0])

    def held(times: list[int], at: int) -> int:
        damper = Damper(1, Policy())
        for t in times:
            damper.flap(row, t * SECOND)
            damper.up(row, t * SECOND)
        return int(damper.hold_ns(row, at * SECOND)[0])

    times = np.cumsum(gaps).tolist()
    end = times[-1] if times else 0
    more = sorted([*times, times[extra] if extra < len(times) else end])
    assert held(times, end + wait) <= held(more, end + wait)
    assert held(times, end + wait) <= held(times, end)


STORY = st.lists(st.tuples(st.integers(0, 2 * SECOND), st.booleans()), min_size=1, max_size=20)
"""Times since the last failure, none of which a hold of 2 s fits into, and ``still_up``."""


@given(st.integers(0, 4), STORY)
def test_one_story_is_one_flap(before: int, story: list[tuple[int, bool]]) -> None:
    """However often a tunnel fails before a hold has passed, the next one doubles once."""
    damper, row, now = Damper(1, Policy()), np.array([0]), 0
    for _ in range(before):
        damper.flap(row, now)
        damper.up(row, now)
    for wait, still_up in story:
        now += wait
        damper.flap(row, now, still_up=still_up)
        assert damper.hold_ns(row, now).tolist() == [min(2 << before + 1, 60) * SECOND]


def test_the_documented_ladder() -> None:
    """With the default policy holds are 2, 4, 8 … 60 s, and a minute up forgets one flap."""
    damper, row, holds = Damper(1, Policy()), np.array([0]), []
    for _ in range(7):
        holds.append(int(damper.hold_ns(row, 0)[0]) // SECOND)
        damper.flap(row, 0)
        damper.up(row, 0)
    assert holds == [2, 4, 8, 16, 32, 60, 60]
    assert damper.hold_ns(row, MINUTE - 1).tolist() == [60 * SECOND]
    assert damper.hold_ns(row, MINUTE).tolist() == [32 * SECOND]


def test_switched_off_there_is_no_hold() -> None:
    """With ``features.damping`` off a tunnel may return at once, whatever it did."""
    damper = Damper(2, Policy(features=Features(damping=False)))
    for t in range(100):
        damper.flap(np.array([1]), t)
    assert damper.hold_ns(np.array([0, 1]), 100).tolist() == [0, 0]


def test_a_forgotten_record_is_clean() -> None:
    """An agent that lost its memory starts with the first hold."""
    damper, rows = Damper(2, Policy()), np.array([0, 1])
    damper.flap(rows, 0)
    damper.up(rows, 5)
    damper.forget(rows[:1])
    assert damper.flaps.tolist() == [0, 1]
    assert damper.up_ns.tolist() == [NEVER, 5]


@pytest.mark.parametrize("bad", [Damping(-1, 1, 1), Damping(1, -1, 1), Damping(1, 1, 0)])
def test_impossible_policies_are_refused(bad: Damping) -> None:
    """A negative hold or a decay of nothing is a mistake of the caller."""
    with pytest.raises(ValueError, match="damping needs"):
        Damper(1, Policy(damping=bad))
