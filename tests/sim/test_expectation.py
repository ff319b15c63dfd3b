"""The language of expectations: what is understood, and what is said when it is not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.expectation import (
    UNITS,
    Expectation,
    ExpectationError,
    Limit,
    Relation,
    parse,
)
from patronus.sim.metrics import CATALOGUE, Dimension, Metric, Query, is_percentile
from tests.rules.tree import ROOT

NAMES = {
    "class": ("voice", "bulk", "best effort"),
    "site": ("berlin", "spoke1", "spoke2"),
    "fault": ("cut", "storm"),
}


@pytest.mark.parametrize(
    ("text", "query", "value"),
    [
        ("failover.p99 < 300ms", Query("failover", "p99"), 300e6),
        ("detection.max<=400ms", Query("detection", "max"), 400e6),
        ("switch.p50 < 1.5s", Query("switch", "p50"), 1.5e9),
        ("outage.max < 1m", Query("outage", "max"), 60e9),
        ("failover.p99.9 < 1h", Query("failover", "p99.9"), 3600e9),
        ("class.voice.loss < 0.1%", Query("loss", "", "voice"), 0.001),
        ("class.voice.loss < 500ppm", Query("loss", "", "voice"), 0.0005),
        ("class.voice.loss.worst_pair < 1%", Query("loss", "worst_pair", "voice"), 0.01),
        ("class.voice.mos >= 4.0", Query("mos", "", "voice"), 4.0),
        ("class.voice.mos.p05 >= 3.8", Query("mos", "p5", "voice"), 3.8),
        ("class.voice.delay.p99 < 150ms", Query("delay", "p99", "voice"), 150e6),
        ("class.voice.outage.max < 1s", Query("outage", "max", "voice"), 1e9),
        ("class.voice.degraded.p95 < 2s", Query("degraded", "p95", "voice"), 2e9),
        ("failover.count >= 10", Query("failover", "count"), 10),
        ("flaps <= 2", Query("flaps"), 2),
        ("loops == 0", Query("loops"), 0),
        ("black_holes == 0", Query("black_holes"), 0),
        ("false_alarms == 0", Query("false_alarms"), 0),
        ("decisions > 0", Query("decisions"), 0),
        ("sla_misses != 3", Query("sla_misses"), 3),
        ("duplicates == 0", Query("duplicates"), 0),
    ],
)
def test_every_kind_of_line(text: str, query: Query, value: float) -> None:
    """Metrics, aggregates and units are read, and the limit is in the metric's unit."""
    expectation = parse(text)
    assert expectation.query == query
    assert expectation.limit.value == value
    assert expectation.confidence is None


def test_selection_and_confidence() -> None:
    """`for` narrows by any number of keys, `@` asks for confidence, in either order."""
    select = (("site", ("spoke*", "hub 1")), ("class", ("voice",)), ("fault", ("cut",)))
    query = Query("failover", "p99", "", select)
    for text in (
        'failover.p99 < 300ms @ 95% for site=spoke*,"hub 1" class=voice fault=cut',
        'failover.p99<300ms for site = spoke* , "hub 1"  class=voice fault=cut @95%',
    ):
        assert parse(text) == Expectation(
            query, Relation.LESS, Limit(Decimal(300), "ms", Dimension.DURATION), Decimal(95)
        )


names = st.text(min_size=1, max_size=8) | st.sampled_from(['a "b" c', "x.y", "p99", "for", "@"])
numbers = st.decimals(0, 10**9, places=3, allow_nan=False)
aggregates = st.sampled_from(["p0", "p5", "p50", "p99", "p99.9", "p99.95", "p100", "max", "min"])
confidences = st.none() | st.decimals(50, 99, places=2)


