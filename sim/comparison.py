"""Two runs, or two sets of runs under the same seeds, side by side.

Runs of one seed share their luck, so they are compared in pairs: each figure is
computed for both runs of a seed and subtracted. Over several seeds the median of
these differences is reported with an exact interval by order statistics (the sign
test turned round); one seed tells nothing of others and gets no interval. Each
interval holds at the stated confidence by itself, not all of them together. What the
common luck is worth stands beside it (:mod:`narrowing`).

A pair is reduced to its figures as it comes: a thousand runs need not be held.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from patronus.sim.judgement import show
from patronus.sim.metrics import CATALOGUE, Query, Sample, aggregate, observe
from patronus.sim.narrowing import Narrowing, differences, narrowing
from patronus.sim.run import DECISIONS, Run
from patronus.sim.statistics import Bounds, median_interval

_EXPOSURE: Final = ["fault", "site", "destination", "class"]
_DURATIONS: Final = ("detection", "switch", "failover", "outage", "degraded")
_AGGREGATES: Final = ("p50", "p95", "p99", "max")
_OF_CLASSES: Final = ("loss", "mos")


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
    narrowing: Narrowing | None
    """What pairing was worth; None with a single seed."""

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


class Pairs:
    """Pairs of runs, taken one after the other."""

    def __init__(self) -> None:
        self.seeds: list[tuple[int, int]] = []
        self._divergences: dict[int, Divergence] = {}
        self._figures: list[tuple[_Figures, _Figures]] = []
        self._alone: list[_Figures] = []
        self._counts: npt.NDArray[np.int64] = np.zeros(5, dtype=np.int64)

    def add(self, a: Run, b: Run) -> None:
        """Take the runs of one pair."""
        self.seeds.append((a.seed, b.seed))
        self._figures.append((_figures(a), _figures(b)))
        self._counts += _paired(a, b)
        divergence = first_difference(a, b)
        if divergence is not None:
            self._divergences[a.seed] = divergence

    def add_alone(self, b: Run) -> None:
        """Take a run of B under a seed of its own, for what common luck is worth."""
        self._alone.append(_figures(b))

    def comparison(self, *, alpha: float = 0.05, left_out: Iterable[int] = ()) -> Comparison:
        """Return what the pairs so far come to.

        Args:
            alpha: the risk that an interval misses the median of its differences.
            left_out: seeds that only one side has.
        """
        return Comparison(
            seeds=tuple(self.seeds),
            divergences=self._divergences,
            changes=tuple(self._change(query, alpha) for query in self._queries()),
            pairing=Pairing(*(int(n) for n in self._counts)),
            left_out=tuple(left_out),
        )

    def _queries(self) -> list[Query]:
        spread = [Query(d, p) for d in _DURATIONS for p in _AGGREGATES]
        names = {key.traffic_class for pair in self._figures for side in pair for key in side}
        classes = sorted(names - {""})
        return spread + [Query(m, "", c) for c in classes for m in _OF_CLASSES]

    def _change(self, query: Query, alpha: float) -> Change:
        samples = [tuple(side.get(_rows(query)) for side in pair) for pair in self._figures]
        left, right = ([x for x in side if x is not None] for side in zip(*samples, strict=True))
        single = [tuple(_single(query, x) for x in pair) for pair in samples]
        both = np.array([p for p in single if None not in p], dtype=np.float64).reshape(-1, 2)
        apart = differences(both[:, 0], both[:, 1])
        alone = [_single(query, figures.get(_rows(query))) for figures in self._alone]
        others = np.array([x for x in alone if x is not None], dtype=np.float64)
        worth = narrowing(both[:, 0], both[:, 1], alpha, alone=others if alone else None)
        return Change(
            query=query,
            a=aggregate(query, left),
            b=aggregate(query, right),
            difference=_median(apart),
            interval=median_interval(apart, alpha) if len(apart) else None,
            seeds=len(both),
            narrowing=worth if len(both) > 1 else None,
        )


class _Rows(NamedTuple):
    """Which rows of a run a figure needs; those of its percentiles are the same."""

    metric: str
    traffic_class: str


_Figures = dict[_Rows, Sample]


def _rows(query: Query) -> _Rows:
    return _Rows(query.metric, query.traffic_class)


def _figures(run: Run) -> _Figures:
    """Return what all figures of a run are made of; much less than the run itself."""
    spread = [Query(d, "max") for d in _DURATIONS]
    classes = (str(c) for c in run.series["class"].unique())
    queries = spread + [Query(m, "", c) for c in classes for m in _OF_CLASSES]
    return {_rows(query): observe(query, run) for query in queries}


def _single(query: Query, sample: Sample | None) -> float | None:
    return None if sample is None else aggregate(query, [sample])


def compare(a: Sequence[Run], b: Sequence[Run], *, alpha: float = 0.05) -> Comparison:
    """Compare runs of the same scenario, pair by pair.

    Args:
        a: at least one run, each seed once.
        b: the same; single runs are paired whatever their seeds are.
        alpha: the risk that an interval misses the median of its differences.

    Raises:
        ValueError: no seed in common, or a seed twice on one side.
    """
    both, left_out = _pair(a, b)
    pairs = Pairs()
    for x, y in both:
        pairs.add(x, y)
    return pairs.comparison(alpha=alpha, left_out=left_out)


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


def _median(values: npt.NDArray[np.float64]) -> float | None:
    # The lower of two middle ones: it occurred, and infinities of both signs have no mean.
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else None


def _numbered(failovers: pd.DataFrame) -> pd.DataFrame:
    """Return exposures told apart: a storm may harm one pair twice, by one tunnel and another."""
    frame = failovers[[*_EXPOSURE, "failover_ns"]]
    return frame.assign(turn=frame.groupby(_EXPOSURE, observed=True).cumcount())


def _paired(a: Run, b: Run) -> tuple[int, ...]:
    """Return the numbers of :class:`Pairing` for one pair."""
    left, right = _numbered(a.failovers), _numbered(b.failovers)
    both = left.merge(
        right, on=[*_EXPOSURE, "turn"], how="outer", suffixes=("_a", "_b"), indicator=True
    )
    paired = both[both["_merge"] == "both"]
    before, after = paired["failover_ns_a"], paired["failover_ns_b"]
    return (
        int((after < before).sum()), int((after > before).sum()), int((after == before).sum()),
        int((both["_merge"] == "left_only").sum()), int((both["_merge"] == "right_only").sum()),
    )  # fmt: skip
