"""Judgements as the report needs them, and the sentences that say how a run went."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from patronus.sim.report import words
from patronus.sim.report.facts import Facts
from patronus.sim.report.faults import movers
from patronus.sim.report.markup import Markup, tag
from patronus.sim.report.quantiles import Quantiles
from patronus.sim.report.tables import Column, table


class Judged(Protocol):
    """One expectation and what came of it."""

    @property
    def text(self) -> str:
        """The expectation as the scenario states it."""

    @property
    def verdict(self) -> str:
        """``pass``, ``fail`` or ``undecided``."""

    @property
    def measured(self) -> float | None:
        """The figure, if there is one."""

    @property
    def measured_text(self) -> str:
        """The figure with its unit."""

    @property
    def limit_text(self) -> str:
        """The limit with its unit."""

    @property
    def note(self) -> str:
        """Whatever a reader should know besides."""

    def record(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds of it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A judgement read back from ``summary.json``."""

    text: str
    verdict: str
    measured: float | None = None
    measured_text: str = ""
    limit_text: str = ""
    note: str = ""
    entry: Mapping[str, Any] = field(default_factory=dict)
    """Everything that was recorded."""

    def record(self) -> dict[str, Any]:
        """Return the entry as it was read."""
        return dict(self.entry)


FIELDS = ("text", "verdict", "measured", "measured_text", "limit_text", "note")
"""What the report reads of a recorded judgement."""

COLUMNS = (
    Column("Verdict"),
    Column("Expectation"),
    Column("Limit", number=True),
    Column("Measured", number=True),
    Column("Note"),
)

_SIGNS: Mapping[str, str] = {
    "pass": "M4 10.5l4 4 8-9",
    "fail": "M5 5l10 10M15 5L5 15",
    "undecided": "M7 7.5a3 3 0 1 1 4.2 2.7c-.8.4-1.2.9-1.2 1.8M10 15.2v.1",
}
"""Each verdict has a shape of its own, so colour is never the only difference."""


def recorded(summary: Mapping[str, Any]) -> tuple[Recorded, ...]:
    """Return the judgements that a summary holds."""
    return tuple(
        Recorded(**{name: entry[name] for name in FIELDS if name in entry}, entry=entry)
        for entry in summary.get("expectations", ())
    )


def overall(judgements: Iterable[Judged]) -> str:
    """Return the verdict over all: one failure fails, else one doubt leaves it undecided."""
    verdicts = {j.verdict for j in judgements}
    return next((v for v in ("fail", "undecided") if v in verdicts), "pass")


def stamp(verdict: str) -> Markup:
    """Return the verdict with its sign."""
    sign = tag("path", d=_SIGNS.get(verdict, "M5 10h10"))
    icon = tag("svg", sign, viewBox="0 0 20 20", class_="sign", aria_hidden="true")
    return tag("span", icon, verdict.capitalize(), class_=f"stamp {verdict}")


def expectations(judgements: Sequence[Judged]) -> Markup:
    """Return the table of expectations, failures first."""
    if not judgements:
        return tag(
            "p",
            "The scenario states no expectations, so nothing is judged here. Lines under ",
            tag("code", "expect:"),
            " in the scenario file turn this rehearsal into a test.",
        )
    order = {"fail": 0, "undecided": 1}
    ranked = sorted(judgements, key=lambda j: order.get(j.verdict, 2))
    rows = [
        [
            stamp(j.verdict),
            tag("code", j.text),
            j.limit_text or "–",
            j.measured_text or words.MISSING,
            j.note or None,
        ]
        for j in ranked
    ]
    return table(COLUMNS, rows, caption="Expectations and verdicts", class_="expectations")


def headline(faults: int, switch: Quantiles, waited: int) -> str:
    """Return what somebody in a hurry should read.

    Args:
        faults: how many happened.
        switch: how long the exposures took to be back on a working path.
        waited: how many of them came back only because the fault was over.
    """
    if not faults:
        return "No fault was injected, so nothing had to fail over."
    if not switch.count:
        return "No fault broke a path that traffic was on."
    whole = words.count(switch.count)
    if not len(switch.reached):
        return f"Traffic never came back: none of {whole} found a working path."
    worst = words.duration(int(switch.reached[-1]))
    rest = f" {words.count(waited)} of {whole} had to wait until the fault was over."
    rest = rest if waited else ""
    if not switch.never:
        return f"Traffic came back in {worst} at the worst.{rest}"
    lost = words.counted(switch.never, "exposure")
    return (
        f"Traffic never came back for {lost} of {whole}; "
        f"the others were back in {worst} at the worst.{rest}"
    )


