"""Two runs, or two sets of runs under the same seeds, side by side.

Runs of one seed share their luck, so they are compared in pairs: each figure is
computed for both runs of a seed and subtracted. Over several seeds the median of
these differences is reported with an exact interval by order statistics (the sign
test turned round); one seed tells nothing of others and gets no interval. Each
interval holds at the stated confidence by itself, not all of them together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from patronus.sim.judgement import show
from patronus.sim.metrics import CATALOGUE, Query, Sample, aggregate, observe
from patronus.sim.run import DECISIONS, Run
from patronus.sim.statistics import Bounds, median_interval

_EXPOSURE: Final = ["fault", "site", "destination", "class"]
_DURATIONS: Final = ("detection", "switch", "failover", "outage", "degraded")
_AGGREGATES: Final = ("p50", "p95", "p99", "max")


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two journals part."""

    index: int
    """Position in both journals; all before it are equal."""
    a: Mapping[str, Any] | None
    """The decision at that place; None: the journal has ended."""
    b: Mapping[str, Any] | None
    numbers_only: bool
    """The same decisions throughout, for different numbers from here on."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both; in the unit of its metric (ns, share, score)."""

    query: Query
    a: float | None
    """Over all runs of A together; None when nothing was measured."""
    b: float | None
    difference: float | None
    """B - A: the median over seeds."""
    interval: Bounds | None
    """Of that median; None with too few seeds."""
    seeds: int
    """Seeds in which both measured it."""

    @property
    def name(self) -> str:
        """As an expectation would name it."""
        scope = f"class.{self.query.traffic_class}." if self.query.traffic_class else ""
        tail = f".{self.query.aggregate}" if self.query.aggregate else ""
        return f"{scope}{self.query.metric}{tail}"

    def text(self, value: float | None) -> str:
        """Return a figure of either side with its unit."""
        return show(value, CATALOGUE[self.query.metric].dimension)

    def signed(self, value: float | None) -> str:
        """Return a difference, or a bound of it, with its sign and unit."""
        if value is None:
            return self.text(value)
        sign = "-" if value < 0 else "+" if value > 0 else ""
        return sign + ("∞" if math.isinf(value) else self.text(abs(value)))


@dataclass(frozen=True, slots=True)
class Pairing:
    """The same exposures in both: which way their failover went."""

    faster: int
    """In B than in A."""
    slower: int
    equal: int
    only_a: int
    """Exposures that only A had."""
    only_b: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``patronus compare`` prints."""

    seeds: tuple[tuple[int, int], ...]
    """The seeds of each pair; different ones only where two single runs were given."""
    divergences: Mapping[int, Divergence]
    """The first difference of each pair by A's seed; pairs with equal journals are left out."""
    changes: tuple[Change, ...]
    pairing: Pairing
    left_out: tuple[int, ...]
    """Seeds that only one side has."""

    @property
    def same_luck(self) -> bool:
        """Whether the runs of every pair have the same seed."""
        return all(a == b for a, b in self.seeds)


def compare(a: Sequence[Run], b: Sequence[Run], *, alpha: float = 0.05) -> Comparison:
    """Compare runs of the same scenario, pair by pair.

    Args:
        a: at least one run, each seed once.
        b: the same; single runs are paired whatever their seeds are.
        alpha: the risk that an interval misses the median of its differences.

    Raises:
        ValueError: no seed in common, or a seed twice on one side.
    """
    pairs, left_out = _pair(a, b)
    divergences = {x.seed: d for x, y in pairs if (d := first_difference(x, y)) is not None}
    return Comparison(
        seeds=tuple((x.seed, y.seed) for x, y in pairs),
        divergences=divergences,
        changes=tuple(_change(query, pairs, alpha) for query in _queries(pairs)),
        pairing=_pairing(pairs),
        left_out=left_out,
    )


def first_difference(a: Run, b: Run) -> Divergence | None:
    """Return where the decision journals of two runs part; None when they are equal.

    Decisions come first: different numbers count only if every decision is the same.
    """
    plain = [c for c in DECISIONS if c != "numbers"]
    for columns in (plain, ["numbers"]):
        index = _parting(a.decisions, b.decisions, columns)
        if index is not None:
            rows = _row(a.decisions, index), _row(b.decisions, index)
            return Divergence(index, *rows, numbers_only=columns != plain)
    return None


