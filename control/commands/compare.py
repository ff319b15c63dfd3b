"""``patronus compare``: two runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from patronus.sim.comparison import Change, Comparison, Divergence


@click.command()
@click.argument("a", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("b", metavar="RUN_B", type=click.Path(path_type=Path))
def command(a: Path, b: Path) -> int:
    """Show where two runs, or two sets of runs, part, and by how much.

    Runs of one seed are compared in pairs. Differences are B - A; over several seeds
    their median comes with an interval that holds it with 95 % confidence.
    """
    from patronus.control.endings import Failure
    from patronus.control.progress import Progress
    from patronus.sim.comparison import compare
    from patronus.sim.folder import load_runs

    with Progress("reading") as progress:
        left, right = load_runs(a), load_runs(b)
        progress.at("comparing", 0.5)
        try:
            comparison = compare(left, right)
        except ValueError as error:
            raise Failure(str(error)) from error
    click.echo("\n".join(_lines(comparison, a, b)))
    return 0


def _lines(comparison: "Comparison", a: Path, b: Path) -> list[str]:
    from patronus.control.tables import counted, table

    pairs = len(comparison.seeds)
    lines = [f"A: {a}", f"B: {b}", f"{counted(pairs, 'pair')} of runs"]
    if not comparison.same_luck:
        lines.append("warning: the seeds differ, so the luck does too")
    if comparison.left_out:
        seeds = ", ".join(map(str, comparison.left_out[:10]))
        lines.append(
            f"{counted(len(comparison.left_out), 'seed')} left out, only on one side: {seeds}"
        )
    lines += ["", *_divergences(comparison), ""]
    rows: list[tuple[str, ...]] = [("", "A", "B", "B - A", "95 % interval", "seeds")]
    rows += [_row(change) for change in comparison.changes if change.seeds]
    lines += table(rows, right=range(1, 6))
    p = comparison.pairing
    exposures = f"Of {counted(p.faster + p.slower + p.equal, 'exposure')} in both"
    ways = f"faster in B for {p.faster:,}, slower for {p.slower:,}, equal for {p.equal:,}"
    lines += ["", f"{exposures}, failover was {ways}."]
    if p.only_a or p.only_b:
        lines.append(f"Only in A: {p.only_a:,}, only in B: {p.only_b:,}.")
    return lines


def _row(change: "Change") -> tuple[str, ...]:
    between = "-"
    if change.interval is not None:
        low, high = change.interval
        between = f"{change.signed(low)} to {change.signed(high)}"
    texts = change.text(change.a), change.text(change.b), change.signed(change.difference)
    return (change.name, *texts, between, str(change.seeds))


def _divergences(comparison: "Comparison") -> list[str]:
    if not comparison.divergences:
        return ["Every decision is the same, and so are its numbers."]
    equal = len(comparison.seeds) - len(comparison.divergences)
    seed, first = next(iter(comparison.divergences.items()))
    lines = [f"{equal} of {len(comparison.seeds)} pairs made the same decisions."]
    what = "The numbers first differ" if first.numbers_only else "The decisions first differ"
    return [*lines, f"{what} at no. {first.index + 1} (seed {seed}):", *_sides(first)]


def _sides(divergence: "Divergence") -> list[str]:
    from patronus.control.narration import decided

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
