"""What came of a comparison, for the terminal."""

import math
from collections.abc import Iterator

from patronus.control.narration import decided
from patronus.control.tables import counted, table
from patronus.sim.comparison import Change, Comparison, Divergence
from patronus.sim.statistics import Bounds

_HEADS = ("", "A", "B", "B - A", "95 % interval", "unpaired", "narrowed", "seeds")


def contrast(comparison: Comparison) -> list[str]:
    """Return the lines that ``patronus compare`` prints below the names of both sides."""
    lines = [f"{counted(len(comparison.seeds), 'pair')} of runs", *_cautions(comparison)]
    lines += ["", *_divergences(comparison), ""]
    shown = [change for change in comparison.changes if change.seeds]
    several = any(change.narrowing is not None for change in shown)
    columns = [
        n for n in range(len(_HEADS)) if several or _HEADS[n] not in ("unpaired", "narrowed")
    ]
    rows = [_HEADS, *(_row(change) for change in shown)]
    lines += table(([row[n] for n in columns] for row in rows), right=range(1, len(columns)))
    if several:
        lines += ["", *_legend(comparison)]
    p = comparison.pairing
    exposures = f"Of {counted(p.faster + p.slower + p.equal, 'exposure')} in both"
    ways = f"faster in B for {p.faster:,}, slower for {p.slower:,}, equal for {p.equal:,}"
    lines += ["", f"{exposures}, failover was {ways}."]
    if p.only_a or p.only_b:
        lines.append(f"Only in A: {p.only_a:,}, only in B: {p.only_b:,}.")
    return lines


def _cautions(comparison: Comparison) -> Iterator[str]:
    if not comparison.same_luck:
        yield "warning: the seeds differ, so the luck does too"
    if comparison.left_out:
        seeds = ", ".join(map(str, comparison.left_out[:10]))
        left_out = counted(len(comparison.left_out), "seed")
        yield f"{left_out} left out, only on one side: {seeds}"


def _row(change: Change) -> tuple[str, ...]:
    between = _between(change, change.interval)
    texts = change.text(change.a), change.text(change.b), change.signed(change.difference)
    found = change.narrowing
    apart = "-" if found is None else _between(change, found.unpaired)
    factors = "-" if found is None else _factors(found.interval, found.variance)
    return (change.name, *texts, between, apart, factors, str(change.seeds))


def _between(change: Change, bounds: Bounds | None) -> str:
    if bounds is None:
        return "-"
    return f"{change.signed(bounds.lower)} to {change.signed(bounds.upper)}"


def _factors(interval: float | None, variance: float | None) -> str:
    """Return both factors; one that means nothing is a dash."""
    if interval is None and variance is None:
        return "-"
    return f"{_times(interval)} ({_times(variance)})"


def _times(factor: float | None) -> str:
    if factor is None:
        return "-"
    return "∞" if math.isinf(factor) else f"{factor:.3g} ×"


def _legend(comparison: Comparison) -> list[str]:
    simulated = any(c.narrowing is not None and c.narrowing.simulated for c in comparison.changes)
    source = (
        "runs of B under seeds of its own"
        if simulated
        else "the same runs, each of B with those of A under other seeds"
    )
    return [
        "unpaired: the interval without common luck, from",
        f"  {source}.",
        "narrowed: how many times wider that is (in brackets the variance of the differences,",
        "  so as many times as many seeds would be needed).",
    ]


def _divergences(comparison: Comparison) -> list[str]:
    if not comparison.divergences:
        return ["Every decision is the same, and so are its numbers."]
    equal = len(comparison.seeds) - len(comparison.divergences)
    seed, first = next(iter(comparison.divergences.items()))
    lines = [f"{equal} of {len(comparison.seeds)} pairs made the same decisions."]
    what = "The numbers first differ" if first.numbers_only else "The decisions first differ"
    return [*lines, f"{what} at no. {first.index + 1} (seed {seed}):", *_sides(first)]


def _sides(divergence: Divergence) -> list[str]:
    sides = {"A": divergence.a, "B": divergence.b}
    lines = [
        f"  {side}: {decided(row) if row is not None else 'no further decision'}"
        for side, row in sides.items()
    ]
    if divergence.numbers_only and divergence.a is not None and divergence.b is not None:
        a, b = divergence.a["numbers"], divergence.b["numbers"]
        changed = [k for k in {**a, **b} if a.get(k) != b.get(k)]
        lines += [f"  {name}: {a.get(name, '-')} and {b.get(name, '-')}" for name in changed]
    return lines
