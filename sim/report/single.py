"""The report of one run: which sections it has, and in what order."""

from collections.abc import Iterable, Sequence

from patronus.sim.report.distribution import distribution, percentiles
from patronus.sim.report.facts import Facts
from patronus.sim.report.faults import effects, observed, repaired, slowest
from patronus.sim.report.glossary import glossary
from patronus.sim.report.health import path_health
from patronus.sim.report.markup import Child, Markup, join, tag
from patronus.sim.report.outage import outage_by_class
from patronus.sim.report.page import Section, document
from patronus.sim.report.provenance import checks, reproduction
from patronus.sim.report.tables import left_out
from patronus.sim.report.timeline import timeline
from patronus.sim.report.topology import topology
from patronus.sim.report.verdicts import (
    Judged,
    banner_verdict,
    expectations,
    headline,
    recorded,
    reservations,
    scope,
    tally,
    tiles,
)
from patronus.sim.run import Run

MEASURES = {
    "Detection": "the site notices",
    "Switch": "traffic is on a working path",
    "Failover": "the engine's choice is in force",
}
"""The curves, each with what it is in few words."""


def render_run(run: Run, judgements: Iterable[Judged] = ()) -> str:
    """Return the page of one run as HTML; without judgements, with those of its summary."""
    facts, judged = Facts(run), tuple(judgements) or recorded(run.summary)
    sections = [
        verdict_section(judged),
        _timeline(facts),
        *([_speed(facts)] if len(facts.exposed) else []),
        *([_users(facts)] if facts.classes else []),
        *([_health(facts)] if len(run.faults) else []),
        _map(facts),
        _truth(facts),
        *closing_sections(reproduction(run.summary)),
    ]
    return document(title=run.name, banner=_banner(facts, judged), sections=sections)


def verdict_section(judged: Sequence[Judged]) -> Section:
    """Return the section with the expectations."""
    return Section(
        "verdicts",
        "Verdicts",
        "Did it meet the expectations?",
        "Each line is a promise that the scenario makes, and what was measured.",
        expectations(judged),
    )


def closing_sections(made_again: Markup) -> list[Section]:
    """Return the sections that every report ends with."""
    return [
        Section("words", "Definitions", "What the words mean", "", glossary()),
        Section("again", "Reproduce", "How to get the same result again", "", made_again),
    ]


def _banner(facts: Facts, judged: Sequence[Judged]) -> list[Child]:
    summary = facts.run.summary
    said = headline(len(facts.occurrences), facts.switch, repaired(facts.exposed))
    return [
        tag("p", "Patronus failover report", class_="eyebrow"),
        tag("h1", facts.run.name),
        tag("p", str(summary["about"]), class_="about") if summary.get("about") else None,
        reservations(summary),
        tag(
            "div",
            banner_verdict(summary, judged),
            tag("p", said, class_="headline"),
            tag("p", f"{tally(judged)} {scope(facts)}", class_="tally"),
            class_="verdict",
        ),
        tiles(facts),
    ]


def _timeline(facts: Facts) -> Section:
    return Section(
        "timeline",
        "Timeline",
        "What happened when",
        "Shaded stretches are the times in which a fault was there. Taller marks are more "
        "decisions (the height grows with the logarithm).",
        join(timeline(facts), tag("h3", "What each fault did"), effects(facts))
        if facts.occurrences
        else timeline(facts),
    )


def _speed(facts: Facts) -> Section:
    samples = (facts.detection, facts.switch, facts.failover)
    measures = dict(zip(MEASURES, samples, strict=True))
    about = "Share of exposures (upwards) that were detected, switched and failed over in a time"
    return Section(
        "speed",
        "Speed",
        "How fast traffic came back",
        "Each curve climbs as more of the exposed traffic is served: the further left, the "
        "faster. What never happened stands at the right edge.",
        join(
            distribution(measures, about),
            percentiles(measures, MEASURES),
            left_out(facts.idle, "more without traffic are in failovers.parquet."),
            tag("h3", "The slowest"),
            slowest(facts),
        ),
    )


def _users(facts: Facts) -> Section:
    return Section(
        "users",
        "Users",
        "What users felt",
        "An outage is time in which less than half of the packets arrived, for traffic that "
        "had another path to take. Lost packets are counted whether there was one or not.",
        outage_by_class(facts),
    )


def _health(facts: Facts) -> Section:
    return Section(
        "health",
        "Path health",
        "The paths around each fault",
        "What the engine believed of the tunnels that a fault touched, once a second. Where a "
        "tunnel was down nothing could be measured.",
        path_health(facts),
    )


def _map(facts: Facts) -> Section:
    return Section(
        "map",
        "Map",
        "Where it failed",
        "Sites and the links of their providers.",
        topology(facts.run.topology),
    )


def _truth(facts: Facts) -> Section:
    lead = (
        "A rehearsal proves something only if the faults took effect. Each was measured by "
        "counting packets at the receiver, before, during and after."
    )
    table = observed(facts) if len(facts.run.faults) else tag("p", "No fault was injected.")
    return Section(
        "truth",
        "Faults and checks",
        "Did the faults really happen?",
        lead,
        join(table, tag("h3", "What the checkers found"), checks(facts.run.summary)),
    )
