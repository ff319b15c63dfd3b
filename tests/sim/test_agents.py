"""Agents by hand: who runs when, who hears whom, and what a site sees of its own at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from patronus.engine.engine import Engine
from patronus.engine.liveness import State
from patronus.engine.units import MS
from patronus.sim.agenda import Phase
from patronus.sim.language import parse
from patronus.sim.world import World
from tests.sim.test_worlds import MESH, VOICE

A, B, C = range(3)


class Watched:
    """A small world that is looked at while it runs."""

    def __init__(self, *faults: str, seconds: int = 4, topology: str = "sites: [a, b, c]") -> None:
        text = MESH.replace("duration: 12s", f"duration: {seconds}s")
        text = text.replace("sites: [a, b, c]", topology)
        plan = "faults:" + ("".join(f"\n  - {{{fault}}}" for fault in faults) or " []")
        self.world = World(parse(f"{text}\n{VOICE}\n{plan}\n"), 1)

    def look(self, at_ms: tuple[int, ...], what: Callable[[World], Any]) -> list[Any]:
        """Run the world; return what it shows at the ends of some instants."""
        seen: list[Any] = []
        for ms in at_ms:
            look = partial(lambda: seen.append(what(self.world)))
            self.world.agenda.at(ms * MS, Phase.SLOT, 1, look)
        self.world.run()
        return seen


def test_two_stops_of_one_agent_overlap() -> None:
    """It runs again when the last of them has ended, and not before."""
    watched = Watched(
        "name: kill, kind: agent-kill, at: 1s, for: 1s, on: {site: a}",
        "name: pause, kind: agent-pause, at: 1500ms, for: 1s, on: {site: a}",
    )
    running = watched.look((900, 1000, 1700, 2100, 2499, 2500), lambda w: w.agents.running.tolist())
    assert [r[A] for r in running] == [True, False, False, False, False, True]
    assert all(r[B] and r[C] for r in running)


@pytest.mark.parametrize(("stays_ms", "stale"), [(900, False), (1100, True)])
def test_a_kernel_takes_its_agent_for_dead_after_a_second(stays_ms: int, stale: bool) -> None:
    """A shorter stop goes unnoticed; when the agent is back the kernel knows at once."""
    watched = Watched(f"name: p, kind: agent-pause, at: 1s, for: {stays_ms}ms, on: {{site: a}}")
    seen = watched.look((1999, 2000, 2099, 2100), lambda w: bool(w.dataplane.agent_stale[A]))
    assert seen == [False, stale, stale, False]


def noting(verb: str, told: list[tuple[str, int, int]]) -> Callable[..., None]:
    """Return a verb of the engine that notes its calls: (verb, site, time in ms)."""
    real = getattr(Engine, verb)

    def note(self: Engine, site: int, now_ns: int, **shown: Any) -> None:
        told.append((verb, site, now_ns // MS))
        real(self, site, now_ns, **shown)

    return note


@pytest.mark.parametrize(
    ("kind", "verb"),
    [("agent-kill", "restart"), ("agent-pause", "resume"), ("site-crash", "restart")],
)
def test_who_was_killed_has_no_memory(
    kind: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paused agent compares what it believed with the kernel; a killed one starts anew."""
    told: list[tuple[str, int, int]] = []
    for name in ("restart", "resume"):
        monkeypatch.setattr(Engine, name, noting(name, told))
    Watched(f"name: f, kind: {kind}, at: 1s, for: 1s, on: {{site: b}}", seconds=3).world.run()
    assert told == [(verb, B, 2000)]


