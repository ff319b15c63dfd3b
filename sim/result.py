"""From a world that has run to the frames and the summary that it leaves behind."""

import json
import platform
import resource
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pandas as pd

from patronus.engine.liveness import State
from patronus.engine.overlay import I64
from patronus.engine.units import NEVER, SECOND
from patronus.sim.columns import labels, path_labels, paths, texts
from patronus.sim.faults.kinds import commanded, kind_of
from patronus.sim.faults.outages import turns
from patronus.sim.run import DECISIONS, DETECTIONS, FAILOVERS, FAULTS, HEALTH, SERIES, Run
from patronus.sim.summary import summarise
from patronus.sim.world import Stop, World

_LIBRARIES: Final = ("numpy", "numba", "scipy", "networkx", "simpy", "pandas", "pyarrow")

_COUNTED: Final = (
    "offered", "delivered", "duplicated", "delay_ns", "jitter_ns", "mos_milli", "in_sla",
)  # fmt: skip
"""What a second of a flow tells."""

_STATES: Final = {int(s): s.name.lower() for s in State}


def to_run(world: World, stop: Stop, journal: Sequence[bytes], wall_s: float) -> Run:
    """Return everything that a finished or interrupted world has to tell.

    Args:
        world: after :meth:`World.run`.
        stop: what that returned.
        journal: the lines that the world's sink received.
        wall_s: how long it took, for the summary only.
    """
    frames = {
        "decisions": decisions(journal),
        "detections": detections(world),
        "failovers": failovers(world, stop.at_ns),
        "series": series(world),
        "health": health(world),
        "faults": faults(world),
    }
    return Run(
        name=world.scenario.name,
        seed=world.seed,
        summary=summary(world, stop, frames, wall_s),
        topology=topology(world),
        journal=tuple(journal),
        decisions=frames["decisions"],
        detections=frames["detections"],
        failovers=frames["failovers"],
        series=frames["series"],
        health=frames["health"],
        faults=frames["faults"],
    )


def decisions(journal: Sequence[bytes]) -> pd.DataFrame:
    """Return the journal as a frame.

    The lines are our own, so they are not checked one by one as ``journal.read`` would.
    """
    records = [
        (d["t_ns"], d["site"], d["destination"], d["class"], d["from"], d["to"], d["reason"],
         d["numbers"])
        for d in json.loads(b"[%s]" % b",".join(journal))
    ]  # fmt: skip
    return pd.DataFrame(records, columns=list(DECISIONS))


def detections(world: World) -> pd.DataFrame:
    """Return who noticed which fault, and false alarms."""
    overlay, records, begins = world.overlay, [], _turns(world)
    for row, at_ns, layer, occurrence in world.measurement.records.detections:
        t0 = begins.get((occurrence.name, row), occurrence.start_ns) if occurrence else at_ns
        records.append(
            (occurrence.name if occurrence else "", t0, overlay.sites[overlay.src[row]],
             overlay.sites[overlay.dst[row]], overlay.transports[overlay.transport[row]],
             layer, at_ns, at_ns - t0 if occurrence else -1)
        )  # fmt: skip
    return pd.DataFrame(records, columns=list(DETECTIONS))


def failovers(world: World, stop_ns: int) -> pd.DataFrame:
    """Return one row an exposure."""
    overlay, space, found = world.overlay, world.engine.space, world.measurement
    ledger = found.ledger
    # There may be millions: what needs scratch comes first.
    detection, layer = _noticed(world)
    detection[(detection < 0) & (ledger.switch_ns == NEVER)] = NEVER
    outage_degraded = found.costs(stop_ns)
    pair, number = (part.astype(np.int32) for part in np.divmod(ledger.entry, space.classes))
    site, destination = np.divmod(pair, np.int32(space.destinations))
    occurrences = found.occurrences
    classes = [c.name for c in world.scenario.policy.classes]
    return pd.DataFrame(
        {
            "fault": labels([o.name for o in occurrences], ledger.occurrence),
            "kind": labels([str(o.fault.kind) for o in occurrences], ledger.occurrence),
            "t0_ns": ledger.t0_ns,
            "site": labels(overlay.sites, site),
            "destination": labels([d.name for d in overlay.destinations], destination),
            "class": labels(classes, number),
            "path_before": path_labels(overlay, ledger.row_before, destination),
            "path_after": path_labels(overlay, ledger.row_after, destination),
            "layer": layer,
            "moved_by": labels(["", "kernel", "engine"], ledger.moved_by),
            "detection_ns": detection,
            "switch_ns": ledger.switch_ns,
            "failover_ns": ledger.failover_ns,
            "outage_ns": outage_degraded[0],
            "degraded_ns": outage_degraded[1],
        },
        columns=list(FAILOVERS),
        copy=False,
    )


