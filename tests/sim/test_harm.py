"""Harm by hand: whom a fault exposes, judged on wires, tables and LANs alone."""

from collections.abc import Iterable

from patronus.engine.units import SECOND
from patronus.sim import Run
from patronus.sim.language import parse
from patronus.sim.world import World
from tests.sim.test_worlds import HUBS, MESH, VOICE, rehearse

CUT = "faults: [{name: f, kind: %s, at: 1s, for: 1s, on: {site: a, transport: mpls%s}%s}]"

Exposed = set[tuple[str, str, str]]


def short(text: str) -> str:
    """Let a world end soon."""
    return text.replace("duration: 12s", "duration: 2s")


def exposed(run: Run, traffic_class: str = "voice") -> Exposed:
    """Return (site, destination, path before) of one class's exposures."""
    frame = run.failovers[run.failovers["class"] == traffic_class]
    return set(zip(frame.site, frame.destination, frame.path_before, strict=True))


def both_ways(pairs: Iterable[tuple[str, str]]) -> Exposed:
    """Return voice over mpls between some pairs, both ways."""
    return {(s, d, f"mpls>{d}") for a, b in pairs for s, d in ((a, b), (b, a))}


def test_a_cut_harms_those_who_use_what_is_cut() -> None:
    """Both directions of both pairs of the site; not the pair that has nothing to do with it."""
    run = rehearse(short(MESH), VOICE, CUT % ("blackhole", "", ""))
    assert exposed(run) == both_ways([("a", "b"), ("a", "c")])


def test_a_cut_of_one_direction_harms_that_one() -> None:
    """Packets out of the site are lost, those into it are not (though both ends will move)."""
    run = rehearse(short(MESH), VOICE, CUT % ("blackhole", ", direction: out", ""))
    assert exposed(run) == {("a", "b", "mpls>b"), ("a", "c", "mpls>c")}


def test_what_is_not_used_is_not_harmed() -> None:
    """Voice prefers mpls, so a cut of the other line exposes no voice."""
    fault = (CUT % ("blackhole", "", "")).replace("mpls", "broadband")
    assert exposed(rehearse(short(MESH), VOICE, fault)) == set()


def test_delay_harms_the_class_that_cannot_live_with_it() -> None:
    """200 ms break a limit of 150 ms; a class without limits is not exposed at all."""
    run = rehearse(short(MESH), VOICE, CUT % ("delay", "", ", delay: 200ms"))
    assert exposed(run) == both_ways([("a", "b"), ("a", "c")])
    assert exposed(run, "rest") == set()


def test_delay_within_the_limits_harms_nobody() -> None:
    """30 ms each way are felt, but keep the SLA."""
    assert exposed(rehearse(short(MESH), VOICE, CUT % ("delay", "", ", delay: 30ms"))) == set()


def test_half_the_packets_are_the_border() -> None:
    """A class without limits is harmed when half is lost, not by forty per cent."""
    for loss, harmed in (("60%", True), ("40%", False)):
        run = rehearse(short(MESH), VOICE, CUT % ("loss", "", f", loss: {loss}"))
        assert bool(exposed(run, "rest")) == harmed


def test_who_has_no_other_way_is_counted_apart() -> None:
    """With one transport and no transit nothing could be saved: no exposures, all unavoidable."""
    text = short(MESH).replace("[mpls, broadband]", "[mpls]")
    scenario = parse("\n".join([text, VOICE, CUT % ("blackhole", "", "")]))
    world = World(scenario, 1)
    world.run()
    assert len(world.measurement.ledger) == 0
    # Two pairs both ways, two classes.
    assert world.measurement.harm.unavoidable == 8


def test_a_dead_lan_harms_what_another_site_announces_too() -> None:
    """The internet by the first hub is exposed, since the second one has it; the hub's LAN not."""
    fault = "faults: [{name: lan, kind: lan-down, at: 1s, for: 1s, on: {site: hub1}}]"
    run = rehearse(short(HUBS), VOICE, fault)
    sites = {(site, destination) for site, destination, _ in exposed(run)}
    assert sites == {(f"spoke{n}", "internet") for n in (1, 2, 3)}


def test_what_was_bad_before_is_not_a_faults_doing() -> None:
    """A second cut of what is cut already exposes nobody."""
    faults = """
faults:
  - {name: first, kind: blackhole, at: 1s, for: 3s, on: {site: a, transport: mpls}}
  - {name: second, kind: blackhole, at: 1001ms, for: 1s, on: {site: a, transport: mpls}}
"""
    run = rehearse(short(MESH), VOICE, faults)
    assert set(run.failovers.fault) == {"first#0"}
    assert run.failovers.t0_ns.unique().tolist() == [SECOND]
