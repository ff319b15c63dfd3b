"""How much memory a run will need, from what its scenario says, before anything is built.

The shares were fitted to measured runs (docs/benchmarks.md, "Memory"): they are about what
the arrays of a row, an entry, an exposure and a second of a flow take, scratch and frames
included. An estimate is within a third of the truth; whatever it says, nothing is built.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from patronus.engine.units import PPM, SECOND
from patronus.sim.patterns import ALL
from patronus.sim.scenario import FaultKind, FaultSpec, Mesh, Scenario, TrafficSpec
from patronus.sim.topology.meshes import attached
from patronus.sim.topology.sites import Site, sites

MB: Final = 1_000_000

PROCESS: Final = 150 * MB
"""Python and the libraries."""

COMPILED: Final = 115 * MB
"""What compiles passes, where there are probes enough for them."""

COMPILED_FROM: Final = 3_000_000
"""Probes."""

ROW: Final = 1_000
ENTRY: Final = 157
EXPOSURE: Final = 205
FLOW_SECOND: Final = 370
"""Bytes of each."""

EXPOSED_MOST: Final = 2
"""Exposures are counted as no more than so many times the entries: faults of many thousand
occurrences mostly hit the same few tunnels."""


class RoomError(RuntimeError):
    """A run needs more memory than there is; nothing was built."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a run is made of, in numbers, and what that takes."""

    sites: int
    tunnels: int
    """Directed, as rows of the engine; at most so many."""
    entries: int
    """(site, destination, class)."""
    exposures: int
    flow_seconds: int
    probes: int

    @property
    def needed(self) -> int:
        """Memory of the process at its peak, in bytes."""
        process = PROCESS + (COMPILED if self.probes > COMPILED_FROM else 0)
        arrays = ROW * self.tunnels + ENTRY * self.entries
        return process + arrays + EXPOSURE * self.exposures + FLOW_SECOND * self.flow_seconds


