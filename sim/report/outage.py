"""What users felt: outage and loss of each traffic class."""

from collections.abc import Iterable

import pandas as pd

from patronus.engine.units import NEVER
from patronus.sim.report import words
from patronus.sim.report.facts import Facts
from patronus.sim.report.markup import Child, Markup, join, percent, tag
from patronus.sim.report.quantiles import Quantiles
from patronus.sim.report.scale import Scale, fitting
from patronus.sim.report.svg import box, drawing, upright
from patronus.sim.report.tables import Column, left_out, table

CLASS_ROWS = 20
HEIGHT = 26

COLUMNS = (
    Column("Class"),
    Column("How long the outages were"),
    Column("Half within", number=True),
    Column("Worst", number=True),
    Column("Longest outside its SLA", number=True),
    Column("Packets lost", number=True),
)


def outage_by_class(facts: Facts) -> Markup:
    """Return one row a class."""
    costs = facts.exposed[["class", "outage_ns", "degraded_ns"]]
    groups = dict(iter(costs.groupby("class", sort=False, observed=True)))
    nothing = costs.iloc[:0]
    samples = {c: Quantiles.of(groups.get(c, nothing)["outage_ns"]) for c in facts.classes}
    scale = _scale(samples.values())
    rows = [
        _row(name, groups.get(name, nothing), samples[name], scale, *facts.lost(name))
        for name in facts.classes[:CLASS_ROWS]
    ]
    return join(
        table(COLUMNS, rows, caption="Outage and loss of each traffic class", class_="classes"),
        left_out(len(facts.classes) - CLASS_ROWS, "more classes are in failovers.parquet."),
        _legend(scale) if any(q.count for q in samples.values()) else None,
    )


def _row(
    name: str, exposures: pd.DataFrame, outage: Quantiles, scale: Scale, lost: int, offered: int
) -> list[Child]:
    loss = tag(
        "span",
        words.share(lost, offered),
        tag("span", f"{words.count(lost)} of {words.count(offered)}", class_="small"),
    )
    if not outage.count:
        bar = tag("span", "no path was broken", class_="small")
        return [name, bar, "–", "–", "–", loss if offered else words.MISSING]
    degraded = Quantiles.of(exposures["degraded_ns"])
    return [
        tag("span", name, tag("span", words.counted(outage.count, "exposure"), class_="small")),
        _range(name, outage, scale),
        words.duration(outage.at(500_000)),
        words.duration(outage.worst_ns),
        words.duration(degraded.worst_ns) if degraded.count else "no SLA",
        loss if offered else words.MISSING,
    ]


def _range(name: str, outage: Quantiles, scale: Scale) -> Markup:
    half, most, worst = (_place(outage.at(p), scale) for p in (500_000, 950_000, 1_000_000))
    about = f"{name}: half of the outages within {words.duration(outage.at(500_000))}, "
    about += f"95 % within {words.duration(outage.at(950_000))}"
    middle = HEIGHT / 2
    return drawing(
        HEIGHT,
        about,
        box(0, 1, middle - 3, 6, "track"),
        box(half, worst, middle - 3, 6, "spread"),
        tag("circle", cx=percent(half), cy=middle, r=6, class_="half"),
        tag("circle", cx=percent(most), cy=middle, r=5, class_="most"),
        upright(worst, middle - 8, middle + 8, "worst"),
        class_="range",
    )


def _place(ns: int, scale: Scale) -> float:
    return 1.0 if ns == NEVER else scale.place(ns)


def _scale(samples: Iterable[Quantiles]) -> Scale:
    # Only positive times decide where a logarithmic scale begins; the last part of the
    # range is for outages that never ended.
    positive = [q.reached[q.reached > 0] for q in samples]
    firsts = [int(p[0]) for p in positive if len(p)]
    longest = max((int(p[-1]) for p in positive if len(p)), default=0)
    return fitting(min(firsts, default=0), longest, end=0.94)


def _legend(scale: Scale) -> Markup:
    half = tag("circle", cx=9, cy=9, r=6, class_="half")
    most = tag("circle", cx=9, cy=9, r=5, class_="most")
    worst = tag("line", x1=9, x2=9, y1=1, y2=17, class_="worst")
    marks = ((half, "half of the exposures"), (most, "95 %"), (worst, "the worst"))
    edges = words.duration(round(scale.low)), words.duration(round(scale.high))
    spacing = "logarithmic" if scale.log else "linear"
    return tag(
        "p",
        [tag("span", _swatch(mark), text, class_="key") for mark, text in marks],
        tag("span", f"{spacing} scale from {edges[0]} to {edges[1]}, then never"),
        class_="legend",
    )


def _swatch(mark: Markup) -> Markup:
    return tag("svg", mark, width=18, height=18, aria_hidden="true")
