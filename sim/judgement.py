"""Verdicts: what a set of runs says about each expectation.

Without ``@`` an expectation speaks of the runs that were made; with ``@ 95%`` of
the seeds that were not. Both kinds may fail, pass, or stay undecided, the first
only where nothing was measured. ``docs/expectations.md`` states the rules, and
``patronus.sim.statistics`` the mathematics.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import numpy as np

from patronus.engine.units import MS, PPM, SECOND
from patronus.sim.expectation import Expectation, Relation
from patronus.sim.metrics import (
    F64,
    Dimension,
    Sample,
    aggregate,
    is_percentile,
    observe,
    per_run,
    percentile_ppm,
)
from patronus.sim.run import Run
from patronus.sim.statistics import (
    Bounds,
    looks,
    percentile_bounds,
    seed_percentile,
    seeds_needed,
    spending,
)


class Verdict(StrEnum):
    """What came of an expectation."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


NOT_MEASURED: Final = "not measured"
"""What is shown of a figure that there is none of."""

EXIT_CODES: Final = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNDECIDED: 3}
"""What the command line returns; 2 is bad input and 4 an invalid run."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One expectation and what came of it; figures in the unit of its dimension."""

    expectation: Expectation
    verdict: Verdict
    measured: float | None
    """Infinite when it was never reached; None when nothing was measured."""
    seeds: tuple[int, ...]
    """Those in which something was measured."""
    count: int
    """Values behind the figure: exposures, seconds of flows, or runs."""
    never: int = 0
    never_names: tuple[str, ...] = ()
    """The first infinite ones by name."""
    missing: int = 0
    """Matched but not measured, so left out."""
    silent: int = 0
    """Seeds in which nothing was measured."""
    bounds: Bounds | None = None
    """One-sided bounds at the asked confidence; infinite where the seeds do not suffice."""
    needed: int | None = None
    """Seeds that would do if no further one exceeded the limit."""

    @property
    def text(self) -> str:
        """The expectation in its canonical form."""
        return str(self.expectation)

    @property
    def measured_text(self) -> str:
        """The figure with its unit."""
        return show(self.measured, self.expectation.limit.dimension)

    @property
    def limit_text(self) -> str:
        """The limit as it was written, with its relation."""
        return f"{self.expectation.relation} {self.expectation.limit}"

    @property
    def bounds_text(self) -> tuple[str, str]:
        """The lower and the upper bound with their unit; ``unknown`` where there is none."""
        dimension = self.expectation.limit.dimension
        lower, upper = self.bounds or (math.inf, math.inf)
        return _bound(lower, dimension), _bound(upper, dimension)

    @property
    def note(self) -> str:
        """Whatever a reader should know besides, as short sentences."""
        return "; ".join(_notes(self))

    def record(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds: no infinities, figures also as text."""
        bounds = self.bounds
        return {
            "text": self.text,
            "verdict": str(self.verdict),
            "measured": _finite(self.measured),
            "measured_text": self.measured_text,
            "limit": self.expectation.limit.value,
            "limit_text": self.limit_text,
            "note": self.note,
            "count": self.count,
            "never": self.never,
            "never_names": list(self.never_names),
            "missing": self.missing,
            "seeds": list(self.seeds),
            "lower": _finite(bounds.lower) if bounds else None,
            "upper": _finite(bounds.upper) if bounds else None,
            "needed": self.needed,
        }


@dataclass(frozen=True, slots=True)
class Observation:
    """What a run contributes to the verdicts: a sample for each expectation, in their order."""

    seed: int
    samples: tuple[Sample, ...]


def watch(expectations: Sequence[Expectation], run: Run) -> Observation:
    """Reduce a run to what its expectations need; cheap to send from a worker and to keep."""
    return Observation(run.seed, tuple(observe(e.query, run) for e in expectations))


def judge(
    expectations: Sequence[Expectation], runs: Iterable[Run | Observation]
) -> list[Judgement]:
    """Judge each expectation over all runs together.

    Args:
        expectations: parsed lines.
        runs: runs of one scenario under different seeds, or what ``watch`` made of them.

    Raises:
        ValueError: a seed occurs twice; it would be counted as independent evidence.
    """
    return [
        _judge(expectation, samples, _risk(expectation))
        for expectation, samples in _by_expectation(expectations, runs)
    ]


def overall(judgements: Iterable[Judgement]) -> Verdict:
    """Return fail if anything failed, else undecided if anything is, else pass."""
    verdicts = {j.verdict for j in judgements}
    return next((v for v in (Verdict.FAIL, Verdict.UNDECIDED) if v in verdicts), Verdict.PASS)


class Sequential:
    """``--repeat auto --max N``: judge a growing set of seeds without cheating.

    Looking again and again would find a lucky moment. So the looks are fixed beforehand
    (N, N/2, N/4 … seeds), and each spends that part of the risk which its new seeds
    are of N; the parts add up to 1 - confidence. What a look decides stays decided.
    Expectations without ``@`` speak of the runs made, whichever they are, and are judged
    afresh each time; only open ones with ``@`` ask for more seeds.
    """

    def __init__(self, expectations: Sequence[Expectation], maximum: int) -> None:
        self.expectations = tuple(expectations)
        self.looks = looks(maximum)
        self._shares = spending(self.looks)
        self._decided: dict[int, Judgement] = {}
        self._look = 0

    @property
    def wanted(self) -> int:
        """How many seeds to have run before the next look; 0: stop."""
        sought = {i for i, e in enumerate(self.expectations) if e.confidence is not None}
        over = self._look == len(self.looks) or (self._look > 0 and sought <= set(self._decided))
        return 0 if over else self.looks[self._look]

    def judge(self, runs: Sequence[Run | Observation]) -> list[Judgement]:
        """Take the next look.

        Raises:
            ValueError: not the wanted number of runs, or a seed twice.
        """
        if len(runs) != self.wanted or not runs:
            raise ValueError(f"the next look is at {self.wanted} seeds, not at {len(runs)}")
        share = self._shares[self._look]
        self._look += 1
        judgements = []
        for i, (expectation, samples) in enumerate(_by_expectation(self.expectations, runs)):
            judgement = self._decided.get(i)
            if judgement is None:
                judgement = _judge(expectation, samples, _risk(expectation) * share)
                if expectation.confidence is not None and judgement.verdict != Verdict.UNDECIDED:
                    self._decided[i] = judgement
            judgements.append(judgement)
        return judgements


def show(value: float | None, dimension: Dimension) -> str:
    """Return a figure with its unit, about four digits of it."""
    if value is None:
        return NOT_MEASURED
    if math.isinf(value):
        return "never" if dimension is Dimension.DURATION else "unbounded"
    match dimension:
        case Dimension.DURATION:
            return f"{value / SECOND:.4g} s" if value >= SECOND else f"{value / MS:.4g} ms"
        case Dimension.SHARE:
            return f"{value * 100:.4g} %"
        case Dimension.SCORE:
            return f"{value:.3f}"
        case Dimension.COUNT:
            return f"{value:.0f}"


def _by_expectation(
    expectations: Sequence[Expectation], runs: Iterable[Run | Observation]
) -> Iterable[tuple[Expectation, list[Sample]]]:
    seen = [r if isinstance(r, Observation) else watch(expectations, r) for r in runs]
    seeds = [o.seed for o in seen]
    if len(set(seeds)) < len(seeds):
        twice = next(s for s in seeds if seeds.count(s) > 1)
        raise ValueError(f"seed {twice} occurs twice among the runs")
    return [(e, [o.samples[i] for o in seen]) for i, e in enumerate(expectations)]


def _risk(expectation: Expectation) -> float:
    return float(1 - (expectation.confidence or Decimal(0)) / 100)


def _judge(expectation: Expectation, samples: Sequence[Sample], risk: float) -> Judgement:
    measured = [s for s in samples if len(s.top)]
    blank = Judgement(
        expectation,
        Verdict.UNDECIDED,
        None,
        seeds=tuple(s.seed for s in measured),
        count=sum(len(s.top) for s in measured),
        never=sum(s.never for s in measured),
        never_names=tuple(f"seed {s.seed}: {n}" for s in measured for n in s.never_names)[:20],
        missing=sum(s.missing for s in samples),
        silent=len(samples) - len(measured),
    )
    if not measured:
        return blank
    if expectation.confidence is None:
        return _about_these(expectation, measured, blank)
    return _about_new(expectation, measured, blank, risk)


def _about_these(
    expectation: Expectation, samples: Sequence[Sample], blank: Judgement
) -> Judgement:
    groups = [[s] for s in samples] if per_run(expectation.query) else [samples]
    value = _telling(expectation, _figures(expectation, groups))
    verdict = Verdict.PASS if expectation.holds(value) else Verdict.FAIL
    return replace(blank, verdict=verdict, measured=value)


def _figures(expectation: Expectation, groups: Iterable[Sequence[Sample]]) -> list[float]:
    return [v for g in groups if (v := aggregate(expectation.query, g)) is not None]


def _telling(expectation: Expectation, values: Sequence[float]) -> float:
    # Of figures that each must meet the limit: one that does not, else the nearest to it.
    return min(values, key=lambda v: (expectation.holds(v), _slack(expectation, v)))


def _slack(expectation: Expectation, value: float) -> float:
    limit = expectation.limit.value
    if expectation.relation.ordered:
        return limit - value if expectation.relation.wants_low else value - limit
    distance = abs(value - limit)
    return -distance if expectation.relation is Relation.EQUAL else distance


def _about_new(
    expectation: Expectation, samples: Sequence[Sample], blank: Judgement, risk: float
) -> Judgement:
    clusters, ppm = _clusters(expectation, samples)
    low = expectation.relation.wants_low or not expectation.relation.ordered
    bounds = percentile_bounds(clusters, ppm, risk)
    # Violations are 1 where a limit has no better side; none may be left at that percentile.
    meets = expectation.holds if expectation.relation.ordered else _none
    worst, best = (bounds.upper, bounds.lower) if low else (bounds.lower, bounds.upper)
    verdict = Verdict.UNDECIDED
    if meets(worst):
        verdict = Verdict.PASS
    elif not meets(best):
        verdict = Verdict.FAIL
    share = (PPM - ppm if low else ppm) / PPM
    total = sum(float(np.mean([not meets(float(v)) for v in c])) for c in clusters)
    single = all(len(c) == 1 for c in clusters)
    needed = seeds_needed(share, risk, total=total, single=single)
    return replace(
        blank,
        verdict=verdict,
        measured=_estimate(expectation, samples, clusters, ppm),
        bounds=bounds if expectation.relation.ordered else None,
        needed=needed if verdict == Verdict.UNDECIDED else None,
    )


def _none(violations: float) -> bool:
    return violations == 0


def _clusters(expectation: Expectation, samples: Sequence[Sample]) -> tuple[list[F64], int]:
    # A percentile over exposures has many values a seed. Everything else is one number a
    # seed, and the statement is that the share `confidence` of new seeds meets the limit.
    query, relation = expectation.query, expectation.relation
    if is_percentile(query.aggregate):
        return [s.values for s in samples], percentile_ppm(query.aggregate)
    numbers = _figures(expectation, [[s] for s in samples])
    part = round((expectation.confidence or Decimal(0)) * (PPM // 100))
    if not relation.ordered:
        return [np.array([float(not expectation.holds(v))]) for v in numbers], part
    return [np.array([v]) for v in numbers], part if relation.wants_low else PPM - part


def _estimate(
    expectation: Expectation, samples: Sequence[Sample], clusters: Sequence[F64], ppm: int
) -> float:
    if expectation.relation.ordered:
        return seed_percentile(clusters, ppm)
    return _telling(expectation, _figures(expectation, [[s] for s in samples]))


def _notes(judgement: Judgement) -> Iterable[str]:
    seeds, confidence = len(judgement.seeds), judgement.expectation.confidence
    if judgement.measured is None:
        yield "nothing was measured"
    else:
        each = "each of " if confidence is None and per_run(judgement.expectation.query) else ""
        values = f"{judgement.count} values of " if judgement.count > seeds else ""
        yield values + (f"{each}{seeds} seeds" if seeds > 1 else "1 seed")
    if judgement.bounds:
        lower, upper = judgement.bounds_text
        yield f"new seeds at {confidence}%: from {lower} to {upper}"
    if judgement.needed:
        yield f"{judgement.needed} seeds are needed if no further one exceeds the limit"
    elif judgement.verdict is Verdict.UNDECIDED and judgement.measured is not None:
        yield "more than a million seeds are needed"
    if judgement.never:
        yield f"{judgement.never} never reached, first {judgement.never_names[0]}"
    if judgement.missing:
        yield f"{judgement.missing} not measured and left out"
    if judgement.silent and judgement.seeds:
        yield f"nothing was measured in {judgement.silent} more"


def _bound(value: float, dimension: Dimension) -> str:
    return "unknown" if math.isinf(value) else show(value, dimension)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
