"""The report over the runs of several seeds of one scenario."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from patronus.sim.report import words
from patronus.sim.report.distribution import distribution, percentiles
from patronus.sim.report.facts import Facts
from patronus.sim.report.faults import repaired
from patronus.sim.report.markup import Child, join, tag
from patronus.sim.report.page import Section, document
from patronus.sim.report.provenance import reproduction
from patronus.sim.report.quantiles import Quantiles
from patronus.sim.report.single import MEASURES, closing_sections, verdict_section
from patronus.sim.report.tables import Column, left_out, table
from patronus.sim.report.verdicts import (
    Judged,
    banner_verdict,
    headline,
    recorded,
    reservations,
    tally,
)
from patronus.sim.run import Run

SEEDS = 50
"""Rows of the table of seeds; the slowest are shown."""

COLUMNS = (
    Column("Seed"),
    Column("Exposures", number=True),
    Column("Half back within", number=True),
    Column("99 % back within", number=True),
    Column("All back within", number=True),
    Column("Longest outage", number=True),
    Column("Packets lost", number=True),
    Column("Decisions", number=True),
)


def render_runs(
    runs: Sequence[Run], judgements: Iterable[Judged], summary: Mapping[str, Any]
) -> str:
    """Return the page over all seeds as HTML; ``summary`` is that of the whole folder.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("a report needs at least one run")
    judged, facts = tuple(judgements) or recorded(summary), [Facts(run) for run in runs]
    sections = [
        verdict_section(judged),
        _speed(facts),
        _seeds(facts),
        *closing_sections(reproduction(summary)),
    ]
    banner = _banner(facts, judged, summary)
    return document(title=runs[0].name, banner=banner, sections=sections)


def _banner(
    facts: Sequence[Facts], judged: Sequence[Judged], summary: Mapping[str, Any]
) -> list[Child]:
    switch = _pooled(facts, "switch_ns")
    seeds = words.counted(len(facts), "run")
    waited = sum(repaired(f.exposed) for f in facts)
    faults = sum(len(f.run.faults) for f in facts)
    idle = sum(f.idle for f in facts)
    rest = f" {words.count(idle)} more carried no traffic; they are not counted here."
    scope = f"{seeds} with different seeds, {words.counted(switch.count, 'exposure')} in all."
    scope += rest if idle else ""
    return [
        tag("p", "Patronus failover report, all seeds", class_="eyebrow"),
        tag("h1", facts[0].run.name),
        tag("p", str(summary["about"]), class_="about") if summary.get("about") else None,
        reservations(summary),
        tag(
            "div",
            banner_verdict(summary, judged),
            tag("p", headline(faults, switch, waited), class_="headline"),
            tag("p", f"{tally(judged)} {scope}", class_="tally"),
            class_="verdict",
        ),
    ]


def _pooled(facts: Sequence[Facts], column: str) -> Quantiles:
    return Quantiles.of(np.concatenate([f.exposed[column].to_numpy(np.int64) for f in facts]))


def _speed(facts: Sequence[Facts]) -> Section:
    columns = ("detection_ns", "switch_ns", "failover_ns")
    measures = {m: _pooled(facts, c) for m, c in zip(MEASURES, columns, strict=True)}
    about = "Share of exposures of all seeds that were detected, switched and failed over in a time"
    return Section(
        "speed",
        "Speed",
        "How fast traffic came back",
        "All exposures of all seeds together. Exposures of one seed share its luck: for a "
        "statement about new seeds read the verdicts, which count seeds.",
        join(distribution(measures, about), percentiles(measures, MEASURES)),
    )


def _seeds(facts: Sequence[Facts]) -> Section:
    ranked = sorted(facts, key=lambda f: -(f.switch.worst_ns if f.switch.count else -1))
    rest = len(ranked) - SEEDS
    return Section(
        "seeds",
        "Seeds",
        "Seed by seed",
        "The slowest first. Every seed has a folder with a report of its own.",
        join(
            table(COLUMNS, [_row(f) for f in ranked[:SEEDS]], caption="Figures of each seed"),
            left_out(rest, "quicker seeds are left out; summary.json has them."),
        ),
    )


def _row(facts: Facts) -> list[Child]:
    seed = facts.run.seed
    link = tag("a", str(seed), href=f"seed-{seed}/report.html")
    lost, offered = int(facts.packets["lost"].sum()), int(facts.packets["offered"].sum())
    decisions = words.count(len(facts.run.decisions))
    switch, outage = facts.switch, facts.outage
    if not switch.count:
        return [link, "0", "–", "–", "–", "–", words.share(lost, offered), decisions]
    levels = [words.duration(switch.at(p)) for p in (500_000, 990_000, 1_000_000)]
    longest = words.duration(outage.worst_ns) if outage.count else words.MISSING
    return [
        link,
        words.count(switch.count),
        *levels,
        longest,
        words.share(lost, offered),
        decisions,
    ]
