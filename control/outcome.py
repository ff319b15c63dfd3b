"""What came of a scenario, for the terminal: written from its summary alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from patronus.control.tables import counted, indented, stamp, table
from patronus.sim.judgement import NOT_MEASURED

_DURATIONS: Final = ("detection", "switch", "failover", "outage", "degraded")
_PERCENTILES: Final = ("p50", "p95", "p99", "max")
_CHECKS: Final = {
    "loops": "loop", "black_holes": "black hole", "flaps": "flap", "sla_misses": "SLA violation",
}  # fmt: skip


def outcome(summary: Mapping[str, Any], judgements: Sequence[Any]) -> list[str]:
    """Return the lines that ``patronus run`` prints of one scenario.

    Args:
        summary: of a run, or over the runs of several seeds.
        judgements: the verdicts with their ``measured_text`` and ``note``.
    """
    lines = [_headline(summary)]
    lines += indented(f"warning: {warning}" for warning in _warnings(summary))
    if judgements:
        lines += ["", *indented(_verdicts(judgements))]
    lines += ["", *indented(_durations(summary))]
    if any(figures["offered"] for figures in summary["classes"].values()):
        lines += ["", *indented(_classes(summary["classes"]))]
    lines += ["", *indented(table(_facts(summary)))]
    return lines


def conclusion(summary: Mapping[str, Any]) -> str:
    """Return the verdict over all with the reason, in one line."""
    verdict, entries = str(summary["verdict"]), summary["expectations"]
    return f"{stamp(verdict)}: {_reason(verdict, summary, entries)}"


def _reason(verdict: str, summary: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
    number = {v: sum(e["verdict"] == v for e in entries) for v in ("fail", "undecided")}
    all_of = f"of {counted(len(entries), 'expectation')}"
    match verdict:
        case "pass":
            return "every expectation is met" if len(entries) > 1 else "the expectation is met"
        case "none":
            return "no expectations, so nothing was judged"
        case "invalid":
            return "interrupted, so nothing is concluded"
        case "fail" if not summary.get("converged", True):
            return "the overlay had not converged when the scenario began"
        case "fail":
            return f"{number['fail']} {all_of} {'is' if number['fail'] == 1 else 'are'} not met"
    return f"{number['undecided']} {all_of} cannot be decided"


def _headline(summary: Mapping[str, Any]) -> str:
    counts, seeds = summary["counts"], summary.get("seeds")
    luck = f"seed {summary['seed']}" if seeds is None else _span(seeds)
    size = f"{counted(counts['sites'], 'site')}, {counted(counts['tunnels'], 'tunnel')}"
    happened = counted(counts["faults"], "fault") if "faults" in counts else ""
    exposed = counted(counts["exposures"], "exposure") if "exposures" in counts else ""
    took = f"{summary['wall_s']:.1f} s for {summary['simulated_s']:,.0f} s simulated"
    return ", ".join(part for part in (f"{summary['name']}: {luck}", size, happened, exposed,
                                       took) if part)  # fmt: skip


def _span(seeds: Sequence[int]) -> str:
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def _warnings(summary: Mapping[str, Any]) -> Iterator[str]:
    yield from summary.get("warnings", ())
    if not summary.get("converged", True):
        yield "the overlay had not converged at the start; a longer `warmup` may help"
    if summary.get("interrupted"):
        yield "interrupted: the figures are about the part before"


def _verdicts(judgements: Sequence[Any]) -> list[str]:
    return table(
        [stamp(str(j.verdict)), j.text, _measured(j.measured_text), j.note] for j in judgements
    )


def _measured(text: str) -> str:
    return text if text == NOT_MEASURED else f"measured {text}"


def _durations(summary: Mapping[str, Any]) -> list[str]:
    rows, shown = [["", "n", *_PERCENTILES]], summary.get("carried", summary)
    for name in _DURATIONS:
        figures = shown[f"{name}_ms"]
        values = [_ms(figures, p) for p in _PERCENTILES]
        rows.append([name, f"{figures['n']:,}", *values])
    lines = table(rows, right=range(1, len(rows[0])))
    idle = summary["counts"].get("exposures", 0) - shown.get("exposures", 0)
    if "carried" in summary and idle > 0:
        lines.append(f"({counted(idle, 'more exposure')} carried no traffic)")
    return lines


def _ms(figures: Mapping[str, Any], percentile: str) -> str:
    if not figures["n"]:
        return "-"
    value = figures[percentile]
    return "never" if value is None else duration(value)


def duration(ms: float) -> str:
    """Return milliseconds with about four digits, from a second on in seconds."""
    return f"{ms / 1000:.4g} s" if ms >= 1000 else f"{ms:.4g} ms"


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [["class", "offered", "lost", "loss", "longest outage"]]
    for name, figures in classes.items():
        offered, lost = figures["offered"], figures["lost"]
        share = f"{100 * lost / offered:.4g} %" if offered else "-"
        rows.append([name, f"{offered:,}", f"{lost:,}", share, _ms(figures["outage_ms"], "max")])
    return table(rows, right=range(1, len(rows[0])))


def _facts(summary: Mapping[str, Any]) -> Iterator[list[str]]:
    checks = [
        counted(summary["checks"][k], n) for k, n in _CHECKS.items() if k in summary["checks"]
    ]
    checks.append(counted(summary["false_alarms"], "false alarm"))
    yield ["checks", ", ".join(checks)]
    yield ["decisions", f"{summary['counts']['decisions']:,}"]
    for name in ("decisions_sha256", "journal_sha256"):
        if name in summary:
            yield [name, summary[name]]
