"""Moves in words: names of paths, reasons, and moves that are one because one pointer moved."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine import narrative as kernel
from patronus.engine.change import Cause, Change
from patronus.engine.forwarding import NO_ROW
from patronus.engine.journal import Reason
from patronus.engine.narrative import ANY, path_name
from tests.engine.scene import CASES, Case, Scene
from tests.mutants.harness import caught, mutant
from tests.oracles import narrative as oracle
from tests.oracles.narrative import Move
from tests.oracles.overlays import Plan


class Story:
    """Random moves of the entries of a scene."""

    def __init__(self, case: Case) -> None:
        self.scene = scene = Scene(case)
        self.wanted = scene.parts.steering.wanted.rows
        before, causes = self.wanted[:, 0].copy(), scene.some(list(Cause), scene.space.entries)
        # Few rows, so that many entries of a site move alike.
        after = np.array([self.another(entry, before) for entry in range(scene.space.entries)])
        moved = (before != after) & (scene.rng.random(len(before)) < 0.8)
        self.entries = np.flatnonzero(moved)
        self.change = Change(
            self.entries,
            before[moved],
            after[moved].astype(np.int32),
            np.where(after[moved] < 0, Cause.LOST, causes[moved]).astype(np.int8),
        )

    def another(self, entry: int, before: np.ndarray) -> int:
        own = np.flatnonzero(self.scene.overlay.src == self.scene.space.key(entry).site)
        before[entry] = own[0] if len(own) and entry % 3 else before[entry]
        return int(own[-1]) if len(own) and entry % 7 else NO_ROW

    def moves(self) -> list[Move]:
        change, columns = self.change, []
        for entry, before, after, cause in zip(
            *(c.tolist() for c in (change.entries, change.before, change.after, change.cause)),
            strict=True,
        ):
            key = self.scene.space.key(entry)
            columns.append(Move(*key, before, after, Cause(cause).name.lower()))
        return columns


def told(module: ModuleType, plain: ModuleType, case: Case, given_reason: Reason | None) -> None:
    story = Story(case)
    scene, parts, moves = story.scene, story.scene.parts, story.moves()
    narrator = module.Narrator(
        scene.overlay,
        scene.common,
        configured=parts.configured,
        tunnels=parts.tunnels,
        ranking=parts.ranking,
    )
    reasons = []
    for move in moves:
        sla = scene.policy(move.site).classes[move.number].sla
        why = plain.reason(
            scene.plan, move, prefer=sla.prefer,
            states=parts.tunnels.state.tolist(), drained=parts.tunnels.drained.tolist(),
        )  # fmt: skip
        reasons.append(given_reason.value if given_reason else why)
    expected = plain.tell(scene.plan, moves, reasons)
    classes = [c.name for c in scene.common.classes]
    got = list(narrator.tell(story.change, 17, given_reason))
    seen = []
    for decision in got:
        numbers = dict(decision.numbers)
        seen.append(plain.Told(
            decision.site, decision.destination, classes.index(decision.traffic_class),
            decision.from_path, decision.to_path, decision.reason.value,
            numbers.get("destinations", 1),
        ))  # fmt: skip
        assert decision.t_ns == 17
        site = scene.overlay.site_index[decision.site]
        assert numbers["margin_ns"] == scene.policy(site).margin_ns
    assert seen == expected
    assert sum(t.together for t in seen) == len(moves)


GIVEN = st.sampled_from([None, None, None, Reason.BROWNOUT])
STORIES = st.tuples(CASES, GIVEN)


@settings(max_examples=200)
@given(STORIES)
def test_moves_are_told_as_the_two_paths_read(story: tuple[Case, Reason | None]) -> None:
    """Names, reasons and numbers of destinations; each moved entry is told of once, in order."""
    told(kernel, oracle, *story)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("given or self._reason", "self._reason"),
        ("if before == NO_ROW:", "if False:"),
        ("if after == NO_ROW:", "if False:"),
        ("if cause is Cause.LOST:", "if False:"),
        ("if self._tunnels.state[row] != UP:", "if False:"),
        ("Reason.WITHDRAWN if home", "Reason.WITHDRAWN if not home"),
        ("if drained[before] != drained[after]:", "if False:"),
        ("Reason.DRAINED if drained[before]", "Reason.DRAINED if drained[after]"),
        ("if cause is Cause.VIOLATED:", "if False:"),
        ("place[1] < place[0]", "place[1] <= place[0]"),
        ("key[1:] != key[:-1]", "key[1:] == key[1:]"),
        ("hits(~through)", "hits(through)[:0]"),
        ("through = self._through(change.before, destination)", "through = ~(change.entries < 0)"),
        ("through &= self._through(change.after, destination)", "pass"),
        ("through |= rows == NO_ROW", "pass"),
        ("space.classes + entries[at] % space.classes)", "space.classes)"),
        ("rank = np.argsort(leader)", "rank = np.arange(len(leader))"),
        ("return name if end in target.sites else", "return name if True else"),
        ("self._configured.of(site).classes", "self._configured.of(0).classes"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of telling it wrongly is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(STORIES, lambda story: told(broken, oracle, *story))


def test_paths_by_hand() -> None:
    """Direct, through a site, for several destinations, and none."""
    chain = Plan(3, 1, ((0, 1, 0), (1, 2, 0)), shared=(), transit=(1,))
    scene = Scene(Case(chain, 0, calm=True, keep=False))
    rows, overlay = scene.plan.rows, scene.overlay
    there = rows.index((0, 1, 0))
    assert path_name(overlay, there, 1) == "mpls>rome"
    assert path_name(overlay, there, 2) == "mpls>rome>bern"
    assert path_name(overlay, there, ANY) == "mpls>rome>*"
    assert path_name(overlay, NO_ROW, 1) == ""
