"""A `Run` made by hand, for tests of whatever reads runs.

``make_run()`` tells one small story: three sites, two transports, two classes; at
10 s berlin's mpls access is cut for 10 s, its two tunnels notice and four
exposures move to lte within 350 ms. Any part can be replaced by rows (mappings of
column to value, the rest filled in), or by ``[]`` for an empty frame.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from patronus.engine.units import MS, SECOND
from patronus.sim.run import DECISIONS, DETECTIONS, FAILOVERS, FAULTS, HEALTH, SERIES, Run

Row = Mapping[str, Any]
Rows = Iterable[Row]

FAULT = "cut#0"
T0_NS = 10 * SECOND
END_NS = 20 * SECOND
SITES = ("berlin", "oslo", "rome")
CLASSES = ("voice", "bulk")

DEFAULTS: Mapping[str, Any] = {
    "t_ns": T0_NS, "site": "berlin", "destination": "rome", "class": "voice",
    "from": "mpls>rome", "to": "lte>rome", "reason": "liveness", "numbers": {},
    "fault": FAULT, "kind": "link-down", "t0_ns": T0_NS, "peer": "rome", "transport": "mpls",
    "layer": "liveness", "at_ns": T0_NS + 300 * MS, "detection_ns": 300 * MS,
    "path_before": "mpls>rome", "path_after": "lte>rome", "moved_by": "kernel",
    "switch_ns": 300 * MS, "failover_ns": 310 * MS, "outage_ns": 300 * MS, "degraded_ns": 320 * MS,
    "path": "mpls>rome", "offered": 100, "delivered": 100, "lost": 0, "duplicated": 0,
    "delay_ns": 20 * MS, "jitter_ns": 1 * MS, "mos_milli": 4300, "in_sla": 1,
    "state": "Up", "rtt_ns": 40 * MS, "loss_ppm": 0,
    "label": "access:berlin:mpls both", "start_ns": T0_NS, "end_ns": END_NS, "links": 2, "sites": 0,
    "quantity": "loss_ppm", "commanded": 1_000_000, "measured_before": 0,
    "measured": 1_000_000, "measured_after": 0, "verified": "yes",
}  # fmt: skip
"""What a column holds when a row does not say."""


def frame(columns: Sequence[str], rows: Rows) -> pd.DataFrame:
    """Build one of a run's frames, filling what a row leaves out."""
    rows = [dict(row) for row in rows]
    for row in rows:
        assert set(row) <= set(columns), f"no column {set(row) - set(columns)}"
    filled = [{**{c: DEFAULTS[c] for c in columns}, **row} for row in rows]
    data = {c: pd.Series([row[c] for row in filled], dtype=_dtype(c)) for c in columns}
    return pd.DataFrame(data)


def _dtype(column: str) -> str:
    return "int64" if isinstance(DEFAULTS[column], int) else "object"


def make_run(
    seed: int = 1,
    *,
    name: str = "synthetic",
    failovers: Rows | None = None,
    detections: Rows | None = None,
    series: Rows | None = None,
    decisions: Rows | None = None,
    health: Rows | None = None,
    faults: Rows | None = None,
    summary: Row | None = None,
) -> Run:
    """Build a run; whatever is not given comes from the story above."""
    moved = frame(DECISIONS, _story_decisions() if decisions is None else decisions)
    journal = tuple(_line(row) for row in moved.to_dict("records"))
    return Run(
        name=name,
        seed=seed,
        summary={**_summary(name, seed, moved, journal), **(summary or {})},
        decisions=moved,
        detections=frame(DETECTIONS, _story_detections() if detections is None else detections),
        failovers=frame(FAILOVERS, _story_failovers() if failovers is None else failovers),
        series=frame(SERIES, _story_series() if series is None else series),
        health=frame(HEALTH, _story_health() if health is None else health),
        faults=frame(FAULTS, [{}] if faults is None else faults),
        topology=_topology(),
        journal=journal,
    )


