"""Recovery: each thing that a fault may leave behind is found in tables broken by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from patronus.engine.brownout_table import ALARM, BASE_PPM, SUSPECTED_PPM, TAKEN
from patronus.engine.forwarding import NO_ROW
from patronus.engine.policy import LivenessProfile, Policy, SlaClass, TrafficClass, WhenNone
from patronus.engine.units import MS, SECOND
from patronus.engine.verdict import OUTAGE_PPM
from patronus.sim.checks.rules import REVIVING
from patronus.sim.language import load
from patronus.sim.scenario import Schedule, Selector
from patronus.sim.world import World
from tests.sim.checkbench import Bench
from tests.sim.handmade import make_fault

LIKES_MPLS = Policy(
    classes=(TrafficClass("voice", sla=SlaClass(prefer=("mpls",))),),
    liveness=dict.fromkeys(("mpls", "lte"), LivenessProfile("quick", 50 * MS, 3)),
)
CUT = make_fault(schedule=Schedule(at_ns=SECOND, for_ns=SECOND))


def bench(quiet_ns: int | None = None, policy: Policy = LIKES_MPLS) -> Bench:
    """Return a bench some time after its only fault; as long as the bound by default."""
    made = Bench(CUT, policy=policy)
    bound_ns = int(made.checkers.recovery_bounds_ns[0])
    flag(made)
    end_ns = 2 * SECOND + (bound_ns if quiet_ns is None else quiet_ns)
    return made.advance((end_ns // (100 * MS) + 1) * 100 * MS)


def flag(made: Bench) -> None:
    """Back entries up by another transport to the second home, where there are two."""
    for entry in range(made.space.entries):
        site, destination, _ = made.space.key(entry)
        if destination >= 5 and made.used[entry] != NO_ROW:
            other = made.overlay.destinations[destination].sites[1]
            made.table.rows[entry, 1] = made.overlay.direct(site, other)[1]


def tunnel(made: Bench) -> None:
    """Let the kernel keep a latch."""
    made.world.dataplane.latched[made.row("berlin", "oslo")] = True


def nowhere(made: Bench) -> None:
    """Let an entry lead nowhere."""
    made.move(made.entry("berlin", "oslo"), NO_ROW)


def worse(made: Bench) -> None:
    """Let an entry stay on the transport that its class likes less."""
    made.move(made.entry("berlin", "oslo"), made.row("berlin", "oslo", "lte"))


def detour(made: Bench) -> None:
    """Let an entry go through a hub though it has a tunnel of its own."""
    made.move(made.entry("berlin", "oslo"), made.row("berlin", "hub1"))


def second_home(made: Bench) -> None:
    """Let an entry go to the second site of its destination."""
    made.move(made.entry("berlin", "internet"), made.row("berlin", "hub2"))


def bare(made: Bench) -> None:
    """Let an entry have no backup."""
    made.table.rows[made.entry("berlin", "oslo"), 1:] = NO_ROW


def false_flag(made: Bench) -> None:
    """Call a disjoint backup one that shares a fate."""
    made.table.shared_fate[made.entry("berlin", "oslo")] = True


def poor(made: Bench) -> None:
    """Back an entry up by the same transport, though the other one leads to the second hub."""
    entry = made.entry("berlin", "internet")
    made.table.rows[entry, 1] = made.row("berlin", "hub2")
    made.table.shared_fate[entry] = True


def shared(made: Bench) -> None:
    """Call a backup over the same transport disjoint."""
    entry = made.entry("berlin", "internet")
    made.table.rows[entry, 1] = made.row("berlin", "hub2")
    made.table.shared_fate[entry] = False


Break = Callable[[Bench], None]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (tunnel, "berlin>oslo over mpls works, and the kernel keeps traffic off it"),
        (nowhere, "berlin to oslo, voice: no path still delivers nothing"),
        (worse, "berlin to oslo, voice: lte>oslo is still used"),
        (detour, "berlin to oslo, voice: mpls>hub1>oslo is still used"),
        (second_home, "berlin to internet, voice: mpls>hub2>internet is still used"),
        (bare, "mpls>oslo has no backup, though there is another"),
        (false_flag, "has a backup apart from it, and counts as sharing its fate"),
        (shared, "has a backup sharing its fate"),
        (poor, "has a backup sharing its fate, though one is apart from it"),
    ],
)
def test_what_is_left_is_found(broken: Break, told: str) -> None:
    """Each of them counts once, and is told."""
    made = bench()
    broken(made)
    made.run(made.now_ns + 100 * MS)
    assert made.checkers.unrecovered == 1
    assert told.rsplit(maxsplit=1)[-1] in made.checkers.findings[-1].text


def test_sound_tables_have_recovered() -> None:
    """Nothing is found where every entry is where its class wants it."""
    assert bench().checkers.unrecovered == 0


def test_too_early_nothing_is_said() -> None:
    """Before the bound has passed there is no verdict, and during the fault neither."""
    assert bench(quiet_ns=5 * SECOND).checkers.unrecovered is None
    assert (
        Bench(make_fault(schedule=Schedule(SECOND)), policy=LIKES_MPLS)
        .advance(60 * SECOND)
        .checkers.unrecovered
        is None
    )


def test_a_way_that_does_not_work_is_not_asked_for() -> None:
    """Where the preferred transport is dead for ever, or does not exist, the other one is right."""
    made = Bench(
        make_fault(schedule=Schedule(SECOND, SECOND), select=Selector(sites=("rome",))),
        policy=LIKES_MPLS,
    )
    flag(made)
    row = made.row("berlin", "oslo")
    made.advance(100 * SECOND)
    truth = made.checkers._tables.truth  # type: ignore[union-attr]  # it has started
    truth.loss_ppm[[row, made.overlay.reverse[row]]] = 10**6
    made.move(made.entry("berlin", "oslo"), made.row("berlin", "oslo", "lte"))
    made.move(made.entry("oslo", "berlin"), made.row("oslo", "berlin", "lte"))
    made.run(made.now_ns + 100 * MS)
    texts = [f.text for f in made.checkers.findings]
    assert made.checkers.unrecovered == 0, texts


@pytest.mark.parametrize(("latency_ns", "left"), [(MS, 0), (SECOND, 1)])
@pytest.mark.parametrize("broken", [nowhere, bare])
def test_a_class_that_drops_lacks_only_what_it_would_use(
    broken: Break, latency_ns: int, left: int
) -> None:
    """Where no way keeps its SLA it rightly has none, and no backup; where one does it has not."""
    sla = SlaClass(latency_ns=latency_ns, when_none=WhenNone.DROP)
    made = bench(policy=replace(LIKES_MPLS, classes=(TrafficClass("voice", sla=sla),)))
    broken(made)
    made.run(made.now_ns + 100 * MS)
    assert made.checkers.unrecovered == left


def test_a_class_that_drops_may_wait_for_its_verdict() -> None:
    """Before its own bound has passed nothing is asked of it, whatever is due of another."""
    limits = SlaClass(loss_ppm=10_000, when_none=WhenNone.DROP)
    classes = (TrafficClass("voice", sla=limits), *Policy().classes)
    made = Bench(CUT, policy=replace(LIKES_MPLS, classes=classes))
    entries = [made.entry("berlin", "oslo", number) for number in (0, 1)]
    voice_ns, rest_ns = made.checkers.recovery_bounds_ns.tolist()
    assert voice_ns > rest_ns
    flag(made)
    made.advance(((2 * SECOND + rest_ns) // (100 * MS) + 1) * 100 * MS)
    for entry in entries:
        made.move(entry, NO_ROW)
    made.run(made.now_ns + 100 * MS)
    assert made.checkers.unrecovered == 1
    assert [f.entry for f in made.checkers.findings] == entries[1:]


def test_alarms_of_outages_are_over_after_so_many_probes() -> None:
    """Whatever a line usually loses, good packets alone end the doubt about half of them lost."""
    most = 0
    for level in range(len(BASE_PPM)):
        kinds = [k for k in range(len(TAKEN)) if SUSPECTED_PPM[k][level] <= OUTAGE_PPM]
        most = max(most, -(-ALARM // TAKEN[max(kinds, default=0)][level]))
    assert most == REVIVING


def test_a_line_that_was_dead_for_a_moment_is_used_again() -> None:
    """A class without limits waits for the end of an alarm, too, and then nothing is left of it."""
    found = Path(__file__).parents[1] / "fuzzing" / "found" / "dead-for-a-moment.patronus.yml"
    scenario = load(found)
    early = World(scenario, scenario.seed, reported=False)
    early.run()
    assert early.checkers.unrecovered is None
    over_ns = 2050 * MS + int(early.checkers.recovery_bounds_ns[0])
    late = World(replace(scenario, duration_ns=over_ns + MS), scenario.seed, reported=False)
    late.run()
    assert late.checkers.unrecovered == 0