def _noticed(world: World) -> tuple[I64, "pd.Categorical[Any]"]:
    """Return when each exposure's own tunnel was taken for bad (-1: never), and how."""
    found, ledger, begins = world.measurement, world.measurement.ledger, _turns(world)
    number = {o.name: place for place, o in enumerate(found.occurrences)}
    rows = world.overlay.rows
    first: dict[int, tuple[int, int, str]] = {}
    for row, at_ns, layer, occurrence in found.records.detections:
        if occurrence is not None:
            t0_ns = begins.get((occurrence.name, row), occurrence.start_ns)
            code = number[occurrence.name] * rows + row
            first.setdefault(code, (t0_ns, at_ns - t0_ns, layer))
    codes = np.array(sorted(first), dtype=np.int64)
    told = [*(first[code] for code in codes.tolist()), (-1, -1, "")]
    t0, times = (np.array([t[i] for t in told], dtype=np.int64) for i in range(2))
    layers = sorted({layer for *_, layer in told})
    kinds = np.array([layers.index(layer) for *_, layer in told], dtype=np.int64)
    sought = ledger.occurrence.astype(np.int64) * rows + ledger.row_before
    place = np.searchsorted(codes, sought)
    known = np.append(codes, -1)[place] == sought
    # In a storm a tunnel is noticed at its own turn, not at that of another one further on.
    place[~known | (t0[place] != ledger.t0_ns)] = len(codes)
    return times[place], labels(layers, kinds[place])


def _turns(world: World) -> dict[tuple[str, int], int]:
    """Return when tunnels are hit that are hit later than the fault begins."""
    return {
        (storm.name, row): mute.from_ns
        for storm in world.measurement.occurrences
        for mute in turns(storm)
        for row in (mute.row, int(world.overlay.reverse[mute.row]))
    }


def series(world: World) -> pd.DataFrame:
    """Return the measured flows, a row a second."""
    overlay, space = world.overlay, world.engine.space
    each = world.measurement.records.seconds
    if not each:
        return pd.DataFrame(columns=list(SERIES))
    flows, count = world.load.entries, len(each)
    pair, number = np.divmod(flows, space.classes)
    site, destination = (np.tile(part, count) for part in np.divmod(pair, space.destinations))
    rows = np.concatenate([used for _, used, _ in each]).astype(np.int64)
    told = {
        name: np.concatenate([getattr(second, name) for _, _, second in each]) for name in _COUNTED
    }
    return pd.DataFrame(
        {
            "t_ns": np.repeat([t_ns for t_ns, _, _ in each], len(flows)),
            "site": texts(overlay.sites, site),
            "destination": texts([d.name for d in overlay.destinations], destination),
            "class": texts([c.name for c in world.scenario.policy.classes], np.tile(number, count)),
            "path": paths(overlay, rows, destination),
            **told,
            "lost": told["offered"] - told["delivered"],
        },
        columns=list(SERIES),
    )


def health(world: World) -> pd.DataFrame:
    """Return what the engine believed of the tunnels that faults touched."""
    overlay, records = world.overlay, []
    for t_ns, rows, states, figures in world.measurement.records.health:
        told = zip(rows.tolist(), states.tolist(), *(f.tolist() for f in figures), strict=True)
        for row, state, rtt, jitter, loss in told:
            records.append(
                (t_ns, overlay.sites[overlay.src[row]], overlay.sites[overlay.dst[row]],
                 overlay.transports[overlay.transport[row]], _STATES[state], rtt, jitter, loss)
            )  # fmt: skip
    return pd.DataFrame(records, columns=list(HEALTH))


