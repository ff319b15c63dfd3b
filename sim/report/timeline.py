"""What happened when: faults, decisions and lost packets over one time axis."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from patronus.engine.overlay import I64
from patronus.sim.report import words
from patronus.sim.report.facts import Facts, Occurrence, family
from patronus.sim.report.lanes import heading, lane, lanes, strip
from patronus.sim.report.markup import Markup, join, tag
from patronus.sim.report.scale import Scale
from patronus.sim.report.svg import area, box, curve, stretched

FAULT_LANES = 12
REASON_LANES = 6
CLASS_LANES = 6
BINS = 150
BAR_HEIGHT = 22
CURVE_HEIGHT = 34


def timeline(facts: Facts) -> Markup:
    """Return the figure with all its rows."""
    time = Scale(0.0, float(facts.end_ns))
    rows = [*_fault_rows(facts, time), *_decision_rows(facts, time), *_loss_rows(facts, time)]
    return lanes(rows, time)


def _fault_rows(facts: Facts, time: Scale) -> Iterator[Markup]:
    groups: dict[str, list[Occurrence]] = {}
    for occurrence in facts.occurrences:
        groups.setdefault(family(occurrence.name), []).append(occurrence)
    if not groups:
        return
    yield heading("Faults that were injected")
    for name, happenings in list(groups.items())[:FAULT_LANES]:
        kind = words.fault_kind(happenings[0].kind)
        times = "" if len(happenings) == 1 else f", {words.counted(len(happenings), 'time')}"
        bars = [_fault_bar(o, time, facts.end_ns) for o in happenings]
        about = f"{name}: {kind}{times}"
        yield lane(name, kind + times, strip(time, (), BAR_HEIGHT, about, bars))
    yield from _left_out(len(groups) - FAULT_LANES, "fault")


def _fault_bar(occurrence: Occurrence, time: Scale, end_ns: int) -> Markup:
    until = min(occurrence.end_ns, end_ns)
    about = (
        f"{occurrence.title}: {occurrence.label}, from {words.moment(occurrence.start_ns)} "
        f"to {words.moment(occurrence.end_ns)}"
    )
    return box(
        time.place(occurrence.start_ns), time.place(until), 3, BAR_HEIGHT - 6, "fault", about
    )


def _decision_rows(facts: Facts, time: Scale) -> Iterator[Markup]:
    decisions = facts.run.decisions
    if decisions.empty:
        return
    yield heading("Decisions of the engine, by reason")
    codes, reasons = pd.factorize(decisions["reason"])
    totals = np.bincount(codes, minlength=len(reasons))
    times = decisions["t_ns"].to_numpy(dtype=np.int64)
    for code in np.argsort(-totals, kind="stable")[:REASON_LANES]:
        name, total = str(reasons[code]), int(totals[code])
        bars = _histogram(times[codes == code], time)
        about = f"{words.counted(total, 'decision')} with the reason {name}"
        marks = strip(time, facts.windows, BAR_HEIGHT, about, bars)
        yield lane(words.reason(name), words.counted(total, "decision"), marks)
    yield from _left_out(len(reasons) - REASON_LANES, "reason")


def _histogram(times: I64, time: Scale) -> list[Markup]:
    # Heights grow with the logarithm: next to a bin of thousands, a single decision shows.
    counts, edges = np.histogram(times, bins=BINS, range=(time.low, time.high))
    top = math.log1p(max(1, int(counts.max())))
    bars = []
    for i in np.flatnonzero(counts):
        height = max(3.0, (BAR_HEIGHT - 2) * math.log1p(int(counts[i])) / top)
        about = f"{words.moment(round(edges[i]))}: {words.counted(int(counts[i]), 'decision')}"
        places = time.place(edges[i]), time.place(edges[i + 1])
        bars.append(box(*places, BAR_HEIGHT - height, height, "decision", about))
    return bars


def _loss_rows(facts: Facts, time: Scale) -> Iterator[Markup]:
    series = list(facts.loss_by_second())
    if not series:
        return
    top = max(float(share.max(initial=0.0)) for _, _, share in series) or 1.0
    yield heading("Packets lost each second, by traffic class")
    for name, times, share in series[:CLASS_LANES]:
        worst = float(share.max(initial=0.0))
        points = [(time.place(t), 1.0 - 0.94 * s / top) for t, s in zip(times, share, strict=True)]
        drawn = stretched(area(points, "loss-area"), curve(points, "loss-line"))
        said = words.ppm(round(worst * 1_000_000))
        about = f"{name}: at most {said} of the packets of one second were lost"
        note = f"worst second {said}" if worst else "nothing lost"
        yield lane(name, note, strip(time, facts.windows, CURVE_HEIGHT, about, drawn))
    yield from _left_out(len(series) - CLASS_LANES, "class", "classes")


def _left_out(number: int, one: str, many: str | None = None) -> Iterator[Markup]:
    if number > 0:
        yield tag(
            "p",
            join(words.counted(number, f"more {one}", f"more {many or one + 's'}"), " not drawn"),
            class_="more",
        )