def heard(monkeypatch: pytest.MonkeyPatch, *faults: str) -> list[tuple[int, str, list[int]]]:
    """Return (time in ms, origin, observers) of every delivery after the warm-up."""
    found: list[tuple[int, str, list[int]]] = []
    real = Engine.learn

    def learn(self: Engine, received: Any, now_ns: int) -> None:
        found.extend((now_ns // MS, a.origin, s.tolist()) for s, a in received if now_ns > 0)
        real(self, received, now_ns)

    monkeypatch.setattr(Engine, "learn", learn)
    Watched(*faults, topology="sites: [a, b, c], transit: [a]").world.run()
    return found


def test_announcements_reach_everybody_else_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second the transit site is heard by the two others, after the controller's delay."""
    found = heard(monkeypatch)
    control = parse(MESH + VOICE).control
    assert {origin for _, origin, _ in found} == {"a"}
    assert {o for _, _, observers in found for o in observers} == {B, C}
    turns: dict[int, set[int]] = {}
    for at_ms, _, observers in found:
        turns.setdefault(at_ms // 1000, set()).update(observers)
        late = at_ms % 500
        assert control.delay_ns // MS <= late <= (control.delay_ns + control.jitter_ns) // MS
    assert all(turn == {B, C} for turn in list(turns.values())[1:-1])


@pytest.mark.parametrize("cut", ["a", "b"])
def test_who_is_cut_off_neither_says_nor_hears(cut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a site has no controller, its announcements stay and those of others pass it by."""
    fault = f"name: p, kind: controller-partition, at: 1s, for: 2s, on: {{site: {cut}}}"
    found = heard(monkeypatch, fault)
    meanwhile = [entry for entry in found if 1000 <= entry[0] < 3000]
    if cut == "a":
        assert meanwhile == []
    else:
        assert {o for _, _, observers in meanwhile for o in observers} == {C}
    assert {o for at_ms, _, observers in found if at_ms > 3000 for o in observers} == {B, C}


def test_an_agent_that_is_away_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives while it does not run is lost to it."""
    found = heard(monkeypatch, "name: p, kind: agent-pause, at: 1s, for: 2s, on: {site: b}")
    meanwhile = {o for at_ms, _, observers in found if 1000 <= at_ms < 3000 for o in observers}
    assert meanwhile == {C}


def test_a_site_sees_its_own_interface_at_once() -> None:
    """Loss of carrier takes the site's tunnels down at that very instant; the far ends wait."""
    watched = Watched(
        "name: down, kind: link-down, at: 1234567us, for: 1s, on: {site: a, transport: mpls}"
    )
    overlay = watched.world.overlay
    mpls = overlay.transport == overlay.transports.index("mpls")
    mine, theirs = (
        np.flatnonzero(mpls & (overlay.src == A)),
        np.flatnonzero(mpls & (overlay.dst == A)),
    )
    seen: list[tuple[set[int], set[int]]] = []

    def look() -> None:
        state = watched.world.engine.state
        seen.append((set(state[mine].tolist()), set(state[theirs].tolist())))

    for us in (1_234_566, 1_234_567, 1_700_000):
        watched.world.agenda.at(us * 1000, Phase.SLOT, 1, look)
    watched.world.run()
    up, down = {int(State.UP)}, {int(State.DOWN)}
    assert seen == [(up, up), (down, up), (down, down)]


def test_lans_are_up_when_no_fault_holds_them_down() -> None:
    """Two faults of one LAN overlap as a set."""
    watched = Watched(
        "name: one, kind: lan-down, at: 1s, for: 1s, on: {site: c}",
        "name: two, kind: lan-down, at: 1500ms, for: 1s, on: {site: c}",
    )
    up = watched.look((900, 1100, 2100, 2600), lambda w: w.agents.lan_up.tolist())
    assert [u[C] for u in up] == [True, False, False, True]
    assert all(u[A] and u[B] for u in up)


def test_delays_are_a_sites_own() -> None:
    """Adding a site changes nobody's delay; all lie within the bounds of the controller."""
    few, more = (Watched(topology=f"sites: [{names}]").world for names in ("a, b, c", "z, a, b, c"))
    for name, place in few.overlay.site_index.items():
        there = more.overlay.site_index[name]
        assert few.agents.delay_ns[place] == more.agents.delay_ns[there]
    control = few.scenario.control
    assert (few.agents.delay_ns >= control.delay_ns).all()
    assert (few.agents.delay_ns < control.delay_ns + control.jitter_ns).all()
