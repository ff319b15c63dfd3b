"""Where the figures come from: the command, the seed, the fingerprints, the versions."""

import shlex
from collections.abc import Mapping
from typing import Any

from patronus.sim.report import words
from patronus.sim.report.markup import Child, Markup, join, tag

_CHECKS = {
    "loops": "forwarding loops",
    "black_holes": "black holes",
    "flaps": "flaps",
    "sla_misses": "SLA misses that could have been avoided",
    "conservation": "miscounted packets",
    "shared_fate": "entries without a disjoint backup",
}

_COUNTS = ("site", "tunnel", "probe", "decision")


def command(summary: Mapping[str, Any]) -> str:
    """Return the command line that makes this run again; none for a scenario built in code."""
    if summary.get("command") or not summary.get("path"):
        return str(summary.get("command", ""))
    path = str(summary["path"])
    seeds = summary.get("seeds") or [summary.get("seed", 1)]
    repeat = ["--repeat", str(len(seeds))] if len(seeds) > 1 else []
    return shlex.join(["patronus", "run", path, "--seed", str(min(seeds)), *repeat])


def reproduction(summary: Mapping[str, Any]) -> Markup:
    """Return the command and everything that fixes the outcome."""
    rows = [(name, value) for name, value in _facts(summary) if value]
    line = command(summary)
    how = (
        "The same file and the same seed give the same run, bit by bit:"
        if line
        else "The scenario was built in code. With the same seed it gives the same run, bit by bit."
    )
    return join(
        tag("p", how),
        tag("pre", tag("code", line), class_="command") if line else None,
        tag("dl", [tag("div", tag("dt", k), tag("dd", v)) for k, v in rows], class_="facts"),
    )


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, Child]]:
    return [
        ("Seed", _seeds(summary)),
        ("World", ", ".join(str(summary[k]) for k in ("backend", "mode") if k in summary)),
        ("Simulated, with its warm-up", _seconds(summary.get("simulated_s"))),
        ("Took", _seconds(summary.get("wall_s"))),
        ("Memory at most", _megabytes(summary.get("peak_rss_mb"))),
        ("Size", _counts(summary.get("counts", {}))),
        ("Fingerprint of the decisions", _hash(summary.get("decisions_sha256"))),
        ("Fingerprint of the journal", _hash(summary.get("journal_sha256"))),
        ("Fingerprint of the network", _hash(summary.get("network_sha256"))),
        ("Versions", _versions(summary.get("versions", {}))),
    ]


def checks(summary: Mapping[str, Any]) -> Markup:
    """Return what the checkers found, and the warnings of the run."""
    found = dict(summary.get("checks", {}))
    bound_ns = found.pop("bound_ns", None)
    said = [_check(key, value) for key, value in sorted(found.items())]
    if "false_alarms" in summary:
        said.append(_check("false alarms", summary["false_alarms"]))
    warnings = [tag("li", str(text)) for text in summary.get("warnings", ())]
    return join(
        tag("ul", said, class_="checks") if said else tag("p", "No checker reported."),
        tag("p", _bound(int(bound_ns)), class_="more") if bound_ns is not None else None,
        tag("ul", warnings, class_="warnings") if warnings else None,
    )


def _bound(ns: int) -> str:
    return f"A black hole counts when it is still there {words.duration(ns)} after a change."


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
    named = [(int(counts[f"{one}s"]), one) for one in _COUNTS if f"{one}s" in counts]
    return ", ".join(words.counted(number, one) for number, one in named)


def _hash(value: object) -> Markup | None:
    return tag("code", str(value), class_="hash") if value else None


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
