"""Rarely met corners of the hub: refusals, growth, and events that few worlds see."""

from collections import Counter
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from patronus.engine.announcement import Announcement
from patronus.engine.configured import Configured
from patronus.engine.engine import Engine
from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I32, I64, build_overlay
from patronus.engine.policy import Policy, SlaClass, TrafficClass
from patronus.engine.preference import TRANSPORTS_MAX
from patronus.engine.prospects import Pairs
from patronus.engine.ranking import Refresh, nothing_to_refresh
from patronus.engine.units import SECOND
from patronus.sim.fates import row_fates
from patronus.sim.language import load, parse
from patronus.sim.world import World
from tests.rules.tree import ROOT
from tests.sim.test_worlds import CUT, MESH, VOICE, reasons, rehearse


def overlay_of(*pairs: tuple[int, int, int], transports: int = 1) -> str:
    """Build an overlay of two sites and return the name of its first row."""
    built = build_overlay(
        sites=("a", "b"),
        transports=[f"t{i}" for i in range(transports)],
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 3),
    )
    return built.label(0)


def test_a_row_is_named_by_its_ends_and_transport() -> None:
    """The name says from where to where, over what."""
    assert overlay_of((0, 1, 0)) == "a>b:t0"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(0, 2, 0)], "does not exist"),
        ([(0, 1, 1)], "does not exist"),
        ([(0, -1, 0)], "does not exist"),
        ([(1, 1, 0)], "two different sites"),
        ([(0, 1, 0), (1, 0, 0)], "declared twice"),
    ],
)
def test_tunnels_that_make_no_sense_are_refused(
    pairs: list[tuple[int, int, int]], message: str
) -> None:
    """The message says what is wrong."""
    with pytest.raises(ValueError, match=message):
        overlay_of(*pairs)


def test_names_must_be_unique() -> None:
    """Two sites of one name could not be told apart by luck or by ties."""
    with pytest.raises(ValueError, match="unique"):
        build_overlay(sites=("a", "a"), transports=("t",), pairs=np.zeros((0, 3), dtype=np.int64))


def test_a_half_applied_policy_has_the_same_classes() -> None:
    """Entries are numbered by class, so another list of classes is refused, and nothing set."""
    configured = Configured(Policy(), 3)
    other = Policy(classes=(TrafficClass("voice"),))
    with pytest.raises(ValueError, match="same classes"):
        configured.set([1], other)
    assert configured.of(1) == Policy()


def test_two_sites_can_run_one_other_policy() -> None:
    """It is kept once, and forgotten when nobody runs it."""
    configured = Configured(Policy(), 3)
    other = Policy(classes=(TrafficClass("default", sla=SlaClass(prefer=("x",))),))
    configured.set([1], other)
    configured.set([2], other)
    assert [configured.of(site) for site in range(3)] == [Policy(), other, other]
    assert len(configured.policies) == 2
    configured.set([1, 2], None)
    assert configured.policies == [Policy()]


def test_too_many_transports_are_refused() -> None:
    """A grade has room for so many and no more."""
    text = MESH.replace("[mpls, broadband]", "[mpls]")
    scenario = parse(text + VOICE)
    names = [f"t{i}" for i in range(TRANSPORTS_MAX + 1)]
    overlay = build_overlay(
        sites=("a", "b"), transports=names, pairs=np.array([(0, 1, 0)], dtype=np.int64)
    )
    with pytest.raises(ValueError, match="transports"):
        Engine(overlay, scenario.policy)


def test_pairs_can_be_taken_by_a_mask() -> None:
    """Every column is cut alike."""
    names = [f.name for f in fields(Pairs)]
    columns: Any = [np.arange(6).reshape(2, 3) + 10 * i for i in range(len(names))]
    pairs = Pairs(*columns)
    some = pairs.at(np.array([True, False, True]))
    for i, name in enumerate(names):
        assert getattr(some, name).tolist() == [[10 * i, 10 * i + 2], [10 * i + 3, 10 * i + 5]]


def test_strangers_are_not_listened_to() -> None:
    """An announcement of an unknown origin teaches nobody anything."""
    world = World(parse(MESH + VOICE), 1)
    empty = np.zeros((0, 0), dtype=np.int64)
    stranger = Announcement(
        "nobody", 1, 1, 0, lan_up=True, destinations=(), classes=(), targets=(),
        usable=empty.astype(np.bool_), rtt_ns=empty, jitter_ns=empty,
        loss_ppm=empty.astype(np.int32), verdict=empty.astype(np.int8),
    )  # fmt: skip
    everyone = np.arange(3, dtype=np.int64)
    assert world.engine.knowledge.receive(everyone, stranger, 0) == []
    assert world.engine.recording


def test_many_announcers_are_all_remembered() -> None:
    """The store of contents grows when each of many sites has said something else."""
    text = """
version: 1
name: many-hubs
duration: 1s
topology: {mesh: hub-and-spoke, sites: 30, hubs: 28}
transports: [mpls]
classes: {rest: {}}
"""
    world = World(parse(text), 1)
    world.run()
    held = world.engine.knowledge.held
    others = np.delete(held[0], [world.engine.knowledge.slot[0], held.shape[1] - 1])
    assert len(np.unique(others)) == 27


def test_a_large_overlay_begins_like_a_small_one() -> None:
    """More than a thousand tunnels heard in one slot are up as those of few are."""
    text = """
version: 1
name: large
duration: 1s
topology: {mesh: full-mesh, sites: 48}
transports: [mpls, broadband]
classes: {rest: {}}
"""
    world = World(parse(text), 1)
    world.run()
    assert world.overlay.rows == 48 * 47 * 2
    assert world.converged


