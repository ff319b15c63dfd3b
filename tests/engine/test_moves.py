"""Moves: whatever was left or chosen, the dataplane is told all of it, and the journal why."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine import moves as kernel
from patronus.engine.forwarding import ForwardingTable
from patronus.engine.journal import Reason, read
from patronus.engine.liveness import State
from patronus.engine.narrative import Narrator
from patronus.engine.units import LONG_AGO, NEVER
from tests.engine.scene import CASES, Case, Scene
from tests.mutants.harness import caught, mutant
from tests.oracles import steering as oracle

STEPS = st.lists(
    st.tuples(st.sampled_from(["leave", "avoid", "choose"]), st.integers(0, 10**6), st.booleans()),
    min_size=1,
    max_size=5,
)
LIVES = st.tuples(CASES, STEPS)
"""A scene, and verbs with luck and whether the journal is on."""

Life = tuple[Case, list[tuple[str, int, bool]]]


class Script:
    """A scene whose moves are watched."""

    def __init__(self, module: ModuleType, case: Case) -> None:
        self.scene = scene = Scene(case)
        parts = scene.parts
        narrator = Narrator(
            scene.overlay,
            scene.common,
            configured=parts.configured,
            tunnels=parts.tunnels,
            ranking=parts.ranking,
        )
        self.lines: list[bytes] = []
        self.moves = module.Moves(parts.steering, parts.tunnels, narrator, self.lines.append)
        self.installed = ForwardingTable(scene.space.entries)
        self.asked: set[int] = set()
        self.generation = 0

    def step(self, what: str, luck: int, now: int) -> int:
        """Do something; return how many primaries it should have moved."""
        rng = np.random.default_rng(luck)
        wanted, before = self.scene.parts.steering.wanted, self.rows()
        if what == "leave":
            self.leave(rng, now)
        else:
            entries = np.flatnonzero(rng.random(self.scene.space.entries) < 0.5)
            if what == "avoid":
                self.avoid(entries, rng.random((len(entries), 3)) < 0.4, now)
            else:
                self.asked |= set(entries.tolist())
                expected = [self.picked(e, keep=False) for e in entries.tolist()]
                self.moves.choose(entries, now, None)
                assert wanted.rows[entries].tolist() == expected
        return sum(old[0] != new[0] for old, new in zip(before, self.rows(), strict=True))

    def rows(self) -> list[list[int]]:
        rows: list[list[int]] = self.scene.parts.steering.wanted.rows.tolist()
        return rows

    def picked(self, number: int, *, keep: bool) -> list[int]:
        """Return what an entry should hold after choosing anew."""
        scene = self.scene
        entry = oracle.Entry(*scene.space.key(number))
        current, known = self.rows()[number][0], scene.known(entry.site)
        policy = scene.policy(entry.site)
        return oracle.pick(scene.plan, policy, known, entry, current, keep=keep).rows

    def leave(self, rng: np.random.Generator, now: int) -> None:
        """Let tunnels go down and leave them."""
        scene, tunnels = self.scene, self.scene.parts.tunnels
        rows = np.flatnonzero(rng.random(scene.overlay.rows) < 0.4)
        tunnels.state[rows] = State.DOWN
        proven = rng.random(scene.overlay.rows) < 0.3
        tunnels.init_ns[:] = np.where(proven, LONG_AGO, NEVER)
        held, stuck, expected = self.rows(), [], {}
        for number, entry in scene.entries():
            if held[number][0] not in rows:
                continue
            known = scene.known(entry.site)
            backup = oracle.promote(held[number], known.tunnels)
            if backup is None:
                stuck.append(number)
            expected[number] = backup
        first = self.heard(stuck) & set(np.flatnonzero(proven).tolist())
        tunnels.state[list(first)] = State.UP
        second = self.heard(stuck)
        tunnels.state[list(first)] = State.INIT
        up = self.moves.leave(rows, now, Reason.LIVENESS_DOWN)
        assert sorted(up.tolist()) == sorted(first | second)
        assert (tunnels.state[up] == State.UP).all()
        after = self.rows()
        for number, backup in expected.items():
            self.asked.add(number)
            if backup is not None:
                assert after[number] == backup
        # Chosen anew after the unproven were let up; choosing again finds the same.
        assert [after[n][0] for n in stuck] == [self.picked(n, keep=True)[0] for n in stuck]

    def heard(self, entries: list[int]) -> set[int]:
        """Return the tunnels in Init that would serve some entries which nothing else can."""
        scene, found = self.scene, set[int]()
        for entry in (oracle.Entry(*scene.space.key(n)) for n in entries):
            known, policy = scene.known(entry.site), scene.policy(entry.site)
            found |= oracle.unproven(scene.plan, policy, known, entry)
        return found

    def avoid(self, entries: np.ndarray, held: np.ndarray, now: int) -> None:
        expected = {
            number: self.picked(number, keep=not first)
            for number, (first, *behind) in zip(entries.tolist(), held.tolist(), strict=True)
            if first or any(behind)
        }
        self.asked |= expected.keys()
        others = {n: rows for n, rows in enumerate(self.rows()) if n not in expected}
        self.moves.avoid(entries, held, now, Reason.DRAINED)
        after = self.rows()
        assert {n: after[n] for n in expected} == expected
        assert {n: after[n] for n in others} == others

    def install(self) -> None:
        """Carry out what is to be done: all that was asked for is then in force."""
        for delta in self.moves.take():
            self.generation += 1
            assert delta.generation == self.generation
            old = self.installed.rows[delta.entries], self.installed.drop[delta.entries]
            same = (old[0] == delta.rows).all(axis=1) & (old[1] == delta.drop)
            same &= self.installed.shared_fate[delta.entries] == delta.shared_fate
            assert len(delta) > 0
            assert not same.any()  # nothing is told twice
            self.installed.apply(delta)
        wanted = self.scene.parts.steering.wanted
        for entry in self.asked:
            assert self.installed.rows[entry].tolist() == wanted.rows[entry].tolist()
            assert self.installed.drop[entry] == wanted.drop[entry]
            assert self.installed.shared_fate[entry] == wanted.shared_fate[entry]
        assert self.moves.take() == []


def live(module: ModuleType, life: Life) -> None:
    case, steps = life
    script = Script(module, case)
    for now, (what, luck, recording) in enumerate(steps):
        script.moves.recording = recording
        script.lines.clear()
        moved = script.step(what, luck, now)
        told = list(read(script.lines))
        assert sum(dict(d.numbers).get("destinations", 1) for d in told) == moved * recording
        assert all(d.t_ns == now for d in told)
        script.install()


@settings(max_examples=60)
@given(LIVES)
def test_the_dataplane_is_told_what_is_wanted_and_the_journal_what_moved(life: Life) -> None:
    """Deltas in order make the wanted table; what is left, avoided or chosen is as argued."""
    live(kernel, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("join([change, self._steering.reselect(stuck).change])", "change"),
        ("self.commit(change, entries, now_ns, reason)\n        return up", "return up"),
        ("self._tunnels.admit(self._steering.unproven(stuck), now_ns)", "stuck[:0]"),
        ("self._tunnels.rise(self._steering.unproven(stuck), now_ns)", "stuck[:0]"),
        ("entries[first | behind], now_ns", "entries[first], now_ns"),
        ("reselect(entries[behind], keep=True)", "reselect(entries[behind])"),
        ("reselect(entries[first])", "reselect(entries[first], keep=True)"),
        ("join([change, other])", "change"),
        ("self._generation += 1", "pass"),
        ("self._sent.apply(delta)", "pass"),
        ("if self.recording:", "if True:"),
        ("if len(delta):", "if True:"),
        ("self.deltas, []", "self.deltas, self.deltas"),
        ("self._steering.over(rows)", "self._steering.on(rows)"),
        ("found.written, now_ns", "found.written[1:], now_ns"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of losing a move is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(LIVES, lambda life: live(broken, life), examples=1000)
