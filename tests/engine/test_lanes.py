"""Pairs with their own tunnels against an argument about each entry, however few they are."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine import lanes as kernel
from patronus.engine.change import Reselected
from patronus.engine.overlay import I64, build_overlay
from patronus.engine.parts import assemble
from patronus.engine.policy import Features, Policy, SlaClass, TrafficClass
from patronus.engine.selection import select
from patronus.engine.units import MS
from patronus.engine.verdict import UNKNOWN_BADNESS_NS
from tests.engine.scene import Case, Scene, policy_of
from tests.engine.test_steering import Decided
from tests.mutants.harness import caught, mutant
from tests.oracles import steering as oracle
from tests.oracles.overlays import Plan


@st.composite
def meshes(draw: st.DrawFn) -> Plan:
    """Draw sites with most tunnels between them; now and then one carries others' traffic."""
    sites, lanes = draw(st.integers(2, 5)), draw(st.sampled_from([1, 2, 3, 3, 3]))
    every = [(a, b, n) for a in range(sites) for b in range(a) for n in range(lanes)]
    gone = draw(st.lists(st.sampled_from(every), max_size=3)) if draw(st.booleans()) else []
    shared = draw(st.sampled_from([(), (), ((1, 0),), ((0,), (1,))]))
    transit = draw(st.sampled_from([(), (), (), (0,)]))
    return Plan(sites, lanes, tuple(t for t in every if t not in gone), shared, transit)


CASES = st.builds(
    Case,
    meshes().filter(lambda plan: plan.tunnels),
    st.integers(0, 10**6).map(lambda n: n * 2_654_435_761 % 2**32),
    st.booleans(),
    st.just(False),  # a value to draw, no switch
)


def side_by_side(module: ModuleType, case: Case, fewest: int = 1) -> Decided:
    """Let an engine choose side by side for as few sites and destinations."""
    return Decided(case, lanes=module.Lanes, fewest=fewest)


@given(CASES, st.integers(1, 3))
def test_pairs_take_what_is_argued_for(case: Case, fewest: int) -> None:
    """Keys, their order and the backups lead to the same paths as looking at each pair."""
    side_by_side(kernel, case, fewest).argued(oracle)


MS_APART = (10, 10, 11, 12, 13, 14, 50)
SITES = 6


def policy(dice: np.random.Generator) -> Policy:
    """Draw a policy; most ask for nothing that only the long way knows."""
    if dice.random() < 0.3:
        return policy_of(dice)
    features = Features(hysteresis=bool(dice.random() < 0.8), transit=bool(dice.random() < 0.5))
    forbidden = frozenset(("lte",) if dice.random() < 0.3 else ())
    one = TrafficClass("one", sla=SlaClass(forbid=forbidden, prefer=("sat",)))
    return Policy(
        classes=(one, TrafficClass("two")),
        features=features,
        margin_ns=2 * MS,
        margin_ppm=int(dice.choice([0, 100_000])),
    )


class Mesh:
    """Sites with tunnels between most of them, at moments that follow each other."""

    def __init__(self, luck: int, module: ModuleType, fewest: int) -> None:
        self.dice = dice = np.random.default_rng(luck)
        lanes = int(dice.choice([1, 2, 3, 3, 3]))
        every = [(a, b, n) for a in range(SITES) for b in range(a) for n in range(lanes)]
        kept = [pair for pair in every if dice.random() < 0.95]
        names = [f"site{n}" for n in range(SITES)]
        overlay = build_overlay(
            sites=names, transports=("mpls", "lte", "sat")[:lanes],
            pairs=np.array(kept, dtype=np.int64).reshape(-1, 3),
            destinations=[("net", names[:2])] if dice.random() < 0.3 else [],
            transit=names[:1] if dice.random() < 0.3 else [],
        )  # fmt: skip
        bits = (dice.random((overlay.rows, 64)) < 0.06) << np.arange(64, dtype=np.uint64)
        fates = np.bitwise_or.reduce(bits.astype(np.uint64), axis=1)[:, None]
        self.parts = parts = assemble(
            overlay, policy(dice), fates=fates, sink=None, selector=select
        )
        steering, self.rows = parts.steering, overlay.rows
        steering.whole.lanes = module.Lanes(
            overlay,
            steering.candidates,
            tunnels=parts.tunnels,
            ranking=parts.ranking,
            knowledge=parts.knowledge,
        )
        steering.whole.lanes.fewest = steering.whole.fanout.fewest = fewest

    def moment(self) -> list[Any]:
        """Let something happen, choose anew, and tell what came of it."""
        dice, parts = self.dice, self.parts
        calm = dice.random() < 0.6
        parts.tunnels.state[:] = dice.choice([3] * 8 + [2] if calm else [0, 2, 3, 3], self.rows)
        parts.tunnels.drained[:] = dice.random(self.rows) < (0.02 if calm else 0.3)
        verdicts = [0] * 9 + [1] if calm else [0, 0, 1, 2, 3]
        parts.ranking.verdict[:] = dice.choice(verdicts, (2, self.rows))
        for metric in (parts.ranking.metric_published, parts.ranking.metric_now):
            metric[:] = dice.choice(MS_APART, self.rows) * MS
            # Mostly no two are equal; now and then one is not known.
            metric[:] += np.arange(self.rows) * (dice.random() < 0.8)
            metric[dice.random(self.rows) < 0.02] = UNKNOWN_BADNESS_NS
        share = 1 if dice.random() < 0.5 else 0.7
        asked = np.flatnonzero(dice.random(parts.steering.space.entries) < share)
        found, table = self.choose(asked), parts.steering.wanted
        change = found.change
        assert set(found.written.tolist()) <= set(asked.tolist())
        arrays = (
            table.rows, table.drop, table.shared_fate, parts.steering.tier, found.waiting,
            change.entries, change.before, change.after, change.cause,
        )  # fmt: skip
        return [array.tolist() for array in arrays]

    def choose(self, asked: I64) -> Reselected:
        """Choose anew for some entries."""
        return self.parts.steering.reselect(asked)