def test_a_reroute_of_the_provider_renews_what_shares_fate() -> None:
    """Backups are chosen anew on the routes that the carrier uses now."""
    scenario = load(ROOT / "scenarios" / "cable-cut-rerouted.patronus.yml")
    world = World(scenario, 1)
    before = world.wire.route.copy()
    cut = world.timeline.occurrences[0]
    world.run(until_ns=cut.start_ns + 3 * SECOND)
    assert not np.array_equal(before, world.wire.route)
    assert np.array_equal(world.engine.tunnels.fates, row_fates(world.wire))


def test_a_drained_tunnel_is_the_last_resort_and_left_again() -> None:
    """It carries traffic while nothing else does, and no longer."""
    faults = """
faults:
  - {name: drain, kind: drain, at: 1s, on: {site: a, transport: mpls}}
  - {name: cut, kind: link-down, at: 3s, for: 1s, on: {site: a, transport: broadband}}
"""
    done = rehearse(MESH, VOICE, faults)
    moves = done.decisions[(done.decisions.site == "a") & (done.decisions["class"] == "voice")]
    to_b = moves[moves.destination == "b"]
    assert [path.split(">")[0] for path in to_b["to"]] == ["broadband", "mpls", "broadband"]
    assert to_b["reason"].tolist()[0] == "drained"
    assert to_b["reason"].tolist()[-1] == "drained"


def test_without_brownouts_the_evaluation_finds_the_broken_sla() -> None:
    """The verdict of the interval moves the class, with the reason that goes with it."""
    text = """
policy: {features: {brownout: off}}
faults: [{name: slow, kind: delay, at: 3s, delay: 200ms, on: {site: a, transport: mpls}}]
"""
    done = rehearse(MESH, VOICE, text)
    assert reasons(done, site="a", class_="voice")["sla_violated"] > 0


def test_the_multiplier_can_be_left_alone() -> None:
    """With the feature off no detect time ever changes, however lossy the tunnels are."""
    text = MESH.replace("duration: 12s", "duration: 4s") + VOICE
    text += "policy: {features: {adaptive_multiplier: off}}\n"
    text += "faults: [{name: loss, kind: loss, at: 0s, loss: 10%, on: {site: a}}]\n"
    world = World(parse(text), 1)
    before = world.dataplane.detect_ns.copy()
    world.run(until_ns=4 * SECOND)
    assert (world.dataplane.detect_ns == before).all()
    assert Counter(before.tolist()) == {300_000_000: world.overlay.rows}


def test_without_backups_a_fall_is_answered_by_choosing_anew() -> None:
    """With the feature off no path but the one in use is ever programmed, and all is left."""
    text = "policy: {features: {backups: off, kernel_failover: off}}"
    world = World(parse("\n".join([MESH, VOICE, text, CUT.format(site="a")])), 1)
    world.run(until_ns=5 * SECOND)
    chosen = world.engine.steering.wanted.rows[world.engine.space.of_site(0)]
    assert (chosen[:, 1:] == NO_ROW).all()
    used = chosen[chosen[:, 0] != NO_ROW, 0]
    assert len(used) > 0
    assert (world.overlay.transport[used] == world.overlay.transports.index("broadband")).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_driver_that_judges_the_usual_rows_changes_nothing(compiled: bool) -> None:
    """What it passes over is what the engine would have left as it was."""
    lines: list[bytes] = []
    text = MESH.replace("duration: 12s", "duration: 6s") + VOICE + CUT.format(site="a")
    world = World(parse(text), 1, sink=lines.append, compiled=compiled)
    asked: list[int] = []
    judge = world.engine.pass_over
    if judge is not None:

        def counted(rows: I64, now_ns: int) -> I64:
            left: I64 = judge(rows, now_ns)
            asked.append(len(rows) - len(left))
            return left

        world.engine.pass_over = counted
    world.run()
    plain: list[bytes] = []
    World(parse(text), 1, sink=plain.append, compiled=False).run()
    assert lines == plain
    assert (sum(asked) > 0) == compiled


def test_a_driver_that_lets_rows_rest_changes_nothing() -> None:
    """Rows that are kept out of evaluations are brought up to date before they are read."""
    text = MESH.replace("duration: 12s", "duration: 4s") + VOICE + CUT.format(site="a")
    journals: list[list[bytes]] = [[], []]
    asked: list[int] = []
    for lazy, journal in zip((True, False), journals, strict=True):
        world = World(parse(text), 1, sink=journal.append, compiled=True, lazy=lazy)
        refresh = world.engine.ranking.refresh
        assert (refresh is nothing_to_refresh) == (not lazy)

        def counted(rows: I64 | I32, refresh: Refresh = refresh) -> None:
            asked.append(rows.size)
            refresh(rows)

        world.engine.ranking.refresh = counted
        world.run()
    assert journals[0] == journals[1]
    assert asked


def test_a_site_alone_has_nothing_to_say() -> None:
    """Without a tunnel nothing is chosen, nobody is stranded, and no other site is offered."""
    engine = Engine(
        build_overlay(
            sites=("a",), transports=("t",), pairs=np.zeros((0, 3), dtype=np.int64), transit=("a",)
        ),
        Policy(),
    )
    alone = np.zeros(1, dtype=np.int64)
    engine.evaluate([0], SECOND)
    assert engine.take().deltas == []
    assert engine.steering.stranded(alone).tolist() == []
    engine.set_lan(0, up=False, now_ns=SECOND)
    assert [(a.lan_up, a.destinations) for a in engine.take().announcements] == [(False, ())]