def footprint(scenario: Scenario) -> Footprint:
    """Return the footprint of a run.

    Raises:
        ValueError: the scenario describes no network.
    """
    found = sites(scenario.topology)
    classes = len(scenario.policy.classes)
    entries = len(found) * (len(found) + len(scenario.destinations)) * classes
    exposed = sum(_exposed(fault, scenario, found) for fault in scenario.faults)
    flows = min(entries, sum(_flows(traffic, scenario, found) for traffic in scenario.traffic))
    rows = tunnels(scenario, found)
    profiles = [scenario.policy.profile(transport.name) for transport in scenario.transports]
    simulated_ns = scenario.duration_ns + scenario.warmup_ns
    return Footprint(
        sites=len(found),
        tunnels=rows,
        entries=entries,
        exposures=int(min(exposed, EXPOSED_MOST) * entries),
        flow_seconds=flows * -(-scenario.duration_ns // SECOND),
        probes=rows * (simulated_ns // min(profile.interval_ns for profile in profiles)),
    )


def tunnels(scenario: Scenario, found: tuple[Site, ...]) -> int:
    """Return how many directed tunnels there are, exactly where that takes no geography."""
    spec = scenario.topology
    names = [transport.name for transport in scenario.transports]
    have = attached(found, names)
    hubs = [site.hub for site in found]
    total = 0
    for column in have.T:
        here = int(column.sum())
        hub = int(column[hubs].sum())
        match spec.mesh:
            case Mesh.FULL:
                total += here * (here - 1)
            case Mesh.HUBS:
                total += hub * (hub - 1) + 2 * hub * (here - hub)
            case Mesh.REGIONAL:
                regions = max(1, len({site.region for site in found if site.region}), spec.regions)
                total += hub * (hub - 1) + 2 * hub * (here - hub) // min(regions, max(1, hub))
            case Mesh.PARTIAL:
                total += here * min(spec.degree, here - 1)
            case Mesh.PAIRS:
                total += 2 * len(spec.pairs)
    return total


def _exposed(fault: FaultSpec, scenario: Scenario, found: tuple[Site, ...]) -> float:
    """Return how many entries all occurrences of a fault harm, as a share of all."""
    select = fault.select
    if select.sites:
        share = _around(_chosen(fault, found), found)
    elif select.groups:
        links = [link for g in scenario.groups if g.name in select.groups for link in g.links]
        ends = [link.split(":")[1] if link.startswith("access:") else "" for link in links]
        share = 1.0 if "" in ends else _around([s for s in found if s.name in ends], found)
    else:
        share = 1 / len(scenario.transports)
    return share * _happens(fault, scenario.duration_ns)


def _chosen(fault: FaultSpec, found: tuple[Site, ...]) -> Sequence[Site]:
    select = fault.select
    meant = [site for site in found if any(_means(word, site) for word in select.sites)]
    amounts = {"one": 1, "count": select.amount, "percent": len(meant) * select.amount // PPM}
    # Hubs first: which are drawn is not known, and they are what most depends on.
    return sorted(meant, key=lambda site: not site.hub)[: amounts.get(select.mode, len(meant))]


def _means(word: str, site: Site) -> bool:
    if word == "hubs":
        return site.hub
    if word == "spokes":
        return not site.hub
    return word in ALL or fnmatchcase(site.name, word)


def _around(chosen: Sequence[Site], found: tuple[Site, ...]) -> float:
    """Return the share of entries that begin or end at some sites, all where one is a hub."""
    if any(site.hub for site in chosen):
        return 1.0
    return min(1.0, 2 * len(chosen) / len(found))


def _happens(fault: FaultSpec, duration_ns: int) -> int:
    schedule = fault.schedule
    left = max(0, duration_ns - schedule.at_ns)
    gap = schedule.every_ns or schedule.random_mean_ns
    if fault.kind is FaultKind.FLAPPING:
        gap, left = fault.up_ns + fault.down_ns, min(left, schedule.for_ns)
    if not gap:
        return 1
    times = left // gap + 1
    return times if fault.kind is FaultKind.FLAPPING else min(times, schedule.times or times)


def _flows(traffic: TrafficSpec, scenario: Scenario, found: tuple[Site, ...]) -> int:
    """Return how many flows an entry of traffic offers at most."""
    shared = [Site(spec.name, hub=False) for spec in scenario.destinations]
    sources = _matching(traffic.sources, found)
    targets = _matching(traffic.destinations, (*found, *shared))
    pairs = sources * (min(traffic.peers, targets) if traffic.peers else targets)
    every = len(found) * (len(found) + len(shared) - 1)
    return min(every, pairs * (2 if traffic.both_ways else 1))


def _matching(words: tuple[str, ...], found: tuple[Site, ...]) -> int:
    return sum(any(_means(word, site) for word in words) for site in found)


# ---------------------------------------------------------------- what there is


@dataclass(frozen=True, slots=True)
class Memory:
    """What there is for each run."""

    each: int
    """Bytes."""
    at_once: int = 1
    """So many runs share what there is in all."""

    def check(self, scenarios: Iterable[Scenario]) -> None:
        """See whether runs fit.

        Raises:
            RoomError: one does not.
        """
        for scenario in scenarios:
            try:
                need = footprint(scenario)
            except ValueError:
                continue  # whoever builds it says better what is wrong with it
            if need.needed > self.each:
                raise RoomError(self._refusal(scenario, need))

    def _refusal(self, scenario: Scenario, need: Footprint) -> str:
        many = f" for each of {self.at_once} runs at a time" if self.at_once > 1 else ""
        less = "fewer jobs, sites or classes" if self.at_once > 1 else "fewer sites or classes"
        return (
            f"{scenario.path or scenario.name}: {need.sites:,} sites with {need.tunnels:,} tunnels "
            f"need about {_gb(need.needed)} of memory, and {_gb(self.each)} are free{many}; "
            f"{less} need less"
        )


def free() -> int:
    """Return how much memory this process may still take, in bytes: of the machine and group."""
    return max(0, min(_of_machine(), *_of_groups()))


def shared(at_once: int) -> Memory:
    """Return what each of some runs at a time can have on this machine."""
    return Memory(free() // at_once, at_once)


def _of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return 1024 * (told["MemAvailable"] + told.get("SwapFree", 0))
    except (OSError, ValueError, KeyError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


_GROUPS: Final = Path("/sys/fs/cgroup")


def _of_groups() -> list[int]:
    """Return what the control groups of this process leave, as containers have them."""
    found = [NO_LIMIT]
    for limit, used in _LIMITS:
        try:
            most = int((_GROUPS / limit).read_text())
            found.append(most - int((_GROUPS / used).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return found


NO_LIMIT: Final = 2**62
_LIMITS: Final = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
