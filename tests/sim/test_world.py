"""One scenario, one seed, one result: whatever the slots, the process, and what else there is."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from patronus.engine.policy import LivenessProfile
from patronus.engine.units import MS, SECOND
from patronus.sim import run as sim_run
from patronus.sim.benchmarks.plain import Probe
from patronus.sim.result import to_run
from patronus.sim.run import Run
from patronus.sim.scenario import Burst, FaultKind, FaultSpec, Scenario, Selector
from patronus.sim.world import World
from tests.short import short
from tests.sim.storms import SITES, STORMS, calm, fault
from tests.sim.watching import watch

FRAMES = ("decisions", "detections", "failovers", "faults", "series", "health")


def run(
    scenario: Scenario,
    seed: int = 1,
    *,
    slot_ns: int = 100 * MS,
    progress: Callable[[int], None] | None = None,
    compiled: bool | None = None,
    lazy: bool = False,
) -> Run:
    """Run a scenario without its verdict."""
    journal: list[bytes] = []
    world = World(
        scenario, seed, slot_ns=slot_ns, sink=journal.append, compiled=compiled, lazy=lazy
    )
    stop = world.run(progress=progress)
    return to_run(world, stop, journal, 0.0)


def told(result: Run) -> dict[str, object]:
    """Return everything that a run says, but for what it cost."""
    summary = {k: v for k, v in result.summary.items() if k not in {"wall_s", "peak_rss_mb"}}
    frames = {name: getattr(result, name).to_json() for name in FRAMES}
    return {"journal": result.journal, "summary": summary, **frames}


def probes(scenario: Scenario) -> dict[tuple[int, int], Probe]:
    """Return the fate of every probe by row and ordinal; the H bit left out."""
    world = World(scenario, 1)
    seen = watch(world)
    world.run()
    return {(p.row, p.ordinal): p._replace(hears=True) for p in seen.probes}


# ---------------------------------------------------------------- slots


@pytest.mark.parametrize("storm", short(STORMS, 3))
def test_slots(storm: str) -> None:
    """Journal and all figures are those of 100 ms slots when slots are of 50 ms."""
    scenario = calm(*STORMS[storm])
    assert told(run(scenario, slot_ns=50 * MS)) == told(run(scenario))


@pytest.mark.slow
@pytest.mark.parametrize("width_ms", [1, 10])
@pytest.mark.parametrize("storm", STORMS)
def test_narrow_slots(storm: str, width_ms: int) -> None:
    """Journal and all figures are those of 100 ms slots when slots are of 1 or 10 ms."""
    scenario = calm(*STORMS[storm])
    assert told(run(scenario, slot_ns=width_ms * MS)) == told(run(scenario))


def test_slots_short() -> None:
    """Slots of 1, 7, 10 and 100 ms agree on a short run with a cut, a crash and a pause."""
    scenario = calm(
        fault(FaultKind.LINK_DOWN, 123 * MS + 7, 200 * MS),
        fault(FaultKind.AGENT_PAUSE, 100 * MS + 1, 300 * MS, on=Selector(sites=("hub",))),
        fault(FaultKind.SITE_CRASH, 399 * MS, 100 * MS, on=Selector(sites=("second",))),
        sites=3,
        transports=("fabric", "lte"),
        duration_ns=550 * MS,
    )
    scenario = replace(scenario, warmup_ns=900 * MS)
    results = [told(run(scenario, slot_ns=ms * MS)) for ms in (1, 7, 10, 100)]
    assert results[0]["journal"]
    assert all(result == results[0] for result in results[1:])


# ---------------------------------------------------------------- processes and seeds


def test_hash_seed() -> None:
    """The journal does not depend on how Python hashes strings, but does on the seed."""
    script = (
        "import sys; from tests.sim.test_world import *; "
        "print(run(calm(*STORMS['plans']), int(sys.argv[1])).summary['journal_sha256'])"
    )
    hashes = [
        subprocess.run(
            [sys.executable, "-c", script, str(seed)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed, hash_seed in ((1, "0"), (1, "4711"), (2, "0"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


# ---------------------------------------------------------------- start and end


def test_warm_up() -> None:
    """The warm-up is simulated but shows in no figure."""
    result = run(calm(*STORMS["cuts"]))
    assert result.summary["converged"]
    assert result.summary["simulated_s"] == 4.5
    assert result.decisions["t_ns"].min() > 0
    assert result.detections["at_ns"].min() > 0
    assert set(result.series["t_ns"]) == {0, SECOND, 2 * SECOND}
    assert set(result.series["offered"]) == {100}


def test_cold() -> None:
    """A cold start begins at zero with nothing known, and is journalled."""
    result = run(calm(sites=2, transports=("fabric",), cold=True))
    assert result.summary["simulated_s"] == 3
    assert set(result.decisions["from"]) == {""}
    first = result.series[result.series["t_ns"] == 0]
    assert (first["offered"] == 100).all()
    # A tunnel must prove itself for 300 ms, and sites take turns twice a second.
    assert first["lost"].between(30, 100).all()
    assert (result.series[result.series["t_ns"] > 0]["lost"] < 5).all()


def test_not_converged() -> None:
    """A warm-up that is too short to converge is reported and fails the run."""
    scenario = replace(calm(sites=2, transports=("satellite",)), warmup_ns=300 * MS)
    result = sim_run(scenario)
    assert not result.summary["converged"]
    assert result.summary["verdict"] == "fail"
    assert sim_run(replace(scenario, warmup_ns=2 * SECOND)).summary["converged"]


def test_last_second() -> None:
    """A last second that is not whole counts as far as it goes, and nothing comes after it."""
    result = run(calm(*STORMS["cuts"], duration_ns=2_345 * MS))
    last = result.series[result.series["t_ns"] == 2 * SECOND]
    assert set(last["offered"]) <= {34, 35}
    assert result.decisions["t_ns"].max() <= 2_345 * MS


def test_stop_early() -> None:
    """A run that stops early is the beginning of the whole run."""
    scenario = calm(*STORMS["flaps"])
    journal: list[bytes] = []
    stop = World(scenario, 1, sink=journal.append).run(until_ns=1_700 * MS)
    whole = run(scenario).journal
    assert (stop.at_ns, stop.interrupted) == (1_700 * MS, False)
    assert 0 < len(journal) < len(whole)
    assert tuple(journal) == whole[: len(journal)]
    assert all(json.loads(line)["t_ns"] > 1_700 * MS for line in whole[len(journal) :])


def interrupting(how: Callable[[], object]) -> Callable[[int], None]:
    """Return a progress that interrupts once a second of the scenario has passed."""
    times: Iterator[int] = iter([1])

    def progress(now_ns: int) -> None:
        if now_ns >= SECOND and next(times, 0):
            how()

    return progress


def raise_interrupt() -> None:
    """Do what Ctrl-C does where it is not awaited."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", [raise_interrupt, lambda: os.kill(os.getpid(), signal.SIGINT)])
