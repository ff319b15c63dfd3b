"""Where the figures come from: the command, the seed, the fingerprints, the versions."""

import shlex
from collections.abc import Mapping
from typing import Any

from patronus.sim.report import words
from patronus.sim.report.markup import Child, Markup, join, tag

_CHECKS = {
    "loops": "loops",
    "black_holes": "black holes",
    "flaps": "flaps",
    "sla_misses": "SLA misses that could have been avoided",
}

_COUNTS = ("sites", "tunnels", "probes", "decisions")


def command(summary: Mapping[str, Any]) -> str:
    """Return the command line that makes this run again."""
    if summary.get("command"):
        return str(summary["command"])
    path = str(summary.get("path") or f"{summary.get('name', 'scenario')}.patronus.yml")
    seeds = summary.get("seeds") or [summary.get("seed", 1)]
    repeat = ["--repeat", str(len(seeds))] if len(seeds) > 1 else []
    return shlex.join(["patronus", "run", path, "--seed", str(min(seeds)), *repeat])


def reproduction(summary: Mapping[str, Any]) -> Markup:
    """Return the command and everything that fixes the outcome."""
    rows = [(name, value) for name, value in _facts(summary) if value]
    return join(
        tag("p", "The same file and the same seed give the same run, bit by bit:"),
        tag("pre", tag("code", command(summary)), class_="command"),
        tag("dl", [tag("div", tag("dt", k), tag("dd", v)) for k, v in rows], class_="facts"),
    )


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, Child]]:
    return [
        ("Seed", _seeds(summary)),
        ("World", ", ".join(str(summary[k]) for k in ("backend", "mode") if k in summary)),
        ("Simulated", _seconds(summary.get("simulated_s"))),
        ("Took", _seconds(summary.get("wall_s"))),
        ("Memory at most", _megabytes(summary.get("peak_rss_mb"))),
        ("Size", _counts(summary.get("counts", {}))),
        ("Fingerprint of the decisions", _hash(summary.get("decisions_sha256"))),
        ("Fingerprint of the journal", _hash(summary.get("journal_sha256"))),
        ("Versions", _versions(summary.get("versions", {}))),
    ]


def checks(summary: Mapping[str, Any]) -> Markup:
    """Return what the checkers found, and the warnings of the run."""
    found: Mapping[str, Any] = summary.get("checks", {})
    said = [_check(key, value) for key, value in sorted(found.items())]
    if "false_alarms" in summary:
        said.append(_check("false alarms", summary["false_alarms"]))
    warnings = [tag("li", str(text)) for text in summary.get("warnings", ())]
    return join(
        tag("ul", said, class_="checks") if said else tag("p", "No checker reported."),
        tag("ul", warnings, class_="warnings") if warnings else None,
    )


def _check(key: str, value: object) -> Markup:
    name = _CHECKS.get(key, key.replace("_", " "))
    clean = value == 0
    text = words.count(value) if isinstance(value, int) else str(value)
    shown = tag("strong", "no" if clean else text)
    return tag("li", shown, f" {name}", class_="clean" if clean else "found")


def _seeds(summary: Mapping[str, Any]) -> str:
    seeds = summary.get("seeds", ())
    if len(seeds) > 1:
        return f"{len(seeds)} seeds, {min(seeds)} to {max(seeds)}"
    return str(summary.get("seed", "")) if not seeds else str(seeds[0])


def _seconds(value: object) -> str:
    return words.duration(round(float(str(value)) * 1e9)) if value is not None else ""


def _megabytes(value: object) -> str:
    return f"{round(float(str(value))):,} MB" if value is not None else ""


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{words.count(int(counts[k]))} {k}" for k in _COUNTS if k in counts)


def _hash(value: object) -> Markup | None:
    return tag("code", str(value), class_="hash") if value else None


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
