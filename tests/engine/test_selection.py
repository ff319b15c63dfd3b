"""Selection against a list read from the top; what being better or worse can change."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import selection
from patronus.engine.fingerprint import combine
from patronus.engine.forwarding import NO_ROW
from patronus.engine.selection import LAST_RESORT, Field, Traits, select
from tests.mutants.harness import caught, mutant
from tests.oracles import selection as oracle
from tests.oracles.selection import Way

MARGINS = st.tuples(st.sampled_from([0, 1, 5, 100]), st.sampled_from([0, 1, 100_000, 10**6]))
"""The margin in ns and in ppm."""

METRIC = st.sampled_from([0, 1, 94, 95, 96, 100, 101, 105, 106, 110, 111, 2**42 - 1, 2**42])
GRADE = st.sampled_from([0, 0, 0, 1, 2**16, LAST_RESORT - 1, LAST_RESORT, 2 * LAST_RESORT])
WAY = st.builds(
    Way,
    usable=st.sampled_from([True, True, True, False]),
    grade=GRADE,
    now=st.sampled_from([0, 100, 100, 101, 2**42]),
    smooth=METRIC,
    tie=st.just(0),
    lane=st.integers(0, 2),
    fates=st.frozensets(st.sampled_from([0, 1, 63, 64, 90]), max_size=2),
    end=st.sampled_from([-1, 3, 4]),
)


PAIR_KEY = np.array([2**63 + 5], dtype=np.uint64)
KEYS = np.arange(1, 6, dtype=np.uint64)
TIES = (combine(KEYS, PAIR_KEY) >> np.uint64(1)).tolist()
"""What ``KEYS`` of rows come to for the pair."""

BEYOND = 1000
"""The part of the metric of the last column that is not its row's."""


@st.composite
def pairs(draw: st.DrawFn, columns: int) -> tuple[list[Way], int]:
    """Draw the ways of one pair, and the place of the one in use (-1: none of them)."""
    ties = draw(st.permutations(range(columns)))
    ways = [draw(WAY)._replace(tie=TIES[tie]) for tie in ties]
    return ways, draw(st.integers(-1, columns - 1))


FIELDS = st.integers(1, 5).flatmap(
    lambda columns: st.tuples(st.lists(pairs(columns), min_size=1, max_size=4), MARGINS)
)
"""Some pairs of equally many ways each, and the margins."""

Example = tuple[list[tuple[list[Way], int]], tuple[int, int]]