def tally(judgements: Sequence[Judged]) -> str:
    """Return how many expectations hold, in a sentence."""
    total = len(judgements)
    if not total:
        return "The scenario states no expectations."
    numbers = {v: sum(j.verdict == v for j in judgements) for v in ("fail", "undecided")}
    if not any(numbers.values()):
        return "The one expectation holds." if total == 1 else f"All {total} expectations hold."
    failed, open_ = numbers["fail"], numbers["undecided"]
    said = [f"{failed} {'is' if failed == 1 else 'are'} not met"] if failed else []
    said += [f"{open_} could not be decided"] if open_ else []
    return f"Of {words.counted(total, 'expectation')}, {' and '.join(said)}."


def scope(facts: Facts) -> str:
    """Return what was put to the test, in a sentence."""
    counts = facts.run.summary.get("counts", {})
    sites = words.counted(
        int(counts.get("sites", len(facts.run.topology.get("sites", ())))), "site"
    )
    faults = words.counted(len(facts.occurrences), "fault")
    hit = words.counted(facts.switch.count, "exposure")
    seconds = words.duration(facts.end_ns)
    stuck = int(counts.get("unavoidable", 0))
    more = [f"{words.count(stuck)} more had no other path to take"] if stuck else []
    more += [f"{words.count(facts.idle)} more carried no traffic"] if facts.idle else []
    rest = f" {' and '.join(more)}; they are not counted here." if more else ""
    return f"{faults} in a network of {sites} over {seconds}, with {hit} to them.{rest}"


def tiles(facts: Facts) -> Markup:
    """Return the four figures at the top."""
    lost, offered = int(facts.packets["lost"].sum()), int(facts.packets["offered"].sum())
    return tag(
        "dl",
        _tile("Back on a working path", *_worst(facts.switch)),
        _tile("Longest outage", *_worst(facts.outage)),
        _tile("Packets lost", words.share(lost, offered), _of(lost, offered)),
        _tile("Moved at once by the kernel", *_moved(facts)),
        class_="tiles",
    )


def _tile(name: str, value: str, note: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="small"))


def _worst(sample: Quantiles) -> tuple[str, str]:
    if not sample.count:
        return "–", "no path was broken"
    return words.duration(sample.worst_ns), f"half within {words.duration(sample.at(500_000))}"


def _of(part: int, whole: int) -> str:
    if not whole:
        return "no traffic was measured"
    return f"{words.count(part)} of {words.count(whole)} measured"


def _moved(facts: Facts) -> tuple[str, str]:
    frame = facts.exposed
    if frame.empty:
        return "–", "nothing had to move"
    at_once = int((frame["moved_by"] == "kernel").sum())
    return words.share(at_once, len(frame)), f"all: {movers(frame)}"


def reservations(summary: Mapping[str, Any]) -> list[Markup]:
    """Return the warnings that stand above everything else: why the figures may mean nothing."""
    found = []
    if summary.get("interrupted"):
        found.append(
            _warning(
                "This run was interrupted.",
                " The figures hold for what was simulated before that; "
                "they prove nothing about the rest.",
            )
        )
    if not summary.get("converged", True):
        found.append(
            _warning(
                "The network had not settled when the scenario began.",
                " What was measured afterwards says little; a longer warm-up may help.",
            )
        )
    return found


def banner_verdict(summary: Mapping[str, Any], judgements: Sequence[Judged]) -> Markup | None:
    """Return the verdict over everything; nothing where nothing was to be judged."""
    verdict = str(summary.get("verdict") or (overall(judgements) if judgements else "none"))
    return None if verdict == "none" else stamp(verdict)


def _warning(what: str, why: str) -> Markup:
    return tag("p", tag("strong", what), why, class_="warning", role="note")
