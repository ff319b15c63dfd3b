"""A driver's passes over whole sites choose and write what the engine's own do."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patronus.engine import lanes as kernel
from patronus.engine.change import Reselected
from patronus.engine.overlay import I32, I64
from patronus.engine.units import MS
from patronus.sim import compiled
from patronus.sim.blocks import Blocks
from patronus.sim.choosers import Choosers
from patronus.sim.compiled import choosing
from tests.engine import test_fanout as fans
from tests.engine import test_lanes as lanes
from tests.engine.scene import CASES, Case
from tests.engine.test_steering import Decided
from tests.mutants.harness import caught
from tests.oracles import steering as oracle
from tests.sim.compiled.interpreted import interpreted


def passes_of(module: ModuleType) -> Choosers:
    """Return the passes of a module as the engine takes them."""
    return Choosers(module, Blocks())


def side_by_side(module: ModuleType, luck: int) -> None:
    """Let two engines live through the same, one of them with passes for whole sites."""
    quick, plain = lanes.Mesh(luck, kernel, 1), lanes.Mesh(luck, kernel, 10**6)
    quick.parts.steering.whole.passes = passes_of(module)
    for _ in range(4):
        assert quick.moment() == plain.moment()


@settings(max_examples=100)
@given(lanes.LUCK)
def test_side_by_side(luck: int) -> None:
    """Incumbents, backups and fates over several moments are those found pair by pair."""
    side_by_side(compiled, luck)


@settings(max_examples=100)
@given(fans.CASES, st.integers(1, 3))
@example(fans.TELLING[0], 1)
def test_fan_out(case: Case, fewest: int) -> None:
    """What leads through transit sites is what an argument about each entry comes to."""
    fan_out(compiled, case, fewest)


@given(CASES)
def test_any_case(case: Case) -> None:
    """Whatever the overlay and the policy, the passes and the argument agree."""
    fan_out(compiled, case)


class Hidden(lanes.Mesh):
    """A mesh whose metrics of this moment are known only when they are asked for."""

    def moment(self) -> list[Any]:
        """Let something happen; what is known of now is worthless until it is refreshed."""
        self.asked = 0
        return super().moment()

    def choose(self, asked: I64) -> Reselected:
        """Hide the metrics of this moment, and choose."""
        ranking = self.parts.ranking
        truth = ranking.metric_now.copy()
        ranking.metric_now[:] = np.where(np.arange(self.rows) % 2, 0, 10**6 * MS)

        def refresh(rows: I64 | I32) -> None:
            self.asked += len(rows)
            ranking.metric_now[rows] = truth[rows]

        ranking.refresh = refresh
        return super().choose(asked)


def test_what_is_not_up_to_date_is_asked_for() -> None:
    """Pairs that hang on metrics of this moment wait for them; the others need none."""
    asked = 0
    for luck in range(60):
        quick, plain = Hidden(luck, kernel, 1), lanes.Mesh(luck, kernel, 10**6)
        quick.parts.steering.whole.passes = passes_of(compiled)
        for _ in range(3):
            assert quick.moment() == plain.moment()
            asked += quick.asked
    assert asked > 20


def fan_out(module: ModuleType, case: Case, fewest: int = 1) -> None:
    """Compare what a module's passes come to with an argument about each entry."""
    Decided(case, fewest=fewest, passes=passes_of(module)).argued(oracle)


FANS = st.sampled_from(fans.TELLING) | fans.CASES

SIDE_BY_SIDE = (
    ("unknown |= row != NO_ROW and up and metric >= _METRIC_MAX", "pass"),
    ("kind = np.int64(drained[row]) * 2 + np.int64(up)", "kind = np.int64(up)"),
    ("if row == NO_ROW or metric", "if metric"),
    ("if unknown or tied:", "if unknown:"),
    ("if held >> _GRADE_SHIFT == one >> _GRADE_SHIFT:", "if True:"),
    ("better = rival + max(margin_ns, smooth * margin_ppm // PPM) < smooth",
     "better = rival < smooth"),
    ("stays = not better or waits_here", "stays = not better"),
    ("third = other if held == third else third", "pass"),
    ("shared, tier = was != NO_ROW,", "shared, tier = False,"),
    ("and (third < _DRAINED or other >= _DRAINED)", ""),
    ("chosen[1], chosen[2], shared = chosen[2], chosen[1], False", "pass"),
    ("shared = other >= _FAR or", "shared = other < _FAR and"),
    ("left = held >> _TIER_SHIFT & OUTAGE", "pass"),
)  # fmt: skip

FAN_OUT = (
    ("or tied[at, j] or odd[at, j]", "or odd[at, j]"),
    ("or tied[at, j] or odd[at, j]", "or tied[at, j]"),
    ("if held != lead and grade[held, at] == grade[lead, at]:", "if held != lead:"),
    ("if not (better and no_worse):", "if not better:"),
    ("if better and not no_worse:", "if better:"),
    ("_least(key, forbidden[at, lead])", "_least(key, 0)"),
    ("_least(key, forbidden_then[at, lead, first])", "_least(key, forbidden[at, lead])"),
    ("shared = not disjoint[at, lead]", "shared = True"),
    ("chosen[0] = was\n            shared", "pass\n            shared"),
)

MUTANTS: list[Any] = [(side_by_side, lanes.LUCK, *texts) for texts in SIDE_BY_SIDE]
MUTANTS += [(fan_out, FANS, *texts) for texts in FAN_OUT]


@pytest.mark.parametrize(
    ("holds", "cases", "old", "new"), MUTANTS, ids=[m[2][:40] for m in MUTANTS]
)
def test_the_properties_catch_mutants(holds: Any, cases: Any, old: str, new: str) -> None:
    """Each way of choosing wrongly is noticed; passes that are only interpreted are sound."""
    with np.errstate(over="ignore"):  # NumPy alone minds what a missing tunnel's metric is
        assert not caught(cases, lambda case: holds(interpreted(choosing), case), examples=5)
        broken = interpreted(choosing, old, new)
        assert caught(cases, lambda case: holds(broken, case), examples=600)
