"""Path health around each fault: liveness, round-trip time and loss of the tunnels it touched."""

from collections.abc import Iterator

import numpy as np

from patronus.engine.overlay import I64
from patronus.sim.report import words
from patronus.sim.report.facts import Facts, Occurrence
from patronus.sim.report.lanes import axis, strip
from patronus.sim.report.markup import Child, Markup, join, tag
from patronus.sim.report.scale import Scale
from patronus.sim.report.svg import box, curve, stretched
from patronus.sim.report.tables import left_out
from patronus.sim.report.watched import Glimpse, Tunnel, Watched, watch

FAULTS = 8
TUNNELS = 6
HEIGHT = 44
STATE_HEIGHT = 6
"""The band of liveness above each curve."""

LOSS_TOP_PPM = 10_000
"""A loss curve reaches at least this high, so that a single lost probe is no mountain."""


def path_health(facts: Facts) -> Markup:
    """Return a drawing for each fault of which something was seen."""
    if facts.run.health.empty:
        return tag("p", "No tunnel was touched by a fault, so none was watched.")
    watched = watch(facts.run.health)
    looked_at = facts.worst(FAULTS)
    drawn = [_around(watched, o, facts) for o in looked_at]
    return join(
        _legend() if any(drawn) else None,
        [d for d in drawn if d] or tag("p", "No watched tunnel changed visibly around the faults."),
        left_out(
            len(facts.occurrences) - len(looked_at),
            "faults that hurt less are left out; health.parquet has their tunnels.",
        ),
    )


def _legend() -> Markup:
    kinds = (("up", "up"), ("init", "coming up"), ("down", "down"))
    keys = [
        tag(
            "span",
            tag("svg", box(0, 1, 6, 6, f"state {k}"), width=26, height=18, aria_hidden="true"),
            text,
            class_="key",
        )
        for k, text in kinds
    ]
    return tag("p", "The band on top of each drawing: the tunnel is", keys, class_="legend")


def _around(watched: Watched, occurrence: Occurrence, facts: Facts) -> Markup:
    start, end = occurrence.window(facts.end_ns)
    ranked = facts.disturbed(watched, occurrence)
    if not ranked:
        return Markup("")
    time, rows = Scale(float(start), float(end)), watched.rows(start, end)
    body = [
        _tunnel(watched.tunnels[i], watched.glimpse(i, rows), occurrence, time)
        for i in ranked[:TUNNELS]
    ]
    return tag(
        "section",
        tag("h3", occurrence.title),
        tag("p", f"{words.fault_kind(occurrence.kind)}: {occurrence.label}", class_="small"),
        tag("div", _heads(), body, _axes(time), class_="tunnels"),
        left_out(len(ranked) - TUNNELS, "more tunnels were touched; health.parquet has them."),
        class_="around",
    )


def _heads() -> list[Markup]:
    return [
        tag("div", text, class_="tunnel-head")
        for text in ("Tunnel", "Round-trip time", "Packet loss")
    ]


def _axes(time: Scale) -> list[Markup]:
    return [tag("div", class_="tunnel-foot"), *[tag("div", axis(time)) for _ in range(2)]]


def _tunnel(tunnel: Tunnel, seen: Glimpse, occurrence: Occurrence, time: Scale) -> Markup:
    site, peer, transport = tunnel
    name = f"{site} → {peer}"
    window = [(occurrence.start_ns, min(occurrence.end_ns, round(time.high)))]
    states = list(_states(seen, time))
    readings = (
        (_rtt_said(seen), _line(seen.t_ns, seen.rtt_ns, time, 1)),
        (_loss_said(seen), _line(seen.t_ns, seen.loss_ppm, time, LOSS_TOP_PPM)),
    )
    title = tag("span", name, class_="lane-title")
    drawn = []
    for text, line in readings:
        about = f"{name}, {transport}: {text}"
        marks = strip(time, window, HEIGHT, about, states, stretched(line), top=STATE_HEIGHT)
        drawn.append(tag("div", marks, tag("span", text, class_="reading")))
    return join(tag("div", title, _note(transport, seen), class_="name"), drawn)


def _note(transport: str, seen: Glimpse) -> Markup:
    silent = sum(state != "up" for state in seen.state)
    health = f"not up for {silent} s" if silent else "up all the time"
    return tag("span", f"{transport}, {health}", class_="lane-note")


def _rtt_said(seen: Glimpse) -> str:
    known = seen.rtt_ns[seen.rtt_ns >= 0]
    if not len(known):
        return "round trip not measured"
    first, most = words.duration(int(known[0])), words.duration(int(known.max()))
    return f"round trip {first}, at most {most}"


def _loss_said(seen: Glimpse) -> str:
    known = seen.loss_ppm[seen.loss_ppm >= 0]
    return f"loss at most {words.ppm(int(known.max()))}" if len(known) else "loss not measured"


def _states(seen: Glimpse, time: Scale) -> Iterator[Markup]:
    """Give a bar for each stretch of one state, up to the next change."""
    if not len(seen.t_ns):
        return
    changes = [i for i, s in enumerate(seen.state) if i == 0 or s != seen.state[i - 1]]
    for i, following in zip(changes, [*changes[1:], -1], strict=True):
        until = time.high if following < 0 else float(seen.t_ns[following])
        state = seen.state[i]
        kind = state if state in {"up", "init"} else "down"
        about = f"{state} from {words.moment(int(seen.t_ns[i]))}"
        places = time.place(float(seen.t_ns[i])), time.place(until)
        yield box(*places, 0, STATE_HEIGHT, f"state {kind}", about)


def _line(t_ns: I64, values: I64, time: Scale, top_at_least: int) -> list[Child]:
    """Return the curve of the known values; it is broken where there are none."""
    top = max(int(values.max(initial=0)), top_at_least)
    known = np.flatnonzero(values >= 0)
    stretches = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    # Below the band of liveness, and with air above the highest point.
    room = 1.0 - (STATE_HEIGHT + 5) / HEIGHT
    drawn: list[Child] = []
    for stretch in stretches:
        points = [(time.place(float(t_ns[i])), 1.0 - room * int(values[i]) / top) for i in stretch]
        if points:
            drawn.append(curve(points, "health-line"))
    return drawn
