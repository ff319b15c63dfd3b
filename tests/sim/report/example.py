"""A large, varied run made by hand, for looking at the report and for its bounds.

``example()`` tells of fifty sites on a grid of cities, three faults and two hundred
exposures, some of which never came back. ``crowd(n)`` has ``n`` sites and as many
exposures of one cut, for the bounds on size. Nothing here was simulated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.run import DECISIONS, DETECTIONS, FAILOVERS, FAULTS, HEALTH, SERIES, Run
from tests.sim.synthetic import frame

END_NS = 120 * SECOND
CITIES = (
    ("amsterdam", 4.9, 52.4), ("athens", 23.7, 38.0), ("barcelona", 2.2, 41.4),
    ("belgrade", 20.5, 44.8), ("berlin", 13.4, 52.5), ("bern", 7.4, 46.9),
    ("birmingham", -1.9, 52.5), ("bordeaux", -0.6, 44.8), ("bratislava", 17.1, 48.1),
    ("brussels", 4.4, 50.8), ("bucharest", 26.1, 44.4), ("budapest", 19.0, 47.5),
    ("cologne", 7.0, 50.9), ("copenhagen", 12.6, 55.7), ("dublin", -6.3, 53.3),
    ("edinburgh", -3.2, 55.9), ("frankfurt", 8.7, 50.1), ("geneva", 6.1, 46.2),
    ("genoa", 8.9, 44.4), ("gothenburg", 12.0, 57.7), ("hamburg", 10.0, 53.6),
    ("helsinki", 24.9, 60.2), ("krakow", 19.9, 50.1), ("leipzig", 12.4, 51.3),
    ("lille", 3.1, 50.6), ("lisbon", -9.1, 38.7), ("ljubljana", 14.5, 46.1),
    ("london", -0.1, 51.5), ("lyon", 4.8, 45.8), ("madrid", -3.7, 40.4),
    ("manchester", -2.2, 53.5), ("marseille", 5.4, 43.3), ("milan", 9.2, 45.5),
    ("munich", 11.6, 48.1), ("naples", 14.3, 40.9), ("nice", 7.3, 43.7),
    ("oslo", 10.8, 59.9), ("paris", 2.4, 48.9), ("porto", -8.6, 41.2),
    ("prague", 14.4, 50.1), ("riga", 24.1, 56.9), ("rome", 12.5, 41.9),
    ("rotterdam", 4.5, 51.9), ("sofia", 23.3, 42.7), ("stockholm", 18.1, 59.3),
    ("strasbourg", 7.8, 48.6), ("tallinn", 24.8, 59.4), ("vienna", 16.4, 48.2),
    ("warsaw", 21.0, 52.2), ("zagreb", 16.0, 45.8),
)  # fmt: skip
CLASSES = ("voice", "business", "bulk")
HUBS = {"frankfurt", "london", "paris", "milan"}


@dataclass(frozen=True)
class Verdict:
    """A judgement as the report needs it."""

    text: str
    verdict: str
    measured: float | None
    measured_text: str
    limit_text: str
    note: str = ""

    def record(self) -> dict[str, Any]:
        return dict(vars(self))


JUDGEMENTS = (
    Verdict("failover.p99 < 300ms", "fail", float("inf"), "never", "< 300 ms",
            "2 never reached, first berlin to rome, voice"),
    Verdict("failover.p50 < 300ms", "pass", 213.4e6, "213.4 ms", "< 300 ms"),
    Verdict("class.voice.loss < 0.1%", "pass", 0.00042, "0.042 %", "< 0.1 %"),
    Verdict("class.voice.mos >= 4.0", "pass", 4.21, "4.210", ">= 4.0"),
    Verdict("failover.p95 < 1s @ 95%", "undecided", 0.41e9, "410 ms", "< 1 s",
            "1 seed; 59 seeds are needed if no further one exceeds the limit"),
    Verdict("loops == 0", "pass", 0.0, "0", "== 0"),
)  # fmt: skip

FAULT_ROWS: tuple[Mapping[str, Any], ...] = (
    {"fault": "berlin-mpls-cut#0", "kind": "link-down", "label": "access:berlin:mpls both",
     "start_ns": 12 * SECOND, "end_ns": 32 * SECOND, "links": 2, "sites": 0},
    {"fault": "broadband-brownout#0", "kind": "loss", "links": 16, "sites": 0,
     "label": "access:*:broadband in, 8 sites", "start_ns": 45 * SECOND, "end_ns": 65 * SECOND,
     "commanded": 30_000, "measured_before": 1_000, "measured": 30_420, "measured_after": 980},
    {"fault": "conduit-7#0", "kind": "shared-risk-cut", "label": "group:conduit-7",
     "start_ns": 85 * SECOND, "end_ns": NEVER, "links": 12, "sites": 0,
     "measured_after": -1, "verified": "unobserved"},
)  # fmt: skip
REASONS = ("liveness", "brownout", "preferred", "sla", "withdrawn")


def example(seed: int = 7) -> Run:
    """Build the run of fifty sites."""
    draw = np.random.Generator(np.random.PCG64(seed))
    exposures = list(_exposures(draw))
    return _run(seed, exposures, list(_decisions(draw, exposures)), list(_health(draw)), _map())


def crowd(sites: int, exposures: int, tunnels: int) -> Run:
    """Build a run of many sites, of which one cut exposes many pairs."""
    draw = np.random.Generator(np.random.PCG64(1))
    names = [f"branch-{i:04}" for i in range(sites)]
    hit = [
        {
            "fault": FAULT_ROWS[0]["fault"], "site": names[i % sites],
            "destination": names[(7 * i + 1) % sites], "class": CLASSES[i % 3],
            "switch_ns": int(draw.integers(180, 320)) * MS,
            "failover_ns": int(draw.integers(320, 900)) * MS,
        }
        for i in range(exposures)
    ]  # fmt: skip
    health = [
        {"t_ns": t * SECOND, "site": names[i % sites], "peer": names[(i + 1) % sites],
         "rtt_ns": int(draw.integers(20, 60)) * MS}
        for t in range(60)
        for i in range(tunnels)
    ]  # fmt: skip
    spots = draw.normal(0, 9, (sites, 2)) + np.array([10, 48])
    plan = _map()
    plan["sites"] = [
        {"name": n, "x": float(x), "y": float(y), "hub": i < 4}
        for i, (n, (x, y)) in enumerate(zip(names, spots, strict=True))
    ]
    decisions = [{"t_ns": row["switch_ns"] + 12 * SECOND, "site": row["site"]} for row in hit]
    return _run(1, hit, decisions, health, plan)


def _exposures(draw: np.random.Generator) -> Iterator[dict[str, Any]]:
    names = [c[0] for c in CITIES]
    for i in range(200):
        fault = FAULT_ROWS[i % 3]
        site = "berlin" if i % 3 == 0 else names[int(draw.integers(50))]
        slow = int(draw.gamma(4, 40)) * MS
        switch = (150 * MS + slow) if i % 3 != 1 else 900 * MS + 4 * slow
        never = i in (33, 99)
        yield {
            "fault": fault["fault"], "kind": fault["kind"], "t0_ns": fault["start_ns"],
            "site": site, "destination": names[(i * 7 + 3) % 50], "class": CLASSES[i % 3 - i // 90],
            "layer": "brownout" if i % 3 == 1 else "liveness",
            "moved_by": "" if never else "engine" if i % 3 == 1 else "kernel",
            "detection_ns": switch - 5 * MS, "switch_ns": NEVER if never else switch,
            "failover_ns": NEVER if never else switch + int(draw.integers(5, 60)) * MS,
            "outage_ns": 20 * SECOND if never else 0 if i % 3 == 1 else switch,
            "degraded_ns": 20 * SECOND if never else switch + 400 * MS,
            "path_before": f"mpls>{names[(i * 7 + 3) % 50]}",
            "path_after": "" if never else f"broadband>frankfurt>{names[(i * 7 + 3) % 50]}",
        }  # fmt: skip


def _decisions(
    draw: np.random.Generator, exposures: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    for row in exposures:
        reason = "brownout" if row["layer"] == "brownout" else "liveness"
        yield {"t_ns": row["t0_ns"] + row["detection_ns"], "site": row["site"], "reason": reason}
        back = row["t0_ns"] + int(draw.integers(22, 30)) * SECOND
        yield {"t_ns": back, "site": row["site"], "reason": "preferred"}
    for t in range(0, 120, 9):
        yield {"t_ns": t * SECOND, "reason": REASONS[3 + t % 2]}


def _health(draw: np.random.Generator) -> Iterator[dict[str, Any]]:
    hit = [("berlin", peer, "mpls", 0) for peer in ("rome", "paris", "oslo", "lyon")]
    hit += [("berlin", f"site-{i}", "mpls", 0) for i in range(6)]
    hit += [(c, "paris", "broadband", 1) for c in ("oslo", "madrid", "porto")]
    hit += [("milan", "munich", "mpls", 2), ("munich", "milan", "mpls", 2)]
    for second in range(120):
        for i, (site, peer, transport, fault) in enumerate(hit):
            row = FAULT_ROWS[fault]
            inside = row["start_ns"] < second * SECOND <= row["end_ns"]
            dead = inside and fault != 1
            noise, loss = int(draw.integers(0, 3_000)), int(draw.integers(0, 1_500))
            yield {
                "t_ns": second * SECOND, "site": site, "peer": peer, "transport": transport,
                "state": "Down" if dead else "Up",
                "rtt_ns": -1 if dead else (24 + 5 * i) * MS + noise * 1000,
                "loss_ppm": -1 if dead else 30_000 + loss * 4 if inside else loss,
            }  # fmt: skip


def _series() -> Iterator[dict[str, Any]]:
    for second in range(120):
        for i, name in enumerate(CLASSES):
            hurt = {12: 30, 45: 6, 46: 5, 85: 22}.get(second, 0) * (3 - i) // 3
            yield {
                "t_ns": second * SECOND, "class": name, "offered": 400,
                "lost": 4 * hurt, "delivered": 400 - 4 * hurt,
            }  # fmt: skip


def _carried(exposures: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    pairs = {(row.get("site"), row.get("destination"), row.get("class")) for row in exposures}
    for site, destination, name in pairs:
        known = {"site": site, "destination": destination, "class": name}
        packet = {"t_ns": 0, "offered": 1, "delivered": 1, "lost": 0}
        yield packet | {key: value for key, value in known.items() if value}


def _map() -> dict[str, Any]:
    places = {name: [x, y] for name, x, y in CITIES}
    links = []
    for provider, near in (("mpls", 2), ("broadband", 3)):
        for name, (x, y) in places.items():
            squares = {o: (a - x) ** 2 * 0.4 + (b - y) ** 2 for o, (a, b) in places.items()}
            links += [
                {"name": f"{provider}:{name}-{o}", "provider": provider, "a": [x, y], "b": at}
                for o, at in sorted(places.items(), key=lambda p: squares[p[0]])[1 : near + 1]
            ]
    return {
        "sites": [{"name": n, "x": x, "y": y, "hub": n in HUBS} for n, (x, y) in places.items()],
        "nodes": [],
        "links": links,
        "failed": ["access:berlin:mpls", "mpls:genoa-milan", "mpls:munich-strasbourg",
                   "broadband:munich-strasbourg", "mpls:ljubljana-zagreb"],
        "failed_sites": [],
    }  # fmt: skip


def _run(
    seed: int,
    exposures: list[dict[str, Any]],
    decisions: list[dict[str, Any]],
    health: list[dict[str, Any]],
    topology: dict[str, Any],
) -> Run:
    detections = [
        {"fault": FAULT_ROWS[0]["fault"], "site": row["site"], "peer": row["peer"]}
        for row in health[:4]
    ]
    return Run(
        name="dual-isp-blackout",
        seed=seed,
        summary=_summary(seed, topology, decisions),
        decisions=frame(DECISIONS, sorted(decisions, key=lambda d: d["t_ns"])),
        detections=frame(DETECTIONS, detections),
        failovers=frame(FAILOVERS, exposures),
        series=frame(SERIES, [*_series(), *_carried(exposures)]),
        health=frame(HEALTH, health),
        faults=frame(FAULTS, FAULT_ROWS),
        topology=topology,
        journal=(b'{"t_ns":1}', b'{"t_ns":2}'),
    )


def _summary(
    seed: int, topology: Mapping[str, Any], decisions: list[dict[str, Any]]
) -> dict[str, Any]:
    sites = len(topology["sites"])
    return {
        "name": "dual-isp-blackout", "seed": seed, "backend": "sim", "mode": "event",
        "about": "Cut one access link, let broadband lose packets, then cut a shared conduit.",
        "path": "scenarios/dual-isp-blackout.patronus.yml", "verdict": "fail",
        "counts": {"sites": sites, "tunnels": 2 * sites * (sites - 1), "probes": 5_880_000,
                   "decisions": len(decisions)},
        "checks": {"loops": 0, "black_holes": 0, "flaps": 3, "sla_misses": 0},
        "false_alarms": 1,
        "warnings": ["conduit-7 is not undone before the end"],
        "decisions_sha256": "5f" * 32, "journal_sha256": "c4" * 32,
        "simulated_s": 120.0, "wall_s": 2.41, "peak_rss_mb": 212.0,
        "versions": {"patronus": "0.1.0", "numpy": "2.4.6", "python": "3.11.7", "simpy": "4.1.1"},
    }  # fmt: skip