def field_of(ways: list[list[Way]], places: list[int]) -> Field:
    """Lay out pairs and the places in use; every way has a row of its own, or perhaps none."""
    flat = [way for pair in zip(*ways, strict=True) for way in pair]
    shape = len(ways[0]), len(ways)
    rows = np.arange(len(flat), dtype=np.int64).reshape(shape)
    bits = np.zeros((2, len(flat)), dtype=np.uint64)
    for row, way in enumerate(flat):
        for group in way.fates:
            bits[group // 64, row] |= np.uint64(1 << group % 64)
    usable, grade, now, smooth, tie, lane, end = (
        np.array([getattr(way, name) for way in flat]).reshape(shape)
        for name in ("usable", "grade", "now", "smooth", "tie", "lane", "end")
    )
    now[-1] -= BEYOND
    return Field(
        rows=np.where(~usable & (lane == 0), NO_ROW, rows),
        usable=usable,
        grade=grade,
        metric=smooth,
        beyond=np.full((1, shape[1]), BEYOND, dtype=np.int64),
        lane=lane,
        end=end.astype(np.int32),
        incumbent=np.array(
            [p if p >= 0 and w[p].usable else -1 for p, w in zip(places, ways, strict=True)]
        ),
        key=PAIR_KEY.repeat(shape[1]),
        traits=Traits(now.ravel().take, KEYS[[TIES.index(t) for t in tie.ravel()]], tuple(bits)),
        worst=2**42,
    )


def chosen(
    module: ModuleType, ways: list[list[Way]], places: list[int], margins: tuple[int, int]
) -> list[tuple[list[int], bool, bool]]:
    field = field_of(ways, places)
    choice = module.select(field, margin_ns=margins[0], margin_ppm=margins[1])
    columns = choice.columns.T.tolist(), choice.shared_fate.tolist(), choice.waiting.tolist()
    return list(zip(*columns, strict=True))


def agree(module: ModuleType, plain: ModuleType, example: Example) -> None:
    some, margins = example
    ways, places = [w for w, _ in some], [p for _, p in some]
    told = chosen(module, ways, places, margins)
    assert told == [tuple(plain.choose(w, None if p < 0 else p, *margins)) for w, p in some]


@given(FIELDS)
def test_a_choice_is_what_reading_down_the_list_gives(example: Example) -> None:
    """Primary, backups, shared fate and patience are those of a list sorted by rank."""
    agree(selection, oracle, example)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(field.grade << METRIC_BITS) + field.metric", "field.grade + (field.metric << 20)"),
        ("~(better & no_worse)", "~better"),
        ("(wish < resort) | (least >= resort)", "wish < resort"),
        ("ties.argmin(axis=0)", "ties.argmax(axis=0)"),
        ("+ margin < smooth", "+ margin <= smooth"),
        ("np.maximum(margin_ns,", "np.minimum(margin_ns,"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(selection, old, new)
    assert caught(FIELDS, lambda example: agree(broken, oracle, example))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ways[place].smooth, ways[place].tie", "ways[place].now, ways[place].tie"),
        ("ways[place].smooth, ways[place].tie", "ways[place].smooth, place"),
        ("if way.usable", "if True"),
        ("new.grade == old.grade", "new.grade <= old.grade"),
        ("if not clear or new.now > old.now", "if not clear or new.now >= old.now"),
        ("waiting = clear", "waiting = True"),
        ("for taken in places)", "for taken in places[:1])"),
        ("for taken in places)", "for taken in places[-1:])"),
        ("shared_fate = not alone", "shared_fate = False"),
        ("one.lane != other.lane and", ""),
        (" and one.end != -1", ""),
        ("and not one.fates & other.fates ", ""),
        ("or rest", "or []"),
    ],
)
def test_the_property_tells_the_rule_from_its_neighbours(old: str, new: str) -> None:
    """With any part of the rule left out of the oracle some example is chosen otherwise."""
    other = mutant(oracle, old, new)
    assert caught(FIELDS, lambda example: agree(selection, other, example))


# ------------------------------------------------------------ better and worse


@given(FIELDS, st.data())
def test_columns_may_stand_in_any_order(example: Example, data: st.DataObject) -> None:
    """The same ways are chosen wherever they stand: nothing depends on a position."""
    some, margins = example
    order = data.draw(st.permutations(range(len(some[0][0]))))
    turned = [([ways[o] for o in order], -1 if p < 0 else order.index(p)) for ways, p in some]
    before = chosen(selection, [w for w, _ in some], [p for _, p in some], margins)
    after = chosen(selection, [w for w, _ in turned], [p for _, p in turned], margins)
    for (places, *flags), (others, *other_flags) in zip(before, after, strict=True):
        assert places == [-1 if p < 0 else order[p] for p in others]
        assert flags == other_flags


WORSE = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([1, 5, 10, 2**18]) for name in ("grade", "now", "smooth")}
)


@given(FIELDS, st.data(), WORSE)
def test_becoming_worse_never_makes_a_way_the_primary(
    example: Example, data: st.DataObject, worse: dict[str, int]
) -> None:
    """A way that is not taken is not taken either when its grade or its metrics rise."""
    some, margins = example
    ways, place = some[0]
    spot = data.draw(st.integers(0, len(ways) - 1))
    harmed = list(ways)
    values = {name: getattr(ways[spot], name) + more for name, more in worse.items()}
    values |= {name: min(values[name], 2**42) for name in values.keys() - {"grade"}}
    usable = ways[spot].usable and data.draw(st.booleans())
    harmed[spot] = ways[spot]._replace(usable=usable, **values)
    (before, *_), (after, *_) = (
        chosen(selection, [w], [place], margins)[0] for w in (ways, harmed)
    )
    assert after[0] != spot or before[0] == spot


