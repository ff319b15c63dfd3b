"""The figures of one run for ``summary.json``: percentiles in ms, packets by class.

JSON knows no infinity: a percentile that was never reached is null, and ``never`` says
how many of the ``n`` values were infinite. Null with ``n`` 0 means that nothing was measured.
"""

from typing import Any, Final

import numpy as np
import pandas as pd

from patronus.engine.units import MS, NEVER
from patronus.sim.carried import carried
from patronus.sim.statistics import nearest_rank

PERCENTILES: Final = {"p50": 500_000, "p95": 950_000, "p99": 990_000, "max": 1_000_000}
"""What is written of each duration, in ppm of the whole."""

DURATIONS: Final = ("detection", "switch", "failover", "outage", "degraded")


def summarise(
    *, failovers: pd.DataFrame, detections: pd.DataFrame, series: pd.DataFrame
) -> dict[str, Any]:
    """Return the measured part of a run's summary.

    Args:
        failovers: frame of exposures, columns ``run.FAILOVERS``.
        detections: frame of detections, columns ``run.DETECTIONS``.
        series: frame of flows by the second, columns ``run.SERIES``.

    Returns:
        ``detection_ms`` … ``degraded_ms`` {n, p50, p95, p99, max, never},
        ``carried`` {exposures, and the same} of those that traffic was on,
        ``classes`` {name: {offered, lost, duplicated, outage_ms}} and ``false_alarms``.
    """
    figures = _durations(failovers)
    on_traffic = carried(failovers, series)
    figures["carried"] = {"exposures": len(on_traffic), **_durations(on_traffic)}
    figures["classes"] = {
        name: _traffic(name, failovers, series)
        for name in sorted({*series["class"].unique(), *failovers["class"].unique()})
    }
    figures["false_alarms"] = int((detections["fault"] == "").sum())
    return figures


def _durations(failovers: pd.DataFrame) -> dict[str, Any]:
    return {f"{d}_ms": spread_ms(failovers[f"{d}_ns"]) for d in DURATIONS}


def spread_ms(durations_ns: "pd.Series[int]") -> dict[str, int | float | None]:
    """Return the nearest-rank percentiles of durations; negative ones were not measured."""
    ns = durations_ns.to_numpy(np.int64)
    ns = ns[ns >= 0]
    ns.sort()
    ordered = ns / MS
    ordered[ns == NEVER] = np.inf
    figures: dict[str, int | float | None] = {"n": len(ordered)}
    for name, ppm in PERCENTILES.items():
        value = nearest_rank(ordered, ppm) if len(ordered) else np.inf
        figures[name] = value if np.isfinite(value) else None
    figures["never"] = int(np.isinf(ordered).sum())
    return figures


def _traffic(name: str, failovers: pd.DataFrame, series: pd.DataFrame) -> dict[str, Any]:
    flows = series[series["class"] == name]
    packets = {c: int(flows[c].sum()) for c in ("offered", "lost", "duplicated")}
    harmed = failovers["outage_ns"][failovers["class"] == name]  # the one column, of millions
    return {**packets, "outage_ms": spread_ms(harmed)}
