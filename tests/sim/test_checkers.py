"""Each checker fires on a table or wire that was broken by hand, and is silent on sound ones."""

from dataclasses import replace

import numpy as np
import pytest

from patronus.engine.forwarding import NO_ROW
from patronus.engine.policy import Features, Policy, SlaClass, TrafficClass, WhenNone
from patronus.engine.units import MS, PPM, SECOND
from patronus.sim.checks.findings import KEPT
from patronus.sim.scenario import Burst, Direction, FaultKind, FaultSpec, Schedule, Selector
from patronus.sim.world import World
from tests.sim import faultyard
from tests.sim.checkbench import Bench
from tests.sim.handmade import make_fault

FOREVER = Schedule(at_ns=10 * SECOND)
BERLIN_MPLS = Selector(sites=("berlin",), transports=("mpls",))
VOICE = Policy(classes=(TrafficClass("voice", sla=SlaClass(latency_ns=150 * MS, loss_ppm=10_000)),))


def cut(select: Selector = BERLIN_MPLS, name: str = "cut") -> FaultSpec:
    """Return a blackhole from 10 s on, by default of berlin's mpls."""
    return make_fault(name=name, select=select, schedule=FOREVER)


# ---------------------------------------------------------------- black holes


def test_an_entry_that_stays_on_a_dead_tunnel_is_a_black_hole() -> None:
    """It counts once, as soon as the bound has passed, for each entry that stays."""
    bench = Bench(cut())
    last_ns = 10 * SECOND + bench.checkers.bound_ns
    bench.run(last_ns // (100 * MS) * (100 * MS))
    assert bench.checkers.black_holes == 0
    bench.run(last_ns + 200 * MS)
    sites = {"hub1", "hub2", "oslo", "rome"}
    assert bench.checkers.black_holes == 2 * len(sites) + 1, "both ways, and berlin's internet"
    assert bench.run(40 * SECOND).checkers.black_holes == 9
    told = next(f for f in bench.checkers.findings if f.entry == bench.entry("berlin", "oslo"))
    assert told.path == "mpls>oslo"
    assert "delivers nothing for more than" in told.text
    assert told.text.endswith("though lte>oslo would deliver")


def test_whoever_moves_in_time_is_no_black_hole() -> None:
    """All entries that are hit move within the bound: nothing is found."""
    bench = Bench(cut()).run(10 * SECOND + bench_bound() - SECOND)
    for entry in np.flatnonzero(bench.used != NO_ROW).tolist():
        key = bench.space.key(entry)
        if bench.site("berlin") in (key.site, key.destination):
            bench.move(entry, int(bench.table.rows[entry, 1]))
    assert bench.run(60 * SECOND).checkers.black_holes == 0


def bench_bound() -> int:
    """Return the bound of the common policy on the bench."""
    return Bench().checkers.bound_ns


def test_where_nothing_else_delivers_there_is_no_black_hole() -> None:
    """A site that is cut off altogether cannot be blamed."""
    everything = cut(Selector(sites=("berlin",)))
    assert Bench(everything).run(40 * SECOND).checkers.black_holes == 0


def test_a_way_that_works_in_one_direction_is_nobody_s_choice() -> None:
    """Of a tunnel that never answers nobody can know that it delivers."""
    one_way = Selector(sites=("berlin",), transports=("lte",), direction=Direction.IN)
    bench = Bench(cut(), cut(one_way, "deaf")).run(40 * SECOND)
    berlin = {f.entry for f in bench.checkers.findings if f.check == "black_holes"}
    assert bench.entry("berlin", "oslo") not in berlin


def test_transit_is_another_way() -> None:
    """With both direct tunnels of a pair dead, the way through a hub would have delivered."""
    select = Selector(links=("access:berlin:mpls", "access:oslo:lte"))
    bench = Bench(cut(select)).run(40 * SECOND)
    entry = bench.entry("berlin", "oslo")
    text = next(f.text for f in bench.checkers.findings if f.entry == entry)
    assert text.endswith("though lte>hub1>oslo would deliver")
    policy = Policy(features=Features(transit=False))
    without = Bench(cut(select), policy=policy).run(40 * SECOND)
    assert entry not in {f.entry for f in without.checkers.findings}


def test_a_second_leg_that_is_missing_is_a_black_hole() -> None:
    """Transit ends at a site whose own way is not direct: the budget is spent."""
    bench = Bench().run(SECOND)
    bench.move(bench.entry("berlin", "oslo"), bench.row("berlin", "hub1"))
    bench.run(2 * SECOND)
    bench.move(bench.entry("hub1", "oslo"), bench.row("hub1", "hub2"))
    bench.run(2 * SECOND + bench.checkers.bound_ns + SECOND)
    found = {f.entry for f in bench.checkers.findings}
    assert found == {bench.entry("berlin", "oslo")}, "hub1 itself arrives by way of hub2"


def test_a_destination_with_a_dead_lan_must_be_left() -> None:
    """Whoever sends to a home whose LAN is down, though another announces the same, loses it."""
    bench = Bench().run(SECOND)
    bench.agents.lan_up[bench.site("hub1")] = False
    bench.run(2 * SECOND + bench.checkers.bound_ns)
    internet = {bench.entry(s, "internet") for s in ("berlin", "oslo", "rome")}
    assert {f.entry for f in bench.checkers.findings} == internet
    assert bench.checkers.findings[0].path == "mpls>hub1"


def test_who_cannot_know_is_excused() -> None:
    """A site cut off from the controller cannot hear that a LAN is down; afterwards it can."""
    bench = Bench().run(SECOND)
    bench.agents.lan_up[bench.site("hub1")] = False
    bench.agents.reached[bench.site("berlin")] = False
    bench.run(30 * SECOND)
    assert bench.entry("berlin", "internet") not in {f.entry for f in bench.checkers.findings}
    bench.agents.reached[bench.site("berlin")] = True
    bench.run(31 * SECOND + bench.checkers.bound_ns)
    assert bench.entry("berlin", "internet") in {f.entry for f in bench.checkers.findings}


def test_without_its_agent_a_kernel_has_its_backups() -> None:
    """While the agent is away only what the kernel holds, and has long worked, is asked of it."""
    bench = Bench(cut()).run(9 * SECOND)
    berlin, entry = bench.site("berlin"), bench.entry("berlin", "oslo")
    bench.agents.running[berlin] = False
    bench.table.rows[bench.entry("berlin", "rome"), 1:] = NO_ROW
    bench.run(12 * SECOND + bench.checkers.bound_ns)
    found = {f.entry for f in bench.checkers.findings}
    assert entry in found, "its kernel holds lte"
    assert bench.entry("berlin", "rome") not in found, "its kernel holds nothing else"


def test_a_class_that_drops_is_asked_for_its_sla() -> None:
    """Dropping is right while no way keeps the SLA, a black hole when one does for very long."""
    sla = SlaClass(latency_ns=MS, when_none=WhenNone.DROP)
    strict = Bench(policy=Policy(classes=(TrafficClass("voice", sla=sla),)))
    loose = Bench(
        policy=Policy(classes=(TrafficClass("voice", sla=replace(sla, latency_ns=SECOND)),))
    )
    for bench in (strict, loose):
        bench.run(SECOND).move(bench.entry("berlin", "oslo"), NO_ROW)
        bench.run(30 * SECOND)
        assert bench.checkers.black_holes == 0, "an alarm may not be over yet"
        bench.run((2 + int(bench.checkers.recovery_bounds_ns.max()) // SECOND) * SECOND)
    assert (strict.checkers.black_holes, loose.checkers.black_holes) == (0, 1)
    assert strict.checkers.sla_misses == loose.checkers.sla_misses == 0, "nothing is sent"


def test_forbidden_transports_are_no_way_out() -> None:
    """A class that may not use lte has nowhere to go; under another policy it has."""
    strict = Policy(classes=(TrafficClass("voice", sla=SlaClass(forbid=frozenset({"lte"}))),))
    loose = Policy(classes=(TrafficClass("voice"),))
    bench = Bench(cut(), policy=strict).run(9 * SECOND)
    bench.checkers.configured([bench.site("berlin")], loose)
    bench.run(12 * SECOND + bench.checkers.bound_ns)
    sites = {bench.space.key(f.entry).site for f in bench.checkers.findings}
    assert sites == {bench.site("berlin")}


def test_a_rekey_storm_and_its_end_are_seen() -> None:
    """Tunnels that are mute for long are dead in truth, and alive again afterwards."""
    storm = make_fault(
        FaultKind.REKEY_STORM, select=BERLIN_MPLS, schedule=FOREVER, up_ns=MS, down_ns=20 * SECOND
    )
    assert Bench(storm).run(40 * SECOND).checkers.black_holes == 9
    brief = replace(storm, down_ns=3 * SECOND)
    assert Bench(brief).run(40 * SECOND).checkers.black_holes == 0


# ---------------------------------------------------------------- SLA


def lossy(loss_ppm: int, **fields: object) -> FaultSpec:
    """Return random loss on berlin's mpls from 10 s on."""
    fault = make_fault(FaultKind.LOSS, select=BERLIN_MPLS, schedule=FOREVER, loss_ppm=loss_ppm)
    return replace(fault, **fields)  # type: ignore[arg-type]  # fields of FaultSpec


def test_an_sla_that_is_broken_needlessly_is_a_miss() -> None:
    """20 % of loss stay on mpls although lte has none: a miss once its longer bound is over."""
    bench = Bench(lossy(200_000), policy=VOICE)
    bench.run(10 * SECOND + bench.checkers.sla_bound_ns)
    assert bench.checkers.sla_misses == 0
    assert bench.run(50 * SECOND).checkers.sla_misses == 9
    assert bench.checkers.black_holes == 0
    assert "breaks the SLA for more than" in bench.checkers.findings[0].text


def test_bursts_count_with_their_mean() -> None:
    """A link that is dead for a fifth of each second breaks the SLA as steady loss does."""
    bursts = lossy(0, kind=FaultKind.BURST_LOSS, burst=Burst(800 * MS, 200 * MS, PPM))
    assert Bench(bursts, policy=VOICE).run(50 * SECOND).checkers.sla_misses == 9


@pytest.mark.parametrize("loss_ppm", [5_000, 15_000, 30_000])
def test_what_probes_cannot_tell_is_no_miss(loss_ppm: int) -> None:
    """Loss near the limit is within doubt: ten probes a second do not prove it."""
    assert Bench(lossy(loss_ppm), policy=VOICE).run(60 * SECOND).checkers.sla_misses == 0


def test_where_no_way_keeps_the_sla_nothing_is_missed() -> None:
    """Both transports lose a fifth: the SLA cannot be honoured."""
    both = lossy(200_000, select=Selector(sites=("berlin",)))
    assert Bench(both, policy=VOICE).run(60 * SECOND).checkers.sla_misses == 0


def test_without_an_agent_nobody_honours_slas() -> None:
    """A kernel alone knows dead from alive, and no SLA."""
    bench = Bench(lossy(200_000), policy=VOICE)
    bench.agents.running[:] = False
    assert bench.run(60 * SECOND).checkers.sla_misses == 0


# ---------------------------------------------------------------- counting


def test_findings_are_bounded_and_counts_are_not() -> None:
    """The first ones are told, all are counted."""
    bench = Bench().run(SECOND)
    entry, other = bench.entry("berlin", "oslo"), bench.row("berlin", "oslo", "lte")
    home = int(bench.used[entry])
    bench.tell([(SECOND + n * MS, entry, (other, home)[n % 2]) for n in range(90)])
    bench.run(2 * SECOND)
    assert bench.checkers.flaps == 89
    assert len(bench.checkers.findings) == KEPT


def test_nothing_is_found_before_time_zero() -> None:
    """The warm-up may do what it likes."""
    bench = Bench(cold=True)
    warm = Bench()
    warm.checkers._tables = None
    warm.move(warm.entry("berlin", "oslo"), warm.row("berlin", "hub1"))
    warm.move(warm.entry("hub1", "oslo"), warm.row("hub1", "berlin"))
    assert warm.run(SECOND).checkers.loops == 0
    assert bench.run(SECOND).checkers.loops == 0


# ---------------------------------------------------------------- whole worlds


def test_a_sound_world_has_no_violations() -> None:
    """A cut, a brownout and a drain, handled by the engine: nothing to find in any slots."""
    chosen = (FaultKind.BLACKHOLE, FaultKind.LOSS, FaultKind.DRAIN)
    faults = [f for f in faultyard.FAULTS if f.kind in chosen]
    counts, flaps = [], set[int]()
    short = replace(faultyard.scenario(*faults), duration_ns=5 * SECOND, warmup_ns=2 * SECOND)
    for slot_ns in (100 * MS, 50 * MS):
        world = World(short, 1, slot_ns=slot_ns)
        world.run()
        checks = world.checkers
        counts.append((checks.loops, checks.black_holes, checks.sla_misses, checks.conservation))
        flaps.add(checks.flaps)
        assert world.engine.journal.count > 0
    assert counts == [(0, 0, 0, 0)] * 2
    assert len(flaps) == 1


def test_an_engine_that_does_nothing_is_found_out() -> None:
    """With the agents deaf to everything but their own timers, black holes appear."""
    fault = next(f for f in faultyard.FAULTS if f.kind is FaultKind.BLACKHOLE)
    policy = replace(faultyard.prefer("a"), features=Features(kernel_failover=False))
    lasting = replace(fault, schedule=Schedule(at_ns=SECOND))
    scenario = replace(faultyard.scenario(lasting), policy=policy, duration_ns=10 * SECOND)
    world = World(scenario, 1)
    world.engine.edges = lambda *_: None  # type: ignore[method-assign]  # the mutant
    world.run()
    assert world.checkers.black_holes > 0