def faults(world: World) -> pd.DataFrame:
    """Return commanded against observed."""
    records = []
    for occurrence in world.timeline.occurrences:
        seen = world.gauges.reading(occurrence)
        records.append(
            (occurrence.name, str(occurrence.fault.kind), occurrence.label, occurrence.start_ns,
             occurrence.end_ns, len(occurrence.links), len(occurrence.sites),
             kind_of(occurrence.fault).quantity, commanded(occurrence.fault),
             seen.before, seen.during, seen.after, seen.verified)
        )  # fmt: skip
    return pd.DataFrame(records, columns=list(FAULTS))


def summary(
    world: World, stop: Stop, frames: dict[str, pd.DataFrame], wall_s: float
) -> dict[str, Any]:
    """Return the measured part of ``summary.json``; verdict and expectations come later."""
    scenario, checks = world.scenario, world.checkers
    journal = world.engine.journal
    figures = summarise(
        failovers=frames["failovers"], detections=frames["detections"], series=frames["series"]
    )
    return {
        "name": scenario.name,
        "about": scenario.about,
        "backend": "sim",
        "mode": "event" if world.sleepers is None else "lazy",
        **(
            {}
            if world.sleepers is None
            else {"sleep": world.sleepers.told(stop.at_ns - world.begin_ns)}
        ),
        "seed": world.seed,
        "interrupted": stop.interrupted,
        "converged": world.converged,
        "counts": {
            "sites": len(world.overlay.sites),
            "tunnels": world.overlay.rows,
            "flows": len(world.load.entries),
            "faults": len(world.timeline.occurrences),
            "exposures": len(frames["failovers"]),
            "unavoidable": world.measurement.harm.unavoidable,
            "probes": world.prober.sent,
            "probes_lost": world.prober.lost,
            "decisions": journal.count,
        },
        **figures,
        "checks": {
            "loops": checks.loops,
            "black_holes": checks.black_holes,
            "flaps": checks.flaps,
            "sla_misses": checks.sla_misses,
            "conservation": checks.conservation,
            "bound_ns": checks.bound_ns,
            "shared_fate": checks.shared_fate(),
        },
        "recovery": _recovery(world),
        "findings": [{"at_ns": f.at_ns, "check": f.check, "text": f.text} for f in checks.findings],
        "warnings": list(world.timeline.warnings),
        "network_sha256": world.underlay.fingerprint,
        "decisions_sha256": journal.decisions_sha256,
        "journal_sha256": journal.journal_sha256,
        "simulated_s": (stop.at_ns - world.begin_ns) / SECOND,
        "wall_s": round(wall_s, 3),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": dict(_versions()),
    }


def _recovery(world: World) -> dict[str, Any]:
    """Return what is left of the faults, None where they are not over for long enough."""
    names = [c.name for c in world.scenario.policy.classes]
    bounds = world.checkers.recovery_bounds_ns.tolist()
    return {
        "hasty": world.checkers.hasty,
        "astray": world.checkers.astray,
        "stale_fates": world.checkers.stale_fates,
        "unrecovered": world.checkers.unrecovered,
        "bounds_ns": dict(zip(names, bounds, strict=True)),
    }


@cache
def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "patronus": version("patronus"), **found}


def topology(world: World) -> dict[str, Any]:
    """Return what drawings need."""
    overlay, under = world.overlay, world.underlay
    hubs = set(overlay.transit)
    failed = {under.links.names[i] for o in world.timeline.occurrences for i in o.links}
    sites = {overlay.sites[s] for o in world.timeline.occurrences for s in o.sites}
    nodes, links = [], []
    for number, provider in enumerate(under.providers):
        name = overlay.transports[number]
        spots = provider.position.tolist()
        nodes += [
            {"name": n, "x": x, "y": y, "provider": name}
            for n, (x, y) in zip(provider.nodes, spots, strict=True)
        ]
        for cable, (a, b) in enumerate(provider.ends.tolist()):
            label = under.links.names[provider.first_link + 2 * cable]
            links.append({"name": label, "provider": name, "a": spots[a], "b": spots[b]})
    return {
        "sites": [
            {"name": n, "x": x, "y": y, "hub": i in hubs}
            for i, (n, (x, y)) in enumerate(
                zip(overlay.sites, under.position.tolist(), strict=True)
            )
        ],
        "nodes": nodes,
        "links": links,
        "failed": sorted(failed),
        "failed_sites": sorted(sites),
    }
