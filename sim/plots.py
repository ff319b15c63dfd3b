"""Figures for notebooks, drawn with matplotlib; the HTML report draws its own.

matplotlib is imported when a figure is asked for, since importing it takes longer
than many a run. A figure is closed before it is returned: a notebook shows it once,
as the value of its cell, and a script can save it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from patronus.engine.units import MS, SECOND
from patronus.sim.report import words
from patronus.sim.report.facts import Facts, Occurrence
from patronus.sim.report.geography import Map
from patronus.sim.report.lettering import Lettering
from patronus.sim.report.quantiles import Quantiles
from patronus.sim.report.scale import LOG_FROM
from patronus.sim.report.watched import Glimpse, Watched, watch
from patronus.sim.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES: Final = {
    "detection_ns": ("Detection", "#4aa3d4", ":"),
    "switch_ns": ("Switch", "#d55e00", "--"),
    "failover_ns": ("Failover", "#0072b2", "-"),
}
"""Column: name, colour, stroke; colours that the colour-blind tell apart (Okabe and Ito)."""

FAULT, BLUE, INK, GREY = "#d55e00", "#0072b2", "#17202b", "#8a94a0"
LANES, TUNNELS, NAMED = 12, 6, 150

WIDE_FROM: Final = 3_000
"""A logarithmic axis that spans this ratio names its decades only."""

MAP_WIDTH, POINTS_AN_INCH = 9.0, 72.0


def failover_cdf(runs: Run | Iterable[Run]) -> "Figure":
    """Draw how fast traffic came back: the share of exposures over the time since the fault.

    Exposures of all runs count together. Those that never came back stay below the top:
    the curve ends where it ends, and the legend counts them.

    Raises:
        ValueError: no run has an exposure.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    frames = [run.failovers for run in ([runs] if isinstance(runs, Run) else runs)]
    if not any(len(frame) for frame in frames):
        raise ValueError("no run has an exposure to draw")
    figure, axes = _figure(width=8.0, height=4.2)
    edges: list[int] = []
    for column, (name, colour, stroke) in MEASURES.items():
        sample = Quantiles.of(np.concatenate([f[column].to_numpy(np.int64) for f in frames]))
        positive = sample.reached[sample.reached > 0].tolist()
        edges += [*positive[:1], *positive[-1:]]
        _draw_steps(axes, sample, name, colour, stroke)
    if edges and max(edges) / min(edges) >= LOG_FROM:
        axes.set_xscale("log")
        # Over many decades there is room for their names alone.
        wide = max(edges) / min(edges) >= WIDE_FROM
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda ms, _: words.duration(round(ms * MS)))
    axes.set(xlabel="time since the fault", ylabel="share of exposures", ylim=(0, 1.02))
    axes.legend(frameon=False)
    return figure


def timeline(run: Run) -> "Figure":
    """Draw when faults were there, when the engine decided, and how many packets were lost."""
    import matplotlib.pyplot as plt

    facts = Facts(run)
    shown = facts.worst(LANES)
    heights = [max(1.0, 0.35 * len(shown)), 1.0, 1.4]
    figure, (lanes, counts, loss) = plt.subplots(
        3, 1, sharex=True, figsize=(9.0, 1.2 + sum(heights)), height_ratios=heights,
        layout="constrained",
    )  # fmt: skip
    plt.close(figure)
    for i, o in enumerate(shown):
        length = (min(o.end_ns, facts.end_ns) - o.start_ns) / SECOND
        lanes.barh(i, length, left=o.start_ns / SECOND, height=0.6, color=FAULT)
    lanes.set_yticks(range(len(shown)), [_plain(o.title) for o in shown])
    lanes.invert_yaxis()
    seconds = max(1, round(facts.end_ns / SECOND))
    times = run.decisions["t_ns"].to_numpy(np.int64) / SECOND
    counts.hist(times, bins=min(seconds, 200), range=(0, seconds), color=BLUE)
    counts.set(ylabel="decisions", yscale="symlog", xlim=(0, seconds))
    for name, t, share in facts.loss_by_second():
        loss.plot(t / SECOND, 100 * share, label=_plain(name))
    loss.set(xlabel="time [s]", ylabel="lost [%]")
    _legend(loss)
    _tidy(lanes, counts, loss)
    return figure


def path_health(run: Run, fault: str) -> "Figure":
    """Draw round-trip time and loss of the tunnels that a fault disturbed most.

    Args:
        run: any run.
        fault: an occurrence as in ``run.faults`` (``cut#0``), or a fault's name: its first one.

    Raises:
        ValueError: there is no such fault, or no watched tunnel noticed it.
    """
    import matplotlib.pyplot as plt

    facts = Facts(run)
    occurrence = _occurrence(facts, fault)
    watched = watch(run.health)
    glimpses = _disturbed(watched, occurrence, facts)
    figure, (rtt, loss) = plt.subplots(2, 1, sharex=True, figsize=(9.0, 5.0), layout="constrained")
    plt.close(figure)
    for name, seen in glimpses:
        t = seen.t_ns / SECOND
        rtt.plot(t, np.where(seen.rtt_ns < 0, np.nan, seen.rtt_ns / 1e6), label=_plain(name))
        loss.plot(t, np.where(seen.loss_ppm < 0, np.nan, seen.loss_ppm / 1e4))
    for axes in (rtt, loss):
        until = min(occurrence.end_ns, facts.end_ns)
        axes.axvspan(occurrence.start_ns / SECOND, until / SECOND, color=FAULT, alpha=0.12, lw=0)
    rtt.set(ylabel="round trip [ms]", title=_plain(occurrence.title), ylim=(0, None))
    loss.set(xlabel="time [s]", ylabel="loss [%]", ylim=(0, None))
    _legend(rtt)
    _tidy(rtt, loss)
    return figure