@st.composite
def expectations(draw: st.DrawFn) -> Expectation:
    metric = draw(st.sampled_from(list(CATALOGUE.values())))
    scoped = draw(st.sampled_from(metric.scoped))
    keys = [k for k in metric.keys if not (scoped and k == "class")]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    patterns = st.lists(names, min_size=1, max_size=3).map(tuple)
    query = Query(
        metric.name,
        draw(_aggregate(metric)),
        draw(names) if scoped else "",
        tuple((key, draw(patterns)) for key in chosen),
    )
    dimension = Dimension.COUNT if query.aggregate == "count" else metric.dimension
    number = Decimal(draw(st.integers(0, 10**9))) if dimension == "count" else draw(numbers)
    relation = draw(st.sampled_from(Relation))
    confidence = draw(confidences)
    if is_percentile(query.aggregate) and not relation.ordered:
        confidence = None
    limit = Limit(number, draw(st.sampled_from(list(UNITS[dimension]))), dimension)
    return Expectation(query, relation, limit, confidence)


def _aggregate(metric: Metric) -> st.SearchStrategy[str]:
    options = [st.just("")] if metric.plain else []
    options += [aggregates if name == "p" else st.just(name) for name in metric.aggregates]
    return st.one_of(options)


@given(expectations())
def test_what_is_written_can_be_read(expectation: Expectation) -> None:
    """The canonical form of any expectation parses to the same one, whatever the names are."""
    assert parse(str(expectation)) == expectation