def test_interrupt(how: Callable[[], object]) -> None:
    """Ctrl-C ends a run between two slots with all that happened until then, and says so."""
    scenario = calm(*STORMS["cuts"])
    result = run(scenario, progress=interrupting(how))
    assert result.summary["interrupted"]
    assert SECOND <= (result.summary["simulated_s"] - 1.5) * SECOND <= SECOND + 100 * MS
    assert set(result.series["t_ns"]) <= {0, SECOND}
    assert result.journal
    assert result.journal == run(scenario).journal[: len(result.journal)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---------------------------------------------------------------- overlaps


def test_undo() -> None:
    """A fault that is over leaves nothing behind: afterwards packets fare as without it."""
    storm = (
        fault(FaultKind.BLACKHOLE, 300 * MS, 400 * MS),
        fault(FaultKind.LOSS, 500 * MS, 300 * MS, loss_ppm=500_000),
        fault(FaultKind.DELAY, 400 * MS, 300 * MS, delay_ns=20 * MS),
    )
    clear, rough = (probes(calm(*faults, sites=3, traffic=False)) for faults in ((), storm))
    after = {key for key, fate in clear.items() if fate.sent_ns >= 850 * MS}
    assert after
    assert {key: rough[key] for key in after} == {key: clear[key] for key in after}
    assert rough != clear


def test_overlap() -> None:
    """Two blackholes that overlap are one long one: the end of the first restores nothing."""
    two = (
        fault(FaultKind.BLACKHOLE, 300 * MS, 400 * MS, name="a"),
        fault(FaultKind.BLACKHOLE, 500 * MS, 900 * MS, name="b"),
    )
    one = (fault(FaultKind.BLACKHOLE, 300 * MS, 1_100 * MS),)
    assert probes(calm(*two, sites=3, traffic=False)) == probes(calm(*one, sites=3, traffic=False))


def test_crash_hides() -> None:
    """A site crash hides the faults beneath it, whichever ends first."""
    crash = fault(FaultKind.SITE_CRASH, 300 * MS, SECOND, on=Selector(sites=("berlin",)))
    beneath = fault(FaultKind.BLACKHOLE, 500 * MS, 200 * MS)
    both = (probes(calm(*some, sites=3, traffic=False)) for some in ((crash,), (crash, beneath)))
    assert next(both) == next(both)


# ---------------------------------------------------------------- luck


def measured(*faults: FaultSpec, sites: int = 4, fabric_ns: int = 10 * MS) -> Scenario:
    """Return sites with given delays, so that no site or fault moves another one's routes."""
    scenario = calm(*faults, sites=sites, transports=("fabric", "lte"), traffic=False)
    pairs = combinations(SITES[:sites], 2)
    topology = replace(scenario.topology, delays_ns={(a, b, ""): 7 * MS for a, b in pairs})
    liveness = {**scenario.policy.liveness, "fabric": LivenessProfile("f", fabric_ns, 3)}
    policy = replace(scenario.policy, liveness=liveness)
    return replace(scenario, topology=topology, policy=policy, groups=())


def fates(scenario: Scenario) -> dict[tuple[str, int], tuple[int, int]]:
    """Return when each probe arrived and was back, by the tunnel's name and its ordinal."""
    world = World(scenario, 1)
    seen = watch(world)
    world.run()
    label = [world.overlay.label(row) for row in range(world.overlay.rows)]
    return {(label[p.row], p.ordinal): (p.there_ns, p.back_ns) for p in seen.probes}


def test_other_site() -> None:
    """A further site leaves the probes of all other tunnels as they were, bit by bit."""
    few, many = fates(measured(sites=3)), fates(measured(sites=4))
    assert few.keys() < many.keys()
    assert {key: many[key] for key in few} == few


def test_other_fault() -> None:
    """A fault elsewhere leaves the probes of tunnels that do not meet it as they were."""
    bursts = fault(
        FaultKind.BURST_LOSS, 200 * MS, SECOND, on=Selector(sites=("berlin",)),
        burst=Burst(100 * MS, 50 * MS, 700_000),
    )  # fmt: skip
    clear, rough = fates(measured()), fates(measured(bursts))
    others = [key for key in clear if "berlin" not in key[0]]
    assert [rough[key] for key in others] == [clear[key] for key in others]
    assert rough != clear


def test_other_interval() -> None:
    """Another probe interval on one transport leaves the others' probes as they were."""
    fast, slow = fates(measured()), fates(measured(fabric_ns=20 * MS))
    lte = [key for key in fast if key[0].endswith(":lte")]
    assert lte
    assert [slow[key] for key in lte] == [fast[key] for key in lte]