@given(FIELDS, st.data())
def test_a_further_way_never_leaves_a_pair_with_less(example: Example, data: st.DataObject) -> None:
    """With one more usable way the primary ranks no worse, and no backup is lost."""
    some, margins = example
    ways, place = some[0]
    spot = data.draw(st.integers(0, len(ways) - 1))
    without = list(ways)
    without[spot] = ways[spot]._replace(usable=False)
    (fewer, *_), (more, *_) = (chosen(selection, [w], [place], margins)[0] for w in (without, ways))
    assert sum(p >= 0 for p in more) >= sum(p >= 0 for p in fewer)
    if fewer[0] >= 0:
        assert ways[more[0]].grade <= ways[fewer[0]].grade


@given(FIELDS)
def test_the_path_in_use_is_left_for_a_better_one_alone(example: Example) -> None:
    """A move between usable ways gains a grade, or the whole margin and nothing at present."""
    some, (margin_ns, margin_ppm) = example
    for ways, place in some:
        (primary, *_), *_ = chosen(selection, [ways], [place], (margin_ns, margin_ppm))[0]
        if place >= 0 and ways[place].usable and primary != place:
            old, new = ways[place], ways[primary]
            gained = old.smooth - new.smooth
            enough = max(margin_ns, old.smooth * margin_ppm // 10**6)
            assert new.grade < old.grade or (gained > enough and new.now <= old.now)


@given(FIELDS)
def test_choosing_again_changes_nothing(example: Example) -> None:
    """What was just chosen is chosen again: no pair goes to and fro by itself."""
    some, margins = example
    ways = [w for w, _ in some]
    first = chosen(selection, ways, [p for _, p in some], margins)
    again = chosen(selection, ways, [places[0] for places, *_ in first], margins)
    assert [c[:2] for c in again] == [c[:2] for c in first]


def test_a_hand_made_choice() -> None:
    """Of four ways the preferred one leads; its backup avoids lane and duct, the next the rest."""
    duct = frozenset({70})
    ways = [
        Way(usable=True, grade=0, now=40, smooth=40, tie=TIES[0], lane=0, fates=duct, end=-1),
        Way(usable=True, grade=1, now=10, smooth=10, tie=TIES[1], lane=1, fates=duct, end=-1),
        Way(
            usable=True, grade=2, now=50, smooth=50, tie=TIES[2], lane=2, fates=frozenset(), end=-1
        ),
        Way(
            usable=True, grade=3, now=60, smooth=60, tie=TIES[3], lane=0, fates=frozenset(), end=-1
        ),
    ]
    choice = select(field_of([ways], [-1]), margin_ns=5, margin_ppm=0)
    assert choice.columns.T.tolist() == [[0, 2, 1]]
    assert not choice.shared_fate.any()
    some = np.array([[True], [True], [False], [False]])
    choice = select(replace(field_of([ways], [-1]), usable=some), margin_ns=5, margin_ppm=0)
    assert choice.columns.T.tolist() == [[0, 1, -1]]
    assert choice.shared_fate.all()


def test_the_metric_of_the_moment_is_that_of_the_whole_way() -> None:
    """A last column adds what lies beyond its row, and an unknown rest stays the worst of all."""
    way = Way(
        usable=True, grade=0, now=40, smooth=0, tie=TIES[0], lane=0, fates=frozenset(), end=-1
    )
    field = field_of([[way, way], [way, way._replace(now=2**42 + BEYOND)]], [-1, -1])
    columns, pairs = np.array([0, 1, 1]), np.array([0, 0, 1])
    assert field.traits.metric_now(field.rows[columns, pairs]).tolist() == [40, 40 - BEYOND, 2**42]
    assert field.now(columns, pairs).tolist() == [40, 40, 2**42]