def _parting(a: pd.DataFrame, b: pd.DataFrame, columns: Sequence[str]) -> int | None:
    n = min(len(a), len(b))
    differs = np.zeros(n, dtype=np.bool_)
    for column in columns:
        left, right = a[column].iloc[:n], b[column].iloc[:n]
        pairs = zip(left, right, strict=True)
        differs |= np.array([x != y for x, y in pairs], dtype=np.bool_)
    if differs.any():
        return int(np.argmax(differs))
    return None if len(a) == len(b) else n


def _row(frame: pd.DataFrame, index: int) -> Mapping[str, Any] | None:
    if index >= len(frame):
        return None
    return {str(k): v for k, v in frame.iloc[index].items()}


def _pair(a: Sequence[Run], b: Sequence[Run]) -> tuple[list[tuple[Run, Run]], tuple[int, ...]]:
    if len(a) == len(b) == 1:
        return [(a[0], b[0])], ()
    left, right = _by_seed(a), _by_seed(b)
    common = sorted(left.keys() & right.keys())
    if not common:
        raise ValueError("the two sets of runs have no seed in common")
    return [(left[s], right[s]) for s in common], tuple(sorted(left.keys() ^ right.keys()))


def _by_seed(runs: Sequence[Run]) -> dict[int, Run]:
    seeds = {run.seed: run for run in runs}
    if len(seeds) < len(runs):
        raise ValueError("a seed occurs twice on one side of a comparison")
    return seeds


def _queries(pairs: Sequence[tuple[Run, Run]]) -> list[Query]:
    runs = [run for pair in pairs for run in pair]
    classes = sorted({str(c) for run in runs for c in run.series["class"].unique()})
    spread = [Query(d, p) for d in _DURATIONS for p in _AGGREGATES]
    return spread + [Query(m, "", c) for c in classes for m in ("loss", "mos")]


def _change(query: Query, pairs: Sequence[tuple[Run, Run]], alpha: float) -> Change:
    samples = [(observe(query, a), observe(query, b)) for a, b in pairs]
    figures = [(aggregate(query, [x]), aggregate(query, [y])) for x, y in samples]
    both = [(x, y) for x, y in figures if x is not None and y is not None]
    differences = np.array([_difference(x, y) for x, y in both])
    left: list[Sample] = [x for x, _ in samples]
    right: list[Sample] = [y for _, y in samples]
    return Change(
        query=query,
        a=aggregate(query, left),
        b=aggregate(query, right),
        difference=_median(differences),
        interval=median_interval(differences, alpha) if len(differences) else None,
        seeds=len(both),
    )


def _difference(a: float, b: float) -> float:
    # Never in both is no change; infinity minus infinity would be none of both.
    return 0.0 if a == b else b - a


def _median(values: npt.NDArray[np.float64]) -> float | None:
    # The lower of two middle ones: it occurred, and infinities of both signs have no mean.
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else None


def _numbered(failovers: pd.DataFrame) -> pd.DataFrame:
    """Return exposures told apart: a storm may harm one pair twice, by one tunnel and another."""
    frame = failovers[[*_EXPOSURE, "failover_ns"]]
    return frame.assign(turn=frame.groupby(_EXPOSURE, observed=True).cumcount())


def _pairing(pairs: Sequence[tuple[Run, Run]]) -> Pairing:
    counts = np.zeros(5, dtype=np.int64)
    for a, b in pairs:
        left, right = _numbered(a.failovers), _numbered(b.failovers)
        both = left.merge(
            right, on=[*_EXPOSURE, "turn"], how="outer", suffixes=("_a", "_b"), indicator=True
        )
        paired = both[both["_merge"] == "both"]
        before, after = paired["failover_ns_a"], paired["failover_ns_b"]
        counts += [
            (after < before).sum(), (after > before).sum(), (after == before).sum(),
            (both["_merge"] == "left_only").sum(), (both["_merge"] == "right_only").sum(),
        ]  # fmt: skip
    return Pairing(*(int(n) for n in counts))
