"""The figures of one run as a flat row: names with dots, the unit at the end.

They come from the run's summary. ``None`` is "not measured"; what was expected and never
reached is infinite. Times and memory are left out: they differ from run to run.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from patronus.sim.summary import DURATIONS, PERCENTILES

Figure = str | int | float | bool | None

_WHOLE: Final = ("verdict", "converged", "decisions_sha256", "journal_sha256", "network_sha256")


def figures(summary: Mapping[str, Any]) -> dict[str, Figure]:
    """Return the row of a run.

    Args:
        summary: of a run that reached its end.
    """
    row: dict[str, Figure] = {name: summary[name] for name in _WHOLE}
    row["simulated_s"] = float(summary["simulated_s"])
    row["false_alarms"] = summary["false_alarms"]
    row |= {f"counts.{name}": number for name, number in summary["counts"].items()}
    row |= {f"checks.{name}": number for name, number in summary["checks"].items()}
    row |= dict(_durations("", summary))
    row["carried.exposures"] = summary["carried"]["exposures"]
    row |= dict(_durations("carried.", summary["carried"]))
    for name, told in summary["classes"].items():
        row |= dict(_class(name, told))
    for entry in summary["expectations"]:
        row |= _expectation(entry)
    return row


def _durations(prefix: str, told: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    for duration in DURATIONS:
        yield from _spread(f"{prefix}{duration}", told[f"{duration}_ms"])


def _spread(name: str, told: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    yield f"{name}.n", told["n"]
    yield f"{name}.never", told["never"]
    for percentile in PERCENTILES:
        yield f"{name}.{percentile}_ms", _reached(told[percentile], told["n"])


def _reached(value: float | None, count: int) -> float | None:
    if value is not None:
        return float(value)
    return math.inf if count else None


def _class(name: str, told: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    offered, lost = told["offered"], told["lost"]
    yield f"class.{name}.offered", offered
    yield f"class.{name}.lost", lost
    yield f"class.{name}.duplicated", told["duplicated"]
    yield f"class.{name}.loss", lost / offered if offered else None
    yield from _spread(f"class.{name}.outage", told["outage_ms"])


def _expectation(entry: Mapping[str, Any]) -> dict[str, Figure]:
    text = entry["text"]
    measured = _reached(entry["measured"], entry["count"])
    return {f"expect[{text}]": entry["verdict"], f"measured[{text}]": measured}