def _moves() -> Iterable[tuple[str, str]]:
    return ((peer, name) for peer in SITES[1:] for name in CLASSES)


def _story_decisions() -> Rows:
    for peer, name in _moves():
        end = {"destination": peer, "class": name}
        there, back = f"mpls>{peer}", f"lte>{peer}"
        at = T0_NS + 300 * MS
        yield {**end, "t_ns": at, "from": there, "to": back, "numbers": {"silence_ns": 301 * MS}}
    for peer, name in _moves():
        end = {"destination": peer, "class": name}
        there, back = f"mpls>{peer}", f"lte>{peer}"
        yield {**end, "t_ns": END_NS + 3 * SECOND, "from": back, "to": there, "reason": "preferred"}


def _story_detections() -> Rows:
    return ({"peer": peer} for peer in SITES[1:])


def _story_failovers() -> Rows:
    for i, (peer, name) in enumerate(_moves()):
        yield {
            "destination": peer, "class": name, "failover_ns": (310 + 10 * i) * MS,
            "path_before": f"mpls>{peer}", "path_after": f"lte>{peer}",
        }  # fmt: skip


def _story_series() -> Rows:
    for second in range(30):
        for peer, name in _moves():
            hit = second * SECOND == T0_NS
            on_lte = T0_NS < second * SECOND <= END_NS + 2 * SECOND
            yield {
                "t_ns": second * SECOND, "destination": peer, "class": name,
                "path": f"lte>{peer}" if on_lte else f"mpls>{peer}",
                "lost": 30 if hit else 0, "delivered": 70 if hit else 100,
                "delay_ns": (50 if on_lte else 20) * MS, "in_sla": 0 if hit else 1,
                "mos_milli": 1800 if hit else 4100 if on_lte else 4300,
            }  # fmt: skip


def _story_health() -> Rows:
    for second in range(30):
        down = T0_NS < second * SECOND <= END_NS
        for peer in SITES[1:]:
            row = {"t_ns": second * SECOND, "peer": peer}
            yield row | ({"state": "Down", "rtt_ns": -1, "loss_ppm": -1} if down else {})


def _line(row: Mapping[Any, Any]) -> bytes:
    return json.dumps(row, sort_keys=True, separators=(",", ":")).encode()


def _summary(
    name: str, seed: int, decisions: pd.DataFrame, journal: Sequence[bytes]
) -> dict[str, Any]:
    plain = decisions.drop(columns="numbers").to_csv(index=False).encode()
    return {
        "name": name,
        "backend": "sim",
        "mode": "event",
        "seed": seed,
        "verdict": "pass",
        "expectations": [],
        "counts": {"sites": 3, "tunnels": 12, "probes": 7200, "decisions": len(decisions)},
        "checks": {"loops": 0, "black_holes": 0, "flaps": 0, "sla_misses": 0},
        "false_alarms": 0,
        "decisions_sha256": hashlib.sha256(plain).hexdigest(),
        "journal_sha256": hashlib.sha256(b"".join(line + b"\n" for line in journal)).hexdigest(),
        "simulated_s": 30.0,
        "warmup_s": 0.0,
        "wall_s": 0.5,
        "peak_rss_mb": 100.0,
        "versions": {"patronus": "0.1.0"},
    }


def _topology() -> dict[str, Any]:
    places = {"berlin": (13.4, 52.5), "oslo": (10.7, 59.9), "rome": (12.5, 41.9)}
    return {
        "sites": [{"name": s, "x": x, "y": y, "hub": False} for s, (x, y) in places.items()],
        "nodes": [{"name": "prague", "x": 14.4, "y": 50.1, "provider": "mpls"}],
        "links": [
            {"name": f"access:{s}:{t}", "provider": t, "a": [x, y], "b": [14.4, 50.1]}
            for s, (x, y) in places.items()
            for t in ("mpls", "lte")
        ],
        "failed": ["access:berlin:mpls"],
        "failed_sites": [],
    }
