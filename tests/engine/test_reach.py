"""Contents in words and back, between sites that do not know the same names."""

from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import reach as kernel
from patronus.engine.announcement import decode, encode
from patronus.engine.overlay import Overlay, build_overlay
from patronus.engine.policy import Policy, TrafficClass
from patronus.engine.reach import Reach, nothing
from patronus.engine.verdict import UNKNOWN
from tests.mutants.harness import caught, mutant

NETS = ("zebra", "ant", "mouse", "cow")
CLASSES = ("voice", "bulk", "data")

Cell = tuple[bool, int, int, int, int]

NONE: Cell = (False, -1, -1, -1, UNKNOWN)
CELLS: tuple[Cell, ...] = (
    (True, 7, 5, 3, 0), (False, 9, 9, 9, 2), (True, -1, 10**12, 10**6, 1), NONE, (True, 0, 0, 0, 0),
)  # fmt: skip


class Side(NamedTuple):
    """What one site's configuration knows, in its own order; sites are always there."""

    nets: list[str]
    classes: list[str]

    @property
    def overlay(self) -> Overlay:
        return build_overlay(
            sites=("b", "a"),
            transports=("t",),
            pairs=np.array([(0, 1, 0)], dtype=np.int64),
            destinations=[(net, ["a", "b"]) for net in self.nets],
            transit=("a",),
        )

    @property
    def places(self) -> list[str]:
        return ["b", "a", *self.nets]


class Exchange(NamedTuple):
    """Who speaks and who listens, what is announced, and cells to fill the content with."""

    speaker: Side
    listener: Side
    announced: int
    content: int


SIDES = st.builds(
    Side,
    st.lists(st.sampled_from(NETS), unique=True),
    st.lists(st.sampled_from(CLASSES), unique=True, min_size=1),
)
EXCHANGES = st.builds(
    Exchange, SIDES, SIDES, st.integers(0, 63), st.integers(0, 99).map(lambda n: n * 7_777_777)
)


def cell_of(exchange: Exchange, place: str, name: str) -> Cell:
    """Return what the speaker says of a destination and class."""
    which = exchange.content // (1 + len(place) + 3 * len(name)) + ord(place[0]) + ord(name[0])
    return CELLS[which % len(CELLS)]


def announces(exchange: Exchange, place: str) -> bool:
    return bool(exchange.announced >> exchange.speaker.places.index(place) & 1)


def content(exchange: Exchange) -> Reach:
    places, names = exchange.speaker.places, exchange.speaker.classes
    cells = np.array([[cell_of(exchange, p, n) for n in names] for p in places], dtype=np.int64)
    return Reach(
        announces=np.array([announces(exchange, p) for p in places], dtype=np.bool_),
        usable=cells[:, :, 0].astype(np.bool_),
        rtt_ns=cells[:, :, 1],
        jitter_ns=cells[:, :, 2],
        loss_ppm=cells[:, :, 3],
        verdict=cells[:, :, 4].astype(np.int8),
    )


def understood(module: ModuleType, exchange: Exchange) -> None:
    speaker, listener = exchange.speaker, exchange.listener
    says, hears = (
        module.Interpreter(side.overlay, Policy(tuple(TrafficClass(c) for c in side.classes)))
        for side in (speaker, listener)
    )
    told = says.announcement(1, content(exchange), counter=3, version=2, now_ns=5)
    assert (told.origin, told.counter, told.version, told.sent_ns) == ("a", 3, 2, 5)
    assert told.lan_up == any(announces(exchange, p) for p in speaker.places)
    reach = hears.reach(decode(encode(told)))
    for d, place in enumerate(listener.places):
        known = place in speaker.places
        assert reach.announces[d] == (known and announces(exchange, place))
        for c, name in enumerate(listener.classes):
            both = known and name in speaker.classes
            fields = (reach.usable, reach.rtt_ns, reach.jitter_ns, reach.loss_ppm, reach.verdict)
            heard = tuple(int(field[d, c]) for field in fields)
            assert heard == (cell_of(exchange, place, name) if both else NONE)


@given(EXCHANGES)
def test_what_both_know_arrives_and_nothing_else(exchange: Exchange) -> None:
    """Over the wire, whatever the order of names on either side; the rest is not reached."""
    understood(kernel, exchange)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("told.usable[to] = a.usable[at]", "pass"),
        ("told.rtt_ns[to] = a.rtt_ns[at]", "told.rtt_ns[to] = a.jitter_ns[at]"),
        ("told.jitter_ns[to] = a.jitter_ns[at]", "told.jitter_ns[to] = a.rtt_ns[at]"),
        ("told.loss_ppm[to] = a.loss_ppm[at]", "pass"),
        ("told.verdict[to] = a.verdict[at]", "pass"),
        ("= a.lan_up", "= True ^ a.lan_up"),
        ("verdict=reach.verdict[at]", "verdict=reach.verdict"),
        ("own = reach.announces[number].tolist()", "own = reach.announces.tolist()"),
        ("if n in self._number]", "]"),
        ("np.ix_(place, class_place)", "np.ix_(number, class_number)"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the interpreter is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(EXCHANGES, lambda exchange: understood(broken, exchange))


# ------------------------------------------------------------ comparing contents

TWO = st.lists(st.sampled_from([0, 0, 0, 1]), min_size=12, max_size=12)


def bits(flags: list[int]) -> Reach:
    """Return a content of two destinations and one class; each flag turns one value."""
    f = np.array(flags, dtype=np.int64)
    return Reach(
        announces=f[:2].astype(np.bool_),
        usable=f[2:4, None].astype(np.bool_),
        rtt_ns=f[4:6, None] - 1,
        jitter_ns=f[6:8, None] - 1,
        loss_ppm=f[8:10, None] - 1,
        verdict=f[10:12, None].astype(np.int8),
    )


def compared(module: ModuleType, pair: tuple[list[int], list[int]]) -> None:
    one, other = pair
    mine = module.Reach(*(getattr(bits(one), f) for f in bits(one).__slots__))
    same, loses = mine.same(bits(other)), mine.loses(bits(other))
    assert same == (one == other)
    # Who offers less? Figures and verdicts may change without anything being withdrawn.
    assert loses == any(a > b for a, b in zip(one[:4], other[:4], strict=True))


PAIRS = st.tuples(TWO, TWO) | TWO.map(lambda flags: (flags, list(flags)))


@given(PAIRS)
def test_contents_are_compared_value_by_value(pair: tuple[list[int], list[int]]) -> None:
    """Two are the same when every value is; less is offered where a flag goes out."""
    compared(kernel, pair)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(self.announces & ~other.announces).any() | ", ""),
        (" | (self.usable & ~other.usable).any()", ""),
        ("self.announces & ~other.announces", "self.announces ^ other.announces"),
        ("for f in fields(Reach)", "for f in fields(Reach)[:-1]"),
        ("for f in fields(Reach)", "for f in fields(Reach)[1:]"),
    ],
)
def test_the_comparison_catches_mutants(old: str, new: str) -> None:
    """A value that is not compared is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(PAIRS, lambda pair: compared(broken, pair))


def test_nothing_offers_nothing() -> None:
    """The content of a silent site announces nothing and reaches nothing, all unknown."""
    empty = nothing(2, 3)
    assert not empty.announces.any()
    assert not empty.usable.any()
    figures = np.stack([empty.rtt_ns, empty.jitter_ns, empty.loss_ppm])
    assert figures.shape == (3, 2, 3)
    assert (figures == -1).all()
    assert (empty.verdict == UNKNOWN).all()
