"""What can be measured of a run: one table of metrics, and the samples behind each.

A metric turns a run into rows; an aggregate turns rows into one number. Rows are
kept as fractions ``top / bottom`` so that a ratio over many rows or many runs is the
ratio of the sums (lost packets over offered packets), never a mean of ratios.

What was expected and never came is infinite, and named; what was not measured is
left out and counted. ``docs/metrics.md`` defines every metric.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from patronus.engine.units import NEVER, PPM, SECOND
from patronus.sim.statistics import nearest_rank

if TYPE_CHECKING:  # a parser of expectations has no use for pandas
    import pandas as pd

    from patronus.sim.run import Run

F64 = npt.NDArray[np.float64]

NAMED: Final = 20
"""Whoever reads a verdict wants examples; the tables hold the rest."""


class Dimension(StrEnum):
    """What kind of number a metric is; in brackets the unit of its values."""

    DURATION = "duration"
    """[ns]"""
    SHARE = "share"
    """[1]"""
    SCORE = "score"
    """[mean opinion score, 1 to 5]"""
    COUNT = "count"
    """[1]"""


@dataclass(frozen=True, slots=True)
class Query:
    """Which number is meant: a metric, its aggregate, and where to look."""

    metric: str
    aggregate: str = ""
    """``p99``, ``max`` …; empty where the metric is one number by itself."""
    traffic_class: str = ""
    """The class of ``class.NAME.…``; empty: all."""
    select: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(key, patterns) pairs; a row must match one pattern of each key."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """The rows of one query in one run."""

    seed: int
    top: F64
    bottom: F64
    never: int = 0
    """How many rows are infinite."""
    never_names: tuple[str, ...] = ()
    """The first ``NAMED`` of them; the run's tables hold all."""
    missing: int = 0
    """Rows that matched but were not measured."""

    @property
    def values(self) -> F64:
        """The rows as numbers, in the unit of the metric's dimension."""
        return self.top / self.bottom


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue."""

    name: str
    dimension: Dimension
    meaning: str
    rows: Callable[["Run", Query], "Rows"]
    aggregates: tuple[str, ...]
    """What may follow the name; ``p`` stands for p0 to p100."""
    plain: bool = False
    """Whether the name alone is a number."""
    scoped: tuple[bool, ...] = (False,)
    """Whether it may stand alone (False) and behind ``class.NAME.`` (True)."""
    keys: tuple[str, ...] = ()
    """What a selection may narrow it by."""
    low_is_bad: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """What a metric reads off a run before anything is aggregated."""

    top: F64
    bottom: F64
    missing: int = 0
    frame: "pd.DataFrame | None" = None
    """The run's own rows, where there is one for each of ours."""


def observe(query: Query, run: "Run") -> Sample:
    """Return the rows that a query needs of one run; much less than the run itself."""
    metric = CATALOGUE[query.metric]
    rows = metric.rows(run, query)
    never = np.flatnonzero(np.isinf(rows.top))
    names = () if rows.frame is None else _names(rows.frame.iloc[never[:NAMED]])
    top, bottom = _reduced(metric, query.aggregate, rows)
    return Sample(run.seed, top, bottom, len(never), names, rows.missing)


def aggregate(query: Query, samples: Sequence[Sample]) -> float | None:
    """Return one number for all samples together; None when nothing was measured."""
    top = np.concatenate([s.top for s in samples]) if samples else np.empty(0)
    if not len(top):
        return None
    bottom = np.concatenate([s.bottom for s in samples])
    values = top / bottom
    match query.aggregate:
        case "":
            return float(top.sum() / bottom.sum())
        case "count":
            return float(top.sum())
        case "mean":
            return float(values.mean())
        case "max":
            return float(values.max())
        case "min":
            return float(values.min())
        case "worst_pair":
            low = CATALOGUE[query.metric].low_is_bad
            return float(values.min() if low else values.max())
        case percentile:
            return nearest_rank(np.sort(values), percentile_ppm(percentile))


def percentile_ppm(name: str) -> int:
    """Return 990000 for ``p99``, 999500 for ``p99.95``."""
    whole, _, part = name[1:].partition(".")
    return int(whole) * 10_000 + int(part.ljust(4, "0"))


def is_percentile(name: str) -> bool:
    """Tell whether an aggregate is a percentile strictly between the extremes."""
    return name.startswith("p") and 0 < percentile_ppm(name) < PPM


def per_run(query: Query) -> bool:
    """Tell whether each run stands for itself: counts are not added up over repetitions."""
    counted = CATALOGUE[query.metric].dimension is Dimension.COUNT
    return counted or query.aggregate == "count"


