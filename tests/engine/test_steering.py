"""Steering against an argument about each entry: what may be used, what is best, what stands by."""

from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patronus.engine.change import Cause
from patronus.engine.fanout import FEWEST, Fanout
from patronus.engine.lanes import Lanes
from patronus.engine.policy import WhenNone
from patronus.engine.wholesites import Passes
from tests.engine.scene import CASES, Case, Scene
from tests.mutants.harness import caught, mutant
from tests.oracles import steering as oracle
from tests.oracles.overlays import Plan


class Decided:
    """What the engine makes of a case when it chooses for all entries."""

    def __init__(
        self,
        case: Case,
        *,
        fanout: type[Fanout] = Fanout,
        lanes: type[Lanes] = Lanes,
        fewest: int = FEWEST,
        passes: Passes | None = None,
    ) -> None:
        self.case, self.scene = case, Scene(case)
        parts = self.scene.parts
        steering = parts.steering
        known: dict[str, Any] = {
            "overlay": self.scene.overlay,
            "candidates": steering.candidates,
            "tunnels": parts.tunnels,
            "ranking": parts.ranking,
            "knowledge": parts.knowledge,
        }
        steering.whole.fanout, steering.whole.lanes = fanout(**known), lanes(**known)
        steering.whole.fanout.fewest = steering.whole.lanes.fewest = fewest
        steering.whole.passes = passes
        self.before: list[list[int]] = steering.wanted.rows.tolist()
        self.known = [self.scene.known(site) for site in range(case.plan.sites)]
        self.entries = self.scene.entries()
        every = np.arange(self.scene.space.entries, dtype=np.int64)
        self.found = steering.reselect(every, keep=case.keep)

    def argued(self, plain: ModuleType) -> None:
        """Compare the table, what moved, why, and who waits."""
        scene, moves, waiting = self.scene, [], set()
        steering = scene.parts.steering
        for number, entry in self.entries:
            policy, known = scene.policy(entry.site), self.known[entry.site]
            current = self.before[number][0]
            picked = plain.pick(scene.plan, policy, known, entry, current, keep=self.case.keep)
            assert steering.wanted.rows[number].tolist() == picked.rows
            assert steering.wanted.shared_fate[number] == picked.shared_fate
            assert steering.tier[number] == picked.tier
            drops = policy.classes[entry.number].sla.when_none is WhenNone.DROP
            assert steering.wanted.drop[number] == drops
            if picked.rows[0] != current:
                moves.append((number, current, picked.rows[0], Cause[picked.cause.upper()]))
            if picked.waiting:
                waiting.add(number // scene.space.classes)
        change = self.found.change
        columns = change.entries, change.before, change.after, change.cause
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == moves
        assert self.found.waiting.tolist() == sorted(waiting)


UNKNOWN_BEYOND = Case(
    Plan(
        sites=4,
        lanes=2,
        tunnels=tuple((a, b, n) for a in range(4) for b in range(a) for n in range(2)),
        shared=((0,), (0,)),
        transit=(1,),
    ),
    luck=3_542_385_784,
    calm=True,
    keep=True,
)
"""A class without limits, and a way through a site that does not know the round trip beyond."""


@settings(max_examples=150)
@given(CASES)
@example(UNKNOWN_BEYOND)
def test_each_entry_takes_the_path_that_is_argued_for(case: Case) -> None:
    """Every rule of preference at once: table, moves, causes and patience are those argued out."""
    Decided(case).argued(oracle)


RULES: Final = [
    ("rank = (detour, tunnel.drained, tier,", "rank = (detour, 0, tier,"),
    ("detour = through and site in plan.transit", "detour = False"),
    ("and end < site and fresh", "and fresh"),
    ("and end < site and fresh", "and end < site"),
    ("if site in plan.transit and end", "if end"),
    ("*(wish if tier < VIOLATING else (0, 0, 0, 0))", "*wish"),
    ("(0 if through else homes.index(end), through, liked,", "(0, through, liked,"),
    ("homes.index(end), through, liked,", "homes.index(end), False, liked,"),
    (
        ", through, liked, policy.cost.get(lane, 0))",
        ", through, policy.cost.get(lane, 0), liked)",
    ),
    ("liked = sla.prefer.index(lane) if lane in sla.prefer else len(LANES)", "liked = 0"),
    ("tier = max(tier, offer.verdict, whole)", "tier = max(tier, offer.verdict)"),
    ("tier = max(tier, offer.verdict, whole)", "tier = max(tier, whole)"),
    ("tier = max(tier, offer.verdict, whole)", "tier = max(offer.verdict, whole)"),
    ("or lane in sla.forbid", ""),
    ("and (end, destination) in known.denied", "and False"),
    ("or end not in plan.transit or", "or"),
    ("or not policy.features.transit", ""),
    ("            if policy.features.sla:", "            if True:"),
    ("min(m + badness(offer.figures), WORST_NS)", "m + badness(offer.figures)"),
    ("min(m + badness(offer.figures), WORST_NS)", "m"),
    ("if sla.when_none is WhenNone.DROP and tier", "if tier"),
    ("if only and not o.through", "if only"),
    ("if only and not o.through", "if False"),
    ("(keep or rests(sla, found, listed, here))", "keep"),
    ("(keep or rests(sla, found, listed, here))", "rests(sla, found, listed, here)"),
    ("ready[here] and not complies", "ready[here]"),
    ("if features.hysteresis else (0, 0)", "if True else (0, 0)"),
    ("if not features.backups:", "if False:"),
    ("and sla.when_none is not WhenNone.DROP", ""),
    ("rows[0], shared_fate = current, current >= 0", "pass"),
    ('cause = "violated" if bettered', 'cause = "rank" if bettered'),
    (" and o.tier < VIOLATING]", "]"),
    ("if share.get(name, 0) > 0]", "if True]"),
    ("/ share[name]", ""),
]
"""Parts of the argument, and what it is without each."""


def test_the_argument_needs_each_of_its_parts() -> None:
    """With any rule left out of the argument some entry is steered otherwise."""
    left_out = {(old, new): mutant(oracle, old, new) for old, new in RULES}

    def unlike(case: Case) -> None:
        decided = Decided(case)
        for rule, other in [*left_out.items()]:
            try:
                decided.argued(other)
            except (AssertionError, ArithmeticError, LookupError):
                del left_out[rule]
        assert left_out, "all are told apart"

    caught(CASES, unlike, examples=2000)
    assert not left_out


# ------------------------------------------------------------ at once


def searched(scene: Scene) -> None:
    """Find what is stranded, unproven and led through other sites."""
    steering, space = scene.parts.steering, scene.space
    held = steering.wanted.rows.tolist()
    dead, behind, asked = [], [], set()
    for number, entry in scene.entries():
        known, primary = scene.known(entry.site), held[number][0]
        if primary >= 0 and known.tunnels[primary].state != oracle.UP:
            dead.append(number)
        if primary >= 0 and known.tunnels[primary].end not in scene.plan.homes(entry.destination):
            behind.append(number)
        asked |= oracle.unproven(scene.plan, scene.policy(entry.site), known, entry)
    sites = np.arange(scene.plan.sites, dtype=np.int64)
    every = np.arange(space.entries, dtype=np.int64)
    assert steering.stranded(sites).tolist() == dead
    assert np.flatnonzero(steering.leads_through(every)).tolist() == behind
    assert steering.through(sites).tolist() == sorted({n // space.classes for n in behind})
    assert steering.unproven(every).tolist() == sorted(asked)


def left(plain: ModuleType, case: Case) -> None:
    """Promote backups everywhere."""
    scene = Scene(case)
    wanted, moved, without = scene.parts.steering.wanted, [], []
    before = wanted.rows.tolist()
    every = np.arange(scene.space.entries, dtype=np.int64)
    change, stuck = scene.parts.steering.promote(every)
    for number, entry in scene.entries():
        tunnels, homes = scene.known(entry.site).tunnels, scene.plan.homes(entry.destination)
        after = plain.promote(before[number], tunnels)
        if after is None:
            without.append(number)
            after = before[number]
        else:
            moved.append((number, before[number][0], after[0], Cause.LOST))
            pair = [tunnels[row] for row in after[:2] if row >= 0]
            apart = len(pair) == 2 and plain.stands_apart(*pair, homes)
            assert wanted.shared_fate[number] == (not apart)
        assert wanted.rows[number].tolist() == after
    assert stuck.tolist() == without
    columns = change.entries, change.before, change.after, change.cause
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == moved


@given(CASES)
def test_what_is_left_at_once_goes_to_its_first_living_backup(case: Case) -> None:
    """Promotion, and the searches around it, entry by entry."""
    searched(Scene(case))
    left(oracle, case)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tunnels[row].state == UP and not tunnels[row].drained", "tunnels[row].state == UP"),
        ("row >= 0 and tunnels[row].state == UP", "row >= 0"),
        ("[*rows[2 + place :], -1, -1]", "[*rows[2:], -1, -1]"),
        ("-1 if homes == (one.end,) else t.end", "t.end"),
    ],
)
def test_leaving_needs_each_of_its_rules(old: str, new: str) -> None:
    """With any rule left out some entry would go elsewhere."""
    other = mutant(oracle, old, new)
    assert caught(CASES, lambda case: left(other, case), examples=1500)


@given(CASES, st.sets(st.integers(0, 30)), st.sets(st.integers(0, 60)))
def test_rows_are_found_wherever_entries_hold_them(
    case: Case, some: set[int], wrong: set[int]
) -> None:
    """Every place of every entry, for rows that are bad for some classes, and for lost sites."""
    scene = Scene(case)
    steering, space = scene.parts.steering, scene.space
    rows = np.array(sorted(r for r in some if r < scene.overlay.rows), dtype=np.int64)
    held = steering.wanted.rows.tolist()
    on = [n for n, places in enumerate(held) if set(places) & set(rows.tolist())]
    entries = steering.on(rows)
    assert entries.tolist() == on
    bad = np.zeros((2, len(rows)), dtype=np.bool_)
    bad.ravel()[[w for w in wrong if w < bad.size]] = True
    expected = [
        [row in rows and bool(bad[n % 2, rows.tolist().index(row)]) for row in held[n]] for n in on
    ]
    assert steering.hold(entries, rows, bad).tolist() == expected
    lost = np.zeros((space.destinations, 2), dtype=np.bool_)
    lost.ravel()[[w for w in wrong if w < lost.size]] = True
    observers = np.arange(1, scene.plan.sites, dtype=np.int64)
    got, places = steering.hold_through(0, observers, lost)
    ends = [
        [row >= 0 and int(scene.overlay.dst[row]) == 0 for row in held[n]]
        for n in range(space.entries)
    ]
    hit = [
        n for n, entry in scene.entries()
        if entry.site > 0 and lost[entry.destination, entry.number] and any(ends[n])
    ]  # fmt: skip
    assert got.tolist() == hit
    assert places.tolist() == [ends[n] for n in hit]
