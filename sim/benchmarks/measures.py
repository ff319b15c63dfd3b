"""What ``patronus bench`` measures, one record each, in plain data."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from patronus.sim.benchmarks.cases import Case
from patronus.sim.benchmarks.choices import choosing
from patronus.sim.benchmarks.machine import NOT_INSTALLED
from patronus.sim.benchmarks.packets import ns_pace
from patronus.sim.benchmarks.peer import Pace, pace, subset
from patronus.sim.benchmarks.searches import search
from patronus.sim.benchmarks.spread import Spread
from patronus.sim.benchmarks.whole import Result, run, write_case
from patronus.sim.footprint import RoomError, shared
from patronus.sim.language import load

PEERS: Final = ("plain SimPy", "ns.py")


def case_record(case: Case, runs: int, mode: str = "event") -> dict[str, Any]:
    """Measure one scenario as a whole command, and its peers on a part of it.

    A case that needs more memory than there is gets a word instead of figures.

    Raises:
        CommandError: the command did not do its work.
    """
    known = {"measure": "case", "case": case.name, "about": case.about}
    with tempfile.TemporaryDirectory(prefix="patronus-bench-") as scratch:
        scenario = load(str(write_case(case, Path(scratch))))
        try:
            shared(1).check([scenario])
        except RoomError as error:
            return {**known, "not_run": str(error).partition(": ")[2]}
        results = list(_whole(case, runs, mode, Path(scratch)))
    some = subset(scenario, int(results[0].summary["seed"]), case.peer_tunnels)
    paces = (pace(some, case.peer_s, runs=runs), ns_pace(some, case.peer_s, runs=runs))
    ours = _ours(results)
    peers = {
        name: {"status": NOT_INSTALLED} if found is None else _peer(found, ours)
        for name, found in zip(PEERS, paces, strict=True)
    }
    bars = {"bar_s": case.bar_s, "bar_mb": case.bar_mb}
    return {**known, **ours, **bars, "peers": peers}


def search_record(nodes: int, runs: int) -> dict[str, Any]:
    """Measure path search on a graph of so many nodes."""
    return {"measure": "search", **search(nodes, runs).record()}


def choice_record(layout: str, sites: int, runs: int) -> dict[str, Any]:
    """Measure path choice on an overlay of so many sites, ``direct`` or ``hubs``."""
    return {"measure": "choice", **choosing(layout, sites, runs).record()}


def _whole(case: Case, runs: int, mode: str, scratch: Path) -> Iterator[Result]:
    for turn in range(runs):
        folder = scratch / str(turn)
        folder.mkdir()
        yield run(case, folder, mode)


def _ours(results: Sequence[Result]) -> dict[str, Any]:
    wall = Spread(tuple(r.wall_s for r in results), tuple(r.cpu_s for r in results))
    summary = results[0].summary
    counts, simulated_s = summary["counts"], float(summary["simulated_s"])
    probes, lost = int(counts["probes"]), int(counts["probes_lost"])
    return {
        "sites": int(counts["sites"]),
        "tunnels": int(counts["tunnels"]),
        "simulated_s": simulated_s,
        "wall_s": wall.record(),
        "peak_mb": max(r.peak_mb for r in results),
        "decisions": int(counts["decisions"]),
        **_rates(probes, lost, wall.median, simulated_s),
        "missing": results[0].missing(),
    }


def _peer(found: Pace, ours: dict[str, Any]) -> dict[str, Any]:
    """Return what a peer took on its part, and would take for all of it in proportion."""
    whole_s = found.extrapolated_s(ours["tunnels"], ours["simulated_s"])
    comparable = not ours["missing"] and found.lost > 0
    return {
        "tunnels": found.tunnels,
        "simulated_s": found.simulated_s,
        "wall_s": found.wall.record(),
        **_rates(found.sent, found.lost, found.wall_s, found.simulated_s),
        "extrapolated_s": whole_s,
        # A run without probes, losses or decisions is not compared, however quick it was.
        "times": whole_s / ours["wall_s"]["median"] if comparable else None,
    }


def _rates(probes: int, lost: int, wall_s: float, simulated_s: float) -> dict[str, Any]:
    """Return counts and speeds; a packet is a probe sent, or its reflection come home."""
    packets = 2 * probes - lost
    return {
        "probes": probes,
        "probes_lost": lost,
        "probes_per_s": probes / wall_s,
        "packets_per_s": packets / wall_s,
        "x_real_time": simulated_s / wall_s,
    }
