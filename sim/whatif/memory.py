"""How much memory a study takes, told before it begins.

The world grows with its tunnels and with its forwarding entries; a child shares it and adds
what it changes. The figures were measured (``docs/benchmarks.md``) and are rounded up.
"""

from pathlib import Path
from typing import Final

from patronus.sim.scenario import Mesh, Scenario
from patronus.sim.topology.sites import sites
from patronus.sim.whatif.orders import WhatIfError

_PROGRAM: Final = 130_000_000
_TUNNEL: Final = 1_000
_ENTRY: Final = 180
"""Bytes of the world: of the program, and of each tunnel and entry."""

_CHILD_PER_CENT: Final = 80
"""Of the world, what one child changes at worst."""


def needed_bytes(scenario: Scenario, jobs: int) -> int:
    """Return what a study takes at most, about.

    Raises:
        ValueError: the scenario describes no sites.
    """
    spec = scenario.topology
    count, transports = len(sites(spec)), len(scenario.transports)
    hubs = max(spec.hubs, sum(site.hub for site in spec.sites))
    neighbours = {
        Mesh.FULL: count - 1,
        Mesh.HUBS: 2 * hubs,
        Mesh.REGIONAL: 2 * hubs + spec.regions,
        Mesh.PARTIAL: spec.degree,
        Mesh.PAIRS: 2 * len(spec.pairs) // max(1, count) + 1,
    }[spec.mesh]
    tunnels = count * neighbours * transports
    entries = count * (count + len(scenario.destinations)) * len(scenario.policy.classes)
    world = tunnels * _TUNNEL + entries * _ENTRY
    return _PROGRAM + world + jobs * (world * _CHILD_PER_CENT // 100)


def free_bytes() -> int | None:
    """Return what this process may still take, None where that is not known."""
    found = [_available(Path("/proc/meminfo")), _group(Path("/sys/fs/cgroup"))]
    return min((n for n in found if n is not None), default=None)


def _available(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    told = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
    return int(told) * 1024 if told.isdecimal() else None


def _group(path: Path) -> int | None:
    """Return what a limit on this group of processes leaves."""
    try:
        most, now = ((path / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return max(0, int(most) - int(now)) if most.isdecimal() and now.isdecimal() else None


def check(scenario: Scenario, jobs: int, free: int | None) -> None:
    """Refuse a study that this machine has not the memory for.

    Raises:
        WhatIfError: with the estimate.
    """
    try:
        needed = needed_bytes(scenario, jobs)
    except ValueError:
        return  # building the network tells what is wrong, and better
    if free is not None and needed > free:
        advice = "use --jobs 1, fewer sites" if jobs > 1 else "use fewer sites"
        raise WhatIfError(
            f"{scenario.name} takes about {needed / 1e9:.1f} GB with {jobs} at a time, and "
            f"{free / 1e9:.1f} GB are free; {advice} or a mesh with hubs"
        )
