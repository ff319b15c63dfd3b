"""The report of a study: one HTML file with heat maps, which loads nothing."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from patronus.engine.units import SECOND
from patronus.sim.report import words
from patronus.sim.report.markup import Child, Markup, breakable, join, tag
from patronus.sim.report.page import Section, document
from patronus.sim.report.tables import Column, left_out, table
from patronus.sim.whatif.findings import Findings
from patronus.sim.whatif.outcome import ClassHarm, Outcome

ROWS: Final = 60
"""Failures in the heat map; the rest are in ``whatif.json``."""

SITES: Final = 40

_STEPS: Final = 5
"""Shades of the map, besides none."""

_COLUMNS: Final = (
    Column("Failure"), Column("Out for a time", number=True), Column("Still out", number=True),
    Column("Longest", number=True), Column("Slowest switch", number=True), Column("Where"),
)  # fmt: skip


def page(findings: Findings) -> str:
    """Return the report as HTML."""
    sections = [_map(findings), _ranking(findings), _sites(findings), _kinds(findings)]
    if findings.died:
        sections.append(_died(findings))
    sections.append(_how(findings))
    return document(
        title=f"What if: {findings.about.name}",
        banner=_banner(findings),
        sections=sections,
        more_style=_style(),
    )


@cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


# ---------------------------------------------------------------- banner


def _banner(findings: Findings) -> list[Child]:
    about, counts = findings.about, findings.count()
    size = (
        f"{words.counted(about.sites, 'site')}, {words.counted(about.tunnels, 'tunnel')}, "
        f"{words.counted(about.flows, 'flow')}; each failure watched for up to "
        f"{words.duration(about.watched_ns)}."
    )
    stopped = None
    if findings.interrupted:
        left = words.counted(counts["not_simulated"], "failure was", "failures were")
        stopped = tag("p", f"Interrupted: {left} not simulated.", class_="warning")
    return [
        tag("p", "Patronus what-if report", class_="eyebrow"),
        tag("h1", about.name),
        tag("p", about.about, class_="about") if about.about else None,
        stopped,
        tag(
            "div",
            tag("p", _headline(counts), class_="headline"),
            tag("p", f"{_judged(findings)} {size}", class_="tally"),
            class_="verdict",
        ),
    ]


def _headline(counts: dict[str, int]) -> str:
    done = counts["failures"] - counts["not_simulated"] - counts["died"]
    harmless, time, still = counts["harmless"], counts["for_a_time"], counts["still"]
    if harmless == done:
        return f"None of {words.counted(done, 'failure')} puts a flow out of its SLA."
    return (
        f"Of {words.counted(done, 'failure')} {words.count(harmless)} harm nothing, "
        f"{words.count(time)} put flows out for a time, {words.count(still)} until the end."
    )


def _judged(findings: Findings) -> str:
    failed = sum(findings.verdict_of(r) == "fail" for r in findings.results)
    match findings.verdict:
        case "none":
            return "No limit was set, so nothing was judged."
        case "pass":
            return "Every failure keeps within the limits."
        case _:
            many = words.counted(failed, "failure breaks", "failures break")
            return f"{many} a limit or an expectation."


# ---------------------------------------------------------------- the map


def _map(findings: Findings) -> Section:
    shown = findings.harmful[:ROWS]
    seconds = max((len(h.by_second) for o in shown for h in o.classes.values()), default=0)
    seconds = max(seconds, 1)
    classes = [c for c in findings.about.classes if any(c in o.classes for o in shown)]
    body: list[Child] = [
        tag(
            "div",
            _axis(classes, seconds),
            [_row(findings, o, classes, seconds) for o in shown],
            class_="heat",
            style=f"--classes:{max(1, len(classes))}",
        ),
        _legend(),
        left_out(len(findings.harmful) - ROWS, "less harmful failures are in whatif.json."),
    ]
    if not shown:
        body = [tag("p", "Nothing is to be seen: no flow was ever out.")]
    return Section(
        "map",
        "Map",
        "Which class is out, and for how long",
        "One row a failure, those that hurt most first; one cell a second since it began. The "
        "darker, the larger the share of the class's flows that break their SLA, or of which "
        "less than half arrives, and that do neither without the failure.",
        join(body),
    )


def _axis(classes: list[str], seconds: int) -> Markup:
    heads = [
        tag("div", tag("span", name), tag("span", f"{seconds} s", class_="heat-end"),
            class_="heat-class")
        for name in classes
    ]  # fmt: skip
    return tag("div", tag("div", class_="heat-name"), heads, class_="heat-row heat-head")


def _row(findings: Findings, outcome: Outcome, classes: list[str], seconds: int) -> Markup:
    failure = findings.by_id[outcome.id]
    name = tag(
        "div",
        tag("strong", breakable(failure.label)),
        tag("span", failure.kind.replace("-", " "), class_="small"),
        class_="heat-name",
    )
    return tag(
        "div", name, [_strip(c, outcome.classes.get(c), seconds) for c in classes],
        class_="heat-row",
    )  # fmt: skip


def _strip(name: str, harm: ClassHarm | None, seconds: int) -> Markup:
    about = f"{name}: no flow" if harm is None else f"{name}: {_sentence(harm)}"
    cells = list(_cells(harm, seconds)) if harm is not None else []
    return tag(
        "div",
        tag("span", name, class_="heat-label"),
        tag("div", cells, class_="cells", style=f"--seconds:{seconds}", role="img",
            aria_label=about, title=about),
        class_="strip",
    )  # fmt: skip


def _cells(harm: ClassHarm, seconds: int) -> Iterator[Markup]:
    for second in range(seconds):
        if second >= len(harm.by_second):
            yield tag("i", class_="unseen on" if harm.still else "unseen")
        else:
            share = harm.by_second[second] / max(1, harm.flows)
            step = -(-share * _STEPS // 1)
            yield tag("i", class_=f"h{int(step)}")


def _sentence(harm: ClassHarm) -> str:
    if not harm.out:
        return "no flow out" if not harm.gone else f"{harm.gone} flows ended there, no other is out"
    some = f"{harm.out} of {words.counted(harm.flows, 'flow')} out, {harm.longest_s} s at worst"
    return f"{some}, {harm.still} still at the end" if harm.still else some


def _legend() -> Markup:
    steps = [
        (f"h{step}", "none" if not step else f"up to {step * 100 // _STEPS} %")
        for step in range(_STEPS + 1)
    ]
    rest = [("unseen", "at rest, not simulated further"), ("unseen on", "the same, still out")]
    keys = [
        tag("span", tag("i", class_=f"cell {name}"), text, class_="key")
        for name, text in [*steps, *rest]
    ]
    return tag("div", keys, class_="legend heat-legend")


# ---------------------------------------------------------------- tables


def _ranking(findings: Findings) -> Section:
    shown = findings.telling[:ROWS]
    body = join(
        table(_COLUMNS, [_line(findings, o) for o in shown], caption="Failures by harm")
        if shown
        else tag("p", "No failure harms anything."),
        left_out(len(findings.telling) - ROWS, "other failures are in whatif.json."),
    )
    return Section(
        "failures",
        "Failures",
        "Failure by failure",
        "First those that leave most flows out, then those with the most seconds of flows out "
        "together. A switch is the time until the dataplane sends on a path that works.",
        body,
    )


def _line(findings: Findings, outcome: Outcome) -> list[Child]:
    failure = findings.by_id[outcome.id]
    switch = words.duration(outcome.switch_ns) if outcome.switch_ns >= 0 else "–"
    broken = findings.broken(outcome)
    name = join(
        breakable(failure.label),
        tag("span", f"{failure.kind} · {outcome.id}", class_="small"),
        tag("span", "; ".join(broken), class_="small seen no") if broken else None,
    )
    return [
        name,
        words.count(outcome.out - outcome.still),
        words.count(outcome.still),
        ("> " if outcome.still else "") + words.duration(outcome.longest_s * SECOND),
        switch,
        _where(outcome),
    ]


def _where(outcome: Outcome) -> Child:
    told = [
        f"{name}: {', '.join(f'{p.site} → {p.destination}' for p in harm.places[:2])}"
        + (f" and {harm.out - 2:,} more" if harm.out > 2 else "")
        for name, harm in outcome.classes.items()
        if harm.places
    ]
    if outcome.gone:
        told.append(f"{words.counted(outcome.gone, 'flow')} more ended at what failed")
    return [tag("div", line) for line in told]


def _sites(findings: Findings) -> Section:
    rows = findings.sites()
    columns = (
        Column("Site"), Column("Failures that put it out", number=True),
        Column("Seconds out at worst", number=True), Column("By"),
    )  # fmt: skip
    lines = [
        [site, words.count(number), words.count(seconds), findings.by_id[cause].label]
        for site, number, seconds, cause in rows[:SITES]
    ]
    return Section(
        "sites",
        "Sites",
        "Which sites suffer",
        "Whose flows are out, counted at the sending site.",
        join(
            table(columns, lines, caption="Sites by seconds out")
            if lines
            else tag("p", "No site does."),
            left_out(len(rows) - SITES, "more sites are in whatif.json."),
        ),
    )


def _kinds(findings: Findings) -> Section:
    columns = tuple(
        Column(title, number=bool(i))
        for i, title in enumerate(
            ("Kind", "Failures", "Harmless", "Out for a time", "Until the end", "Died", "Not run")
        )
    )
    lines = [
        [str(kind), *(words.count(n) for n in findings.count(kind).values())]
        for kind in findings.kinds
    ]
    quiet = [o.id for o in findings.outcomes if o.harmless]
    names = tag(
        "details",
        tag("summary", f"The {words.counted(len(quiet), 'failure')} that harm nothing"),
        tag("p", ", ".join(sorted(quiet)), class_="small names"),
    )
    return Section(
        "kinds",
        "Kinds",
        "What was tried",
        "",
        join(table(columns, lines, caption="Failures by kind"), names if quiet else None),
    )


def _died(findings: Findings) -> Section:
    lines: list[list[Child]] = [[d.id, d.why] for d in findings.died]
    return Section(
        "died",
        "Died",
        "Simulations that came to no end",
        "Nothing is known of these failures.",
        table((Column("Failure"), Column("Why")), lines, caption="Failures without a result"),
    )


def _how(findings: Findings) -> Section:
    again = f"patronus whatif {findings.about.path} --write ID FILE"
    return Section(
        "again",
        "Again",
        "How to see it again",
        "The same file and seed give the same study. Each failure is an ordinary scenario: the "
        "second command writes it, and patronus run shows it in full.",
        join(
            tag("pre", tag("code", findings.about.command), class_="command"),
            tag("pre", tag("code", again), class_="command"),
        ),
    )