def topology(run: Run) -> "Figure":
    """Draw the map of sites and links, with what a fault hit marked.

    Raises:
        ValueError: the places of the sites are not known.
    """
    plan = Map(run.topology)
    if not plan.sites:
        raise ValueError("this run does not say where its sites are")
    figure, axes = _figure(width=MAP_WIDTH, height=MAP_WIDTH * plan.ratio)
    for link in plan.links:
        failed = link["name"] in plan.failed
        (x1, y1), (x2, y2) = plan.place(*link["a"]), plan.place(*link["b"])
        colour, width = (FAULT, 2.5) if failed else (GREY, 0.8)
        axes.plot([x1, x2], [y1, y2], color=colour, lw=width, zorder=2 if failed else 1)
    hubs = [s for s in plan.sites if s.get("hub")]
    failed_sites = [s for s in plan.sites if s["name"] in plan.failed_sites]
    axes.scatter(*_columns(plan, plan.sites), s=16, color=INK, zorder=3)
    axes.scatter(*_columns(plan, hubs), s=55, color=BLUE, zorder=4)
    axes.scatter(*_columns(plan, failed_sites), s=120, fc="none", ec=FAULT, lw=2, zorder=5)
    important = [*failed_sites, *(s for s in hubs if s not in failed_sites)]
    rest = [s for s in plan.sites if s not in important] if len(plan.sites) <= NAMED else []
    _draw_names(axes, plan, [*important, *rest])
    axes.set(xlim=(0, 1), ylim=(1, 0), aspect=plan.ratio)
    axes.axis("off")
    return figure


def _draw_names(axes: "Axes", plan: Map, sites: Sequence[Mapping[str, Any]]) -> None:
    points = MAP_WIDTH * POINTS_AN_INCH
    places = [plan.place(s["x"], s["y"]) for s in plan.sites]
    lines = [(plan.place(*link["a"]), plan.place(*link["b"])) for link in plan.links]
    lettering = Lettering(points, points * plan.ratio, places, lines)
    for site in sites:
        x, y = plan.place(site["x"], site["y"])
        important = bool(site.get("hub")) or site["name"] in plan.failed_sites
        if beside := lettering.find(site["name"], x, y, important=important):
            side = {"start": "left", "end": "right", "middle": "center"}[beside.anchor]
            axes.annotate(
                _plain(site["name"]), (x, y), xytext=(beside.dx, -beside.dy),
                textcoords="offset points", ha=side, size=8,
            )  # fmt: skip


def _figure(*, width: float, height: float) -> "tuple[Figure, Axes]":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    plt.close(figure)
    _tidy(axes)
    return figure, axes


def _draw_steps(axes: "Axes", sample: Quantiles, name: str, colour: str, stroke: str) -> None:
    if not sample.count:
        return
    values, below = sample.steps()
    never = f", {words.count(sample.never)} never" if sample.never else ""
    axes.step(
        values / 1e6, below / sample.count, where="post", color=colour, ls=stroke,
        label=f"{name} (n = {words.count(sample.count)}{never})",
    )  # fmt: skip


def _occurrence(facts: Facts, fault: str) -> Occurrence:
    for occurrence in facts.occurrences:
        if fault in (occurrence.name, occurrence.name.rpartition("#")[0]):
            return occurrence
    known = ", ".join(o.name for o in facts.occurrences) or "none"
    raise ValueError(f"no fault is called {fault}; this run has: {known}")


def _disturbed(
    watched: Watched, occurrence: Occurrence, facts: Facts
) -> Sequence[tuple[str, Glimpse]]:
    ranked = facts.disturbed(watched, occurrence)
    if not ranked:
        raise ValueError(f"no watched tunnel noticed {occurrence.name}")
    rows = watched.rows(*occurrence.window(facts.end_ns))
    return [
        ("{} → {}, {}".format(*watched.tunnels[i]), watched.glimpse(i, rows))
        for i in ranked[:TUNNELS]
    ]


def _columns(plan: Map, sites: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    places = [plan.place(site["x"], site["y"]) for site in sites]
    return [x for x, _ in places], [y for _, y in places]


def _legend(axes: "Axes") -> None:
    if axes.get_legend_handles_labels()[1]:
        # Beside the axes: within them it would lie upon some curve.
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _plain(text: str) -> str:
    # A dollar sign would begin a formula.
    return text.replace("$", r"\$")


def _tidy(*many: "Axes") -> None:
    for axes in many:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="x", color="#e3e7ec", lw=0.8)
        axes.set_axisbelow(True)