def as_pair_by_pair(module: ModuleType, luck: int) -> None:
    """Let two engines live through the same, one of them choosing side by side."""
    quick, plain = Mesh(luck, module, 1), Mesh(luck, kernel, 10**6)
    for _ in range(4):
        assert quick.moment() == plain.moment()


LUCK = st.integers(0, 2**32 - 1)


@settings(max_examples=150)
@given(LUCK)
def test_the_same_comes_as_pair_by_pair(luck: int) -> None:
    """Incumbents, backups and fates over several moments; what is not asked for stays."""
    as_pair_by_pair(kernel, luck)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("doubtful |= (best ^ second < _SAME) & (second < _FAR)", "pass"),
        ("doubtful |= (second ^ third < _SAME) & (third < _FAR)", "pass"),
        ("(first != before) & (best < _FAR)", "first != before"),
        ("place += up * np.int8(columns.lanes * _VERDICTS)",
         "place += np.int8(columns.lanes * _VERDICTS)"),
        ("place += self._tunnels.drained[low:high] * np.int8(2 * columns.lanes * _VERDICTS)",
         "pass"),
        ("key[columns.forbidden[lane]] |= _FAR", "pass"),
        ("doubtful[self._overlay.src[beyond] - sites.start, self._overlay.dst[beyond]] = True",
         "pass"),
        ("if policy.features.hysteresis:", "if True:"),
        ("at[~(better & (its <= mine))]", "at[~better]"),
        ("at[better & (its > mine)]", "at[better]"),
        ("(held < _FAR) & (held >> _GRADE_SHIFT == rival >> _GRADE_SHIFT)", "held < _FAR"),
        ("(third[swapped] < _DRAINED) | (second[swapped] >= _DRAINED)", "third[swapped] >= 0"),
        ("at[~self._tunnels.share_fate(far[at], primary[at])]", "at"),
        ("return (near, far), shares | ~two", "return (near, far), shares"),
        ("shares[swapped] = False", "pass"),
        ("np.where(held == second, third, second)", "third"),
        ("first[kept] = before[kept]", "pass"),
        ("first[nothing] = before[nothing]", "pass"),
        ("shared_fate[nothing] = before[nothing] != NO_ROW", "pass"),
        ("tier[nothing] = VIOLATING", "pass"),
        ("columns.drops or columns.stays or", "columns.stays or"),
        ("columns.drops or columns.stays or", "columns.drops or"),
        (" or columns.weights is not None)", ")"),
        ("return features.backups and", "return"),
    ],
)  # fmt: skip
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of choosing side by side wrongly is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LUCK, lambda luck: as_pair_by_pair(broken, luck), examples=600)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("not (features.transit and self._carried)", "True"),
        ("self._suits[:, :sites] = knowledge.slot < 0", "self._suits[:, :sites] = True"),
    ],
)
def test_what_others_carry_or_withdraw_goes_the_long_way(old: str, new: str) -> None:
    """Where a site carries traffic, or tells what it announces, its pairs are not for here."""
    broken = mutant(kernel, old, new)
    carried = CASES.map(lambda case: replace(case, plan=case.plan._replace(transit=(0,))))
    assert caught(carried, lambda case: side_by_side(broken, case).argued(oracle))


def test_neighbouring_sites_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites are cut where one is missing, and where a block is full."""
    plan = Plan(5, 1, ((1, 0, 0), (2, 0, 0)), shared=(), transit=())
    lanes = Scene(Case(plan, 0, calm=True, keep=False)).parts.steering.whole.lanes
    sites = np.array([0, 1, 3, 4], dtype=np.int64)
    assert list(lanes.blocks(sites)) == [(slice(0, 2), slice(0, 2)), (slice(3, 5), slice(2, 4))]
    monkeypatch.setattr(kernel, "_PAIRS_AT_ONCE", 9)
    assert [here for here, _ in lanes.blocks(sites)] == [
        slice(0, 1), slice(1, 2), slice(3, 4), slice(4, 5),
    ]  # fmt: skip


def test_few_entries_are_left_to_others() -> None:
    """Fewer entries of a site than pay are not chosen side by side."""
    plan = Plan(3, 1, ((1, 0, 0), (2, 0, 0)), shared=(), transit=())
    parts = Scene(Case(plan, 0, calm=True, keep=False)).parts
    every = np.arange(parts.steering.space.entries, dtype=np.int64)
    batch, rest = parts.steering.whole.lanes.batch(every, parts.steering.space)
    assert (len(batch.sites), rest.tolist()) == (0, every.tolist())


def test_more_transports_than_can_be_put_in_order() -> None:
    """With four of them all pairs go the long way."""
    pairs = np.array([(0, 1, lane) for lane in range(4)], dtype=np.int64)
    overlay = build_overlay(sites=("a", "b"), transports=tuple("wxyz"), pairs=pairs)
    steering = assemble(overlay, Policy(), fates=None, sink=None, selector=select).steering
    steering.whole.lanes.fewest = 1
    every = np.arange(steering.space.entries, dtype=np.int64)
    batch, rest = steering.whole.lanes.batch(every, steering.space)
    assert (len(batch.sites), rest.tolist()) == (0, every.tolist())
