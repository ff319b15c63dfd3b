"""How fast traffic came back: the distribution of each duration, and its percentiles."""

from collections.abc import Mapping, Sequence

from patronus.sim.report import words
from patronus.sim.report.markup import Markup, percent, tag
from patronus.sim.report.quantiles import Quantiles
from patronus.sim.report.scale import Scale, fitting
from patronus.sim.report.svg import box, curve, drawing, stretched, upright
from patronus.sim.report.tables import Column, table

HEIGHT = 300
SHARES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
NEVER_FROM = 0.9
"""Where the band for "never" begins, if anything was never reached."""


def distribution(measures: Mapping[str, Quantiles], about: str) -> Markup:
    """Return the curves of some durations; ``measures`` are by name, at most four.

    What was never reached is a step at the right edge, in a band of its own.
    """
    drawn = {name: q for name, q in measures.items() if q.count}
    scale = _scale(list(drawn.values()))
    curves = [curve(_steps(q, scale, i), f"curve curve-{i}") for i, q in enumerate(drawn.values())]
    curves.reverse()  # the solid stroke is the last; beneath the dashed ones it hides none
    figure = drawing(HEIGHT, about, _frame(scale), stretched(curves), class_="plot")
    return tag("div", tag("div", figure, class_="plot-area"), _axis_name(scale), class_="figure")


def percentiles(measures: Mapping[str, Quantiles], notes: Mapping[str, str]) -> Markup:
    """Return the table under the curves, which is their legend too."""
    columns = (
        Column("Duration"), Column("Exposures", number=True), Column("Half within", number=True),
        Column("95 % within", number=True), Column("99 % within", number=True),
        Column("Worst", number=True), Column("Never", number=True),
    )  # fmt: skip
    drawn = [name for name, q in measures.items() if q.count]
    rows = [_percentile_row(name, q, notes.get(name, ""), drawn) for name, q in measures.items()]
    return table(columns, rows, caption="Percentiles of each duration")


def _percentile_row(
    name: str, sample: Quantiles, note: str, drawn: Sequence[str]
) -> list[Markup | str]:
    index = drawn.index(name) if name in drawn else -1
    title = tag("span", _swatch(index), name, class_="key")
    head = tag("div", title, tag("span", note, class_="small") if note else None)
    if not sample.count:
        return [head, "0", *["–"] * 5]
    levels = [words.duration(sample.at(p)) for p in (500_000, 950_000, 990_000, 1_000_000)]
    return [head, words.count(sample.count), *levels, words.count(sample.never)]


def _swatch(index: int) -> Markup | None:
    if index < 0:
        return None
    line = tag("line", x1="0", x2="26", y1="5", y2="5", class_=f"curve curve-{index}")
    return tag("svg", line, width=26, height=10, aria_hidden="true", class_="swatch")


def _scale(samples: Sequence[Quantiles]) -> Scale:
    reached = [q.reached for q in samples if len(q.reached)]
    end = NEVER_FROM if any(q.never for q in samples) else 1.0
    if not reached:
        return Scale(0.0, 1.0, end=end)
    # A switch may take no time at all; only positive times decide where a log scale begins.
    positive = [int(q[q > 0][0]) for q in reached if q[-1] > 0]
    return fitting(min(positive, default=0), max(int(q[-1]) for q in reached), end=end)


def _steps(sample: Quantiles, scale: Scale, index: int) -> list[tuple[float, float]]:
    points = [(0.0, 1.0)]
    height = 1.0
    for value, below in zip(*sample.steps(), strict=True):
        x = scale.place(int(value))
        points.append((x, height))
        height = 1.0 - below / sample.count
        points.append((x, height))
    if sample.never:
        # Each curve climbs at its own place in the band, so that they stay apart.
        x = NEVER_FROM + 0.025 * (index + 1)
        points += [(x, height), (x, 0.0)]
    return [*points, (1.0, 0.0)]


def _frame(scale: Scale) -> list[Markup]:
    marks = []
    if scale.end < 1.0:
        marks.append(box(scale.end, 1.0, 0, HEIGHT, "never-band"))
        x = percent((scale.end + 1.0) / 2)
        marks.append(tag("text", "never", x=x, y=HEIGHT + 18, text_anchor="middle"))
    for share in SHARES:
        y = HEIGHT * (1.0 - share)
        marks.append(tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"))
        name = f"{round(100 * share)} %"
        marks.append(tag("text", name, x="-8", y=y + 4, text_anchor="end"))
    for tick in scale.ticks(5 if scale.end < 1.0 else 6):
        at = scale.place(tick)
        marks.append(upright(at, 0, HEIGHT, "grid"))
        label = words.duration(round(tick))
        marks.append(tag("text", label, x=percent(at), y=HEIGHT + 18, text_anchor="middle"))
    return marks


def _axis_name(scale: Scale) -> Markup:
    spacing = "logarithmic scale" if scale.log else "linear scale"
    return tag(
        "p", f"time since the fault ({spacing}); height: share of exposures", class_="axis-name"
    )
