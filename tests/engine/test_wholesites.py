"""A driver's passes over whole sites choose and write what the engine's own do."""

from dataclasses import replace
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
from patronus.engine.wholesites import Found, Table
from patronus.sim import compiled
from patronus.sim.blocks import Blocks
from patronus.sim.choosers import Choosers
from patronus.sim.compiled import choosing
from tests.engine import test_fanout as fans
from tests.engine import test_lanes as lanes
from tests.engine.scene import CASES, Case
from tests.engine.test_steering import UNKNOWN_BEYOND, Decided
from tests.mutants.harness import caught
from tests.oracles import steering as oracle
from tests.oracles.overlays import Plan
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


NEARLY = replace(UNKNOWN_BEYOND, luck=1_788_458_060, keep=False)
"""A rival that is better, and not by the margin."""


DRAINED_COMPLIES = Case(
    Plan(sites=2, lanes=3, tunnels=((1, 0, 2), (1, 0, 1), (1, 0, 0)), shared=(), transit=()),
    luck=1_065_429_194, calm=False, keep=False,
)  # fmt: skip
"""A class that stays where nothing complies, and the only tunnel that does is drained."""


class Blind(Choosers):
    """Passes to which the metrics of this moment are not up to date."""

    def one_by_one(
        self, entries: I64, known: Any, table: Table, *, keep: bool
    ) -> tuple[Found, I64]:
        """Choose without them: what they are said to be is worthless."""
        ground, moment, wishes = known
        now = np.where(np.arange(len(moment.now)) % 2, 0, 10**6 * MS)
        moment = moment._replace(now=now, fresh=False)
        return super().one_by_one(entries, (ground, moment, wishes), table, keep=keep)


def one_by_one(module: ModuleType, case: Case) -> None:
    """Compare what a pass for any entries comes to with an argument about each of them."""
    for passes in Choosers, Blind:
        Decided(case, fewest=10**6, passes=passes(module, Blocks())).argued(oracle)


@settings(max_examples=150)
@given(CASES)
@example(UNKNOWN_BEYOND)
@example(NEARLY)
@example(DRAINED_COMPLIES)
def test_one_by_one(case: Case) -> None:
    """Whatever the overlay and the policy, entries that are no whole sites go the same ways."""
    one_by_one(compiled, case)


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

ONE_BY_ONE = (
    ("settles &= row == NO_ROW or settled[row]", "settles &= row == NO_ROW"),
    ("at_home |= home[to, place] == site", "pass"),
    ("or not announces[held[site, slot[dst[row]]], to]", ""),
    ("end[c] = -1 if only[to] else dst[row]", "end[c] = dst[row]"),
    ("or at_home or behind[far, to]", "or at_home"),
    ("and not settles and rank[end[c]] < rank[site]", "and rank[end[c]] < rank[site]"),
    ("and not settles and rank[end[c]] < rank[site]", "and not settles"),
    ("content = held[site, there] * believed[site, there]", "content = held[site, there]"),
    ("beyond[c] = offer & _BADNESS", "pass"),
    ("if state[row] != _UP or forbidden", "if forbidden"),
    ("or forbidden[number, lane[c]] or offer < 0", "or offer < 0"),
    ("or forbidden[number, lane[c]] or offer < 0", "or forbidden[number, lane[c]]"),
    ("min(published[row] + beyond[c], UNKNOWN_BADNESS_NS)", "published[row] + beyond[c]"),
    ("if c >= near and by_sla:", "if c >= near:"),
    ("if c >= near and by_sla:", "if by_sla and False:"),
    ("max(tier[c], whole_of(told[:, row], rest, limits[number]))", "tier[c]"),
    ("rest = figures[content, to, number]", "pass"),
    ("if asked[number, c] != site:", "if asked[number, c] < 0:"),
    ("rest = site, worst[content, number]", "rest = site, figures[content, to, number]"),
    ("tier[c] = max(tier[c], offer >> BADNESS_BITS)", "pass"),
    ("if drops[number] and tier[c]", "if tier[c]"),
    ("            if tier[c] < VIOLATING:\n", "            if True:\n"),
    ("order[c, to] * PLACE if c < near else TRANSIT", "0 if c < near else TRANSIT"),
    ("order[c, to] * PLACE if c < near else TRANSIT", "order[c, to] * PLACE if c < near else 0"),
    ("grade += DETOUR * (c >= near and carries[site]) +", "grade +="),
    ("+ DRAINED * drained[row]", ""),
    ("if stays[number] and not complies and", "if not complies and"),
    ("if stays[number] and not complies and", "if stays[number] and"),
    ("key[incumbent] < _RESORT and left_tier < OUTAGE", "left_tier < OUTAGE"),
    ("key[incumbent] < _RESORT and left_tier < OUTAGE", "key[incumbent] < _RESORT"),
    ("rests = keep\n", "rests = False\n"),
    ("doubt |= better and not fresh", "pass"),
    ("first = first if better and not waits_here else", "first = first if better else"),
    ("waits_here = better and its > mine", "pass"),
    ("+ beyond[incumbent], UNKNOWN", ", UNKNOWN"),
    ("_stand_apart(apart, second, key, rows, lane, end, fates)", "pass"),
    ("shared = not good", "shared = False"),
    ("(keys[wished] < _RESORT or keys[best] >= _RESORT)", "True"),
    ("twice = keys[number] == least", "pass"),
    ("if doubt or shares[number]:", "if doubt:"),
    ("if not backups:", "if False:"),
    ("if first < 0 and not drops[number]:", "if first < 0:"),
    ("(end[c] >= 0 and end[c] == end[chosen])", "(end[c] == end[chosen])"),
    ("left_tier = tier[incumbent] if incumbent >= 0 else -1", "left_tier = 0"),
    (
        "        if waits_here:\n            waiting[waits] = pair",
        "        if False:\n            pass",
    ),
    ("chosen, drops[number], shared)", "chosen, False, shared)"),
)

MUTANTS: list[Any] = [(side_by_side, lanes.LUCK, *texts) for texts in SIDE_BY_SIDE]
MUTANTS += [(fan_out, FANS, *texts) for texts in FAN_OUT]
MUTANTS += [(one_by_one, CASES, *texts) for texts in ONE_BY_ONE]
MUTANTS.append((one_by_one, st.just(NEARLY), "max(margin_ns, metric[incumbent] * margin_ppm", "(0"))
MUTANTS.append(
    (
        one_by_one, st.just(DRAINED_COMPLIES), "tier[c] == COMPLIANT and grade < LAST_RESORT",
        "tier[c] == COMPLIANT",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("holds", "cases", "old", "new"), MUTANTS, ids=[m[2][:40] for m in MUTANTS]
)
def test_the_properties_catch_mutants(holds: Any, cases: Any, old: str, new: str) -> None:
    """Each way of choosing wrongly is noticed; passes that are only interpreted are sound."""
    with np.errstate(over="ignore"):  # NumPy alone minds what a missing tunnel's metric is
        assert not caught(cases, lambda case: holds(interpreted(choosing), case), examples=5)
        broken = interpreted(choosing, old, new)
        assert caught(cases, lambda case: holds(broken, case), examples=600)
