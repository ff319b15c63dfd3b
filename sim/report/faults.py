"""Faults: what each one did to traffic, and whether it really happened as commanded."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from patronus.engine.units import NEVER
from patronus.sim.report import words
from patronus.sim.report.facts import Facts, Occurrence
from patronus.sim.report.markup import Child, Markup, breakable, join, tag
from patronus.sim.report.tables import Column, left_out, table

ROWS = 20

EFFECTS = (
    Column("Fault"),
    Column("When", number=True),
    Column("Exposures", number=True),
    Column("Half back within", number=True),
    Column("All back within", number=True),
    Column("Longest outage", number=True),
    Column("Moved by"),
)

OBSERVED = (
    Column("Fault"),
    Column("What it hit"),
    Column("Measured"),
    Column("Commanded", number=True),
    Column("Before", number=True),
    Column("During", number=True),
    Column("After", number=True),
    Column("Verified"),
)

SLOWEST = (
    Column("Traffic"),
    Column("Fault"),
    Column("Path afterwards"),
    Column("Noticed", number=True),
    Column("Back", number=True),
    Column("Confirmed", number=True),
    Column("Outage", number=True),
)

_VERIFIED = {"yes": "yes", "no": "no: it did not act as commanded"}


def effects(facts: Facts) -> Markup:
    """Return one row a fault; where there are many, those that hurt most, in order of time."""
    shown = facts.worst(ROWS)
    rest = len(facts.occurrences) - len(shown)
    return join(
        table(EFFECTS, [_effect(o, facts.end_ns) for o in shown], caption="What each fault did"),
        left_out(rest, "faults that hurt less are left out; failovers.parquet has them."),
    )


def _effect(occurrence: Occurrence, end_ns: int) -> list[Child]:
    until = NEVER if occurrence.end_ns >= end_ns else occurrence.end_ns
    when = f"{words.moment(occurrence.start_ns)} – {words.moment(until)}"
    title = _titled(occurrence.title, words.fault_kind(occurrence.kind))
    switch, outage = occurrence.switch, occurrence.outage
    if not switch.count:
        return [title, when, "0", "–", "–", "–", "no path was broken"]
    return [
        title,
        when,
        words.count(switch.count),
        words.duration(switch.at(500_000)),
        words.duration(switch.worst_ns),
        words.duration(outage.worst_ns) if outage.count else words.MISSING,
        movers(occurrence.exposures),
    ]


def repaired(exposures: pd.DataFrame) -> int:
    """Return how many came back only because the fault was over."""
    return int(((exposures["moved_by"] == "") & (exposures["switch_ns"] != NEVER)).sum())


def movers(exposures: pd.DataFrame) -> str:
    """Return who brought the traffic back how often, as a list in words."""
    moved_by = exposures["moved_by"]
    counts = {
        "kernel": int((moved_by == "kernel").sum()),
        "engine": int((moved_by == "engine").sum()),
        "repair": repaired(exposures),
        "nobody": int((exposures["switch_ns"] == NEVER).sum()),
    }
    return ", ".join(f"{who} {words.count(n)}" for who, n in counts.items() if n)


def slowest(facts: Facts, rows: int = 10) -> Markup:
    """Return the exposures that took longest to be back on a working path."""
    frame = facts.exposed
    # Sorted as numbers alone: to sort the frame would copy a million names.
    keys = [-frame[c].to_numpy(np.int64) for c in ("outage_ns", "failover_ns", "switch_ns")]
    top = frame.iloc[np.lexsort(keys)[:rows]]
    titles = {o.name: o.title for o in facts.occurrences}
    body = [_exposure(row, titles) for row in top.to_dict("records")]
    rest = len(frame) - len(body)
    return join(
        table(SLOWEST, body, caption="The slowest exposures"),
        left_out(rest, "exposures that were quicker are left out; failovers.parquet has them."),
    )


def _exposure(row: Mapping[Hashable, Any], titles: dict[str, str]) -> list[Child]:
    durations = ("detection_ns", "switch_ns", "failover_ns", "outage_ns")
    fault = str(row["fault"])
    return [
        _titled(f"{row['site']} → {row['destination']}", str(row["class"])),
        titles.get(fault, fault),
        _titled(*(_path(row, column) for column in ("path_after", "path_before"))),
        *[_time(int(row[d])) for d in durations],
    ]


def _path(row: Mapping[Hashable, Any], column: str) -> str:
    said = words.path(str(row[column]), str(row["destination"]))
    return f"before: {said}" if column == "path_before" else said


def _time(ns: int) -> str:
    return words.duration(ns) if ns >= 0 else "–"


def observed(facts: Facts) -> Markup:
    """Return commanded against observed, the doubtful ones first."""
    frame = facts.run.faults
    titles = {o.name: o.title for o in facts.occurrences}
    doubtful = frame.assign(_sure=frame["verified"] == "yes")
    ranked = doubtful.sort_values(["_sure", "start_ns", "fault"], kind="stable").head(ROWS)
    rows = [_observation(row, titles) for row in ranked.to_dict("records")]
    return join(
        table(OBSERVED, rows, caption="Commanded against observed faults"),
        left_out(len(frame) - len(rows), "more are in faults.parquet."),
    )


def _observation(row: Mapping[Hashable, Any], titles: dict[str, str]) -> list[Child]:
    name, quantity, verified = str(row["fault"]), str(row["quantity"]), str(row["verified"])
    columns = ("commanded", "measured_before", "measured", "measured_after")
    values = [words.quantity(quantity, int(row[c])) for c in columns]
    hit = _hit(int(row["links"]), int(row["sites"]))
    return [
        _titled(titles.get(name, name), words.fault_kind(str(row["kind"]))),
        _titled(breakable(str(row["label"])), hit),
        words.quantity_name(quantity),
        *values,
        tag("span", _VERIFIED.get(verified, "too few packets to say"), class_=f"seen {verified}"),
    ]


def _hit(links: int, sites: int) -> str:
    parts = [words.counted(n, what) for n, what in ((links, "link"), (sites, "site")) if n]
    return " and ".join(parts)


def _titled(title: Child, note: str) -> Markup:
    return tag("span", title, tag("span", note, class_="small") if note else None)