@given(st.text(max_size=40) | st.text(alphabet='failover.p99 <=3ms@%,"for site', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text whatever causes anything but an expectation or one error with its place."""
    try:
        expectation = parse(text)
    except ExpectationError as error:
        mistake = error
    else:
        assert parse(str(expectation)) == expectation
        return
    assert mistake.what
    assert 1 <= mistake.column <= len(text) + 1
    assert mistake.width >= 1


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "the line ends too early; expected a metric such as"),
        ("failovr.p99 < 3s", 1, "unknown metric `failovr`; expected one of detection,"),
        ("failovr.p99 < 3s", 1, "did you mean `failover`?"),
        ("failover < 3s", 1, "`failover` needs an aggregate; expected p0 … p100, max, min, mean,"),
        ("failover < 3s", 1, "for example `failover.p99`"),
        ("class.voice.delay < 3s", 1, "for example `class.voice.delay.p99`"),
        ("failover.p101 < 3s", 1, "`failover` has no aggregate `p101`"),
        ("failover.p99.999 < 3s", 1, "has no aggregate `p99.999`"),
        ("failover.maxx < 3s", 1, "did you mean `max`?"),
        ("loops.max == 0", 1, "`loops` takes no aggregate; write `loops`"),
        ("class.voice.loss.count < 3", 1, "has no aggregate `count`"),
        ("loss < 1%", 1, "`loss` is measured for one class; write `class.NAME.loss`"),
        ("loss.p99 < 1%", 1, "write `class.NAME.loss.p99`"),
        ("class.voice.flaps == 0", 1, "measured for the whole run, not a class; write `flaps`"),
        ("class.voice < 1%", 1, "expected class.NAME.METRIC; for example `class.voice.loss`"),
        ('class."".loss < 1%', 1, "does not say what of which class"),
        ("failover.p99", 13, "the line ends too early; expected one of <, <=, >, >=, ==, !="),
        ("failover.p99 = 3s", 14, "`=` is no comparison"),
        ("failover.p99 = 3s", 14, "write `==`"),
        ("failover.p99 =< 3s", 14, "write `<=`"),
        ("failover.p99 < 300", 16, "`300` has no unit; expected a duration such as 300ms"),
        ("failover.p99 < 300", 16, "write `300ms`"),
        ("failover.p99 < 300 ms", 16, "`300` has no unit"),
        ("failover.p99 < 300msec", 16, "unknown unit `msec`; expected a duration such as 300ms"),
        ("failover.p99 < 300msec", 16, "did you mean `ms`?"),
        ("failover.p99 < -3s", 16, "unexpected `-3s`; expected a duration"),
        ("failover.p99 < nan", 16, "unexpected `nan`"),
        ("failover.p99 < 0.1%", 16, "unknown unit `%`; expected a duration"),
        ("class.voice.loss < 0.1", 20, "`0.1` has no unit; expected a share such as 0.1%"),
        ("class.voice.loss < 0.1", 20, "write `0.1%`"),
        ("class.voice.mos > 4ms", 19, "`4ms` is not a score between 1 and 5"),
        ("flaps <= 2.5", 10, "`2.5` is not a whole number"),
        ("flaps <= 2 3", 12, "unexpected `3`; expected `@ 95%`, `for site=…`, or the end"),
        ("flaps <= 2 @ 95", 14, "unexpected `95`; expected a confidence such as 95%"),
        ("flaps <= 2 @ 100%", 14, "`100%` is no confidence; expected from 50% to below 100%"),
        ("flaps <= 2 @ 99.99999%", 14, "unexpected `99.99999%`; expected a confidence"),
        ("flaps <= 2 @ 5%", 14, "`5%` is no confidence"),
        ("flaps <= 2 @ 95% @ 95%", 18, "unexpected `@`"),
        ("failover.p99 == 3s @ 95%", 22, "a percentile of new seeds is never exactly `3s`"),
        ("failover.p99 < 3s for", 22, "ends too early; expected KEY=NAME with one of site, dest"),
        ("failover.p99 < 3s for sites=x", 23, "`failover` cannot be narrowed by `sites`"),
        ("failover.p99 < 3s for sites=x", 23, "did you mean `site`?"),
        ("class.voice.failover.p99 < 3s for class=x", 35, "cannot be narrowed by `class`"),
        ("class.voice.loss < 3% for fault=cut", 27, "cannot be narrowed by `fault`"),
        ("loops == 0 for site=x", 12, "`loops` counts the whole run and cannot be narrowed"),
        ("failover.p99 < 3s for site=a site=b", 30, "`site` is given twice; write `site=A,B`"),
        ("failover.p99 < 3s for site=a,", 30, "the line ends too early; expected a name"),
        ("failover.p99 < 3s for site=a b", 30, "unexpected `b`"),
    ],
)
def test_mistakes_are_explained_where_they_are(text: str, column: int, message: str) -> None:
    """A mistake names its place, what was expected instead and, if there is one, a remedy."""
    with pytest.raises(ExpectationError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class.voce.loss < 1%",
            "no class matches `voce`; expected one of best effort, bulk, voice;",
        ),
        ("class.voce.loss < 1%", "did you mean `voice`?"),
        ("failover.p99 < 1s for site=hub*", "no site matches `hub*`"),
        ("failover.p99 < 1s for fault=cutt", "did you mean `cut`?"),
        ("class.voice < 1%", "for example `class.voice.loss`"),
    ],
)
def test_names_that_do_not_exist_are_refused(text: str, message: str) -> None:
    """Given the names of a scenario, a selection that can never match is a mistake."""
    with pytest.raises(ExpectationError, match=r".") as caught:
        parse(text, NAMES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "failover.p99 < 1s for site=spoke*,berlin fault=cut#3 destination=anything",
        'class."best effort".loss < 1%',
        "failover.p99 < 1s for fault=s*#0",
    ],
)
def test_names_that_exist_are_accepted(text: str) -> None:
    """Patterns, occurrences of faults, and keys without a list of names pass."""
    assert parse(text, NAMES) == parse(text)


@pytest.mark.parametrize(
    ("relation", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_relations(relation: str, below: bool, equal: bool, above: bool) -> None:
    """Each relation holds on the sides of the limit that it names."""
    held = [parse(f"flaps {relation} 2").holds(v) for v in (1, 2, 3)]
    assert held == [below, equal, above]


def test_the_documented_lines_can_be_read() -> None:
    """Every expectation of the documentation parses to itself."""
    text = (ROOT / "docs/expectations.md").read_text()
    example = text.split("```yaml")[1].split("```")[0]
    lines = [line.removeprefix("  - ") for line in example.splitlines() if line.startswith("  - ")]
    assert len(lines) == 9
    assert [str(parse(line)).replace("p5 ", "p05 ") for line in lines] == lines