def _reduced(metric: Metric, name: str, rows: Rows) -> tuple[F64, F64]:
    # A run can have a million rows; keep only what the aggregate will ask for.
    one = np.ones(1)
    if name == "count":
        return np.array([float(len(rows.top))]), one
    if name == "worst_pair" and rows.frame is not None:
        table = rows.frame[["site", "destination"]].assign(top=rows.top, bottom=rows.bottom)
        sums = table.groupby(["site", "destination"], observed=True)[["top", "bottom"]].sum()
        return sums["top"].to_numpy(np.float64), sums["bottom"].to_numpy(np.float64)
    if name == "" and metric.dimension is not Dimension.COUNT and len(rows.top):
        return np.array([rows.top.sum()]), np.array([rows.bottom.sum()])
    return rows.top, rows.bottom


def _names(frame: "pd.DataFrame") -> tuple[str, ...]:
    when = frame["fault"] if "fault" in frame else (frame["t_ns"] // SECOND).map("{} s".format)
    columns = (when, frame["site"], frame["destination"], frame["class"])
    return tuple(f"{w} {s}>{d} {c}" for w, s, d, c in zip(*columns, strict=True))


def _selected(frame: "pd.DataFrame", query: Query) -> "pd.DataFrame":
    wanted = dict(query.select)
    if query.traffic_class:
        frame = frame[frame["class"] == query.traffic_class]
    for key, patterns in wanted.items():
        names = [n for n in frame[key].unique() if matches(key, str(n), patterns)]
        frame = frame[frame[key].isin(names)]
    return frame


def matches(key: str, name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a name is meant; a fault's name also means each of its occurrences."""
    names = {name, name.rpartition("#")[0]} if key == "fault" and "#" in name else {name}
    return any(n == p or fnmatchcase(n, p) for n in names for p in patterns)


def _exposures(column: str) -> Callable[["Run", Query], Rows]:
    def rows(run: "Run", query: Query) -> Rows:
        frame = _selected(run.failovers, query)
        known = frame[frame[column] >= 0]
        ns = known[column].to_numpy(np.int64)
        top = np.where(ns == NEVER, np.inf, ns.astype(np.float64))
        return Rows(top, np.ones(len(top)), len(frame) - len(known), known)

    return rows


def _flow_seconds(
    top: str, bottom: str, *, weight: int = 1, known: str = ""
) -> Callable[["Run", Query], Rows]:
    def rows(run: "Run", query: Query) -> Rows:
        offered = _selected(run.series, query)
        offered = offered[offered["offered"] > 0]
        frame = offered[offered[known] >= 0] if known else offered
        below = frame[bottom].to_numpy(np.float64) if bottom else np.ones(len(frame))
        above = frame[top].to_numpy(np.float64)
        above = above * below if weight > 1 else above
        return Rows(above, below * weight, len(offered) - len(frame), frame)

    return rows


def _delays(column: str) -> Callable[["Run", Query], Rows]:
    def rows(run: "Run", query: Query) -> Rows:
        frame = _selected(run.series, query)
        frame = frame[frame["offered"] > 0]
        # A packet that did not arrive has an infinite delay (RFC 7679, section 3.4 and 5.1),
        # hence so has a second in which none did.
        lost = frame["delivered"] == 0
        kept = frame[lost | (frame[column] >= 0)]
        ns = kept[column].to_numpy(np.float64)
        top = np.where((kept["delivered"] == 0).to_numpy(bool), np.inf, ns)
        return Rows(top, np.ones(len(top)), len(frame) - len(kept), kept)

    return rows


def _check(name: str, part: str = "checks") -> Callable[["Run", Query], Rows]:
    def rows(run: "Run", query: Query) -> Rows:
        number = run.summary.get(part, {}).get(name)
        return Rows(np.empty(0), np.empty(0), missing=1) if number is None else _one(number)

    return rows


def _decisions(run: "Run", query: Query) -> Rows:
    return _one(len(_selected(run.decisions, query)))


def _duplicates(run: "Run", query: Query) -> Rows:
    return _one(int(_selected(run.series, query)["duplicated"].sum()))


def _false_alarms(run: "Run", query: Query) -> Rows:
    return _one(int((_selected(run.detections, query)["fault"] == "").sum()))


def _one(number: int) -> Rows:
    return Rows(np.array([float(number)]), np.ones(1))


_SPREAD: Final = ("p", "max", "min", "mean", "count")
_BOTH: Final = (False, True)
_FLOW: Final = ("site", "destination")
_EXPOSURE: Final = ("site", "destination", "class", "fault", "kind")

_ALL: Final = (
    Metric(
        "detection", Dimension.DURATION, "fault to the first alarm of the sending site",
        _exposures("detection_ns"), _SPREAD, scoped=_BOTH, keys=_EXPOSURE,
    ),
    Metric(
        "switch", Dimension.DURATION, "fault to forwarding on a path that works",
        _exposures("switch_ns"), _SPREAD, scoped=_BOTH, keys=_EXPOSURE,
    ),
    Metric(
        "failover", Dimension.DURATION, "fault to the acknowledged choice of a path that works",
        _exposures("failover_ns"), _SPREAD, scoped=_BOTH, keys=_EXPOSURE,
    ),
    Metric(
        "outage", Dimension.DURATION, "time with less than half of the traffic delivered",
        _exposures("outage_ns"), _SPREAD, scoped=_BOTH, keys=_EXPOSURE,
    ),
    Metric(
        "degraded", Dimension.DURATION, "time outside the SLA of the class",
        _exposures("degraded_ns"), _SPREAD, scoped=_BOTH, keys=_EXPOSURE,
    ),
    Metric(
        "loss", Dimension.SHARE, "lost packets over offered packets",
        _flow_seconds("lost", "offered"), (*_SPREAD[:-1], "worst_pair"), plain=True,
        scoped=(True,), keys=_FLOW,
    ),
    Metric(
        "mos", Dimension.SCORE, "mean opinion score, weighted by offered packets",
        _flow_seconds("mos_milli", "offered", weight=1000, known="mos_milli"),
        (*_SPREAD[:-1], "worst_pair"), plain=True, scoped=(True,), keys=_FLOW, low_is_bad=True,
    ),
    Metric(
        "in_sla", Dimension.SHARE, "seconds of a flow inside the SLA over all its seconds",
        _flow_seconds("in_sla", "", known="in_sla"), ("worst_pair",), plain=True,
        scoped=(True,), keys=_FLOW, low_is_bad=True,
    ),
    Metric(
        "delay", Dimension.DURATION, "mean one-way delay of a second of a flow",
        _delays("delay_ns"), _SPREAD[:-1], scoped=(True,), keys=_FLOW,
    ),
    Metric(
        "jitter", Dimension.DURATION, "jitter of a second of a flow",
        _delays("jitter_ns"), _SPREAD[:-1], scoped=(True,), keys=_FLOW,
    ),
    Metric(
        "flaps", Dimension.COUNT, "returns to a path that was left shortly before",
        _check("flaps"), (), plain=True,
    ),
    Metric(
        "loops", Dimension.COUNT, "forwarding loops seen by the checker",
        _check("loops"), (), plain=True,
    ),
    Metric(
        "black_holes", Dimension.COUNT, "black holes left once converged",
        _check("black_holes"), (), plain=True,
    ),
    Metric(
        "sla_misses", Dimension.COUNT, "SLA violated while a compliant path existed",
        _check("sla_misses"), (), plain=True,
    ),
    Metric(
        "conservation", Dimension.COUNT, "packets or bits that do not add up with their fates",
        _check("conservation"), (), plain=True,
    ),
    Metric(
        "hasty", Dimension.COUNT, "moves onto tunnels that had not proven themselves",
        _check("hasty", "recovery"), (), plain=True,
    ),
    Metric(
        "astray", Dimension.COUNT, "ways through sites that were not heard for too long",
        _check("astray", "recovery"), (), plain=True,
    ),
    Metric(
        "stale_fates", Dimension.COUNT, "backups called disjoint, or not, by routes of before",
        _check("stale_fates", "recovery"), (), plain=True,
    ),
    Metric(
        "unrecovered", Dimension.COUNT, "what is left of the faults long after the last one",
        _check("unrecovered", "recovery"), (), plain=True,
    ),
    Metric(
        "false_alarms", Dimension.COUNT, "detections with no fault behind them",
        _false_alarms, (), plain=True, keys=("site", "peer", "transport"),
    ),
    Metric(
        "decisions", Dimension.COUNT, "lines of the decision journal",
        _decisions, (), plain=True, keys=("site", "destination", "class", "reason"),
    ),
    Metric(
        "duplicates", Dimension.COUNT, "packets that arrived more than once",
        _duplicates, (), plain=True, keys=("site", "destination", "class"),
    ),
)  # fmt: skip

CATALOGUE: Final[Mapping[str, Metric]] = {m.name: m for m in _ALL}
"""Every metric by name, in the order of the documentation."""
