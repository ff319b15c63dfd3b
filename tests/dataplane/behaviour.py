"""What any dataplane does: one property, lived through by the fake and by the kernel.

A *rig* is a dataplane with the world around it: it brings cuts and proofs to the tunnels as
that dataplane learns of them. :func:`holds` lives through a history on a rig and compares
every answer with a kernel of plain records.
"""

from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from hypothesis import strategies as st

from patronus.dataplane.protocol import Dataplane, KernelMoves
from patronus.engine.fastpath import Counter, Verdict
from patronus.engine.forwarding import NO_ROW, EntrySpace, ForwardingDelta
from patronus.engine.overlay import I64
from tests.oracles.kernel import Kernel, Move

BASE = -10
SPAN = 14


class Shape(NamedTuple):
    """The sites, tunnels and entries of a history."""

    source: list[int]
    """Site of each row."""
    space: EntrySpace


class Event(NamedTuple):
    """What the engine or the world does at one instant."""

    what: str
    at: int
    which: int
    """An entry, a row or a site, by what is done."""
    rows: tuple[int, int, int] = (NO_ROW,) * 3
    flag: bool = False


class History(NamedTuple):
    """A life of some tunnels."""

    shape: Shape
    hold: int
    detect: list[int]
    bounds: list[int]
    """Slots of the dense stamps lie between them."""
    proofs: list[set[int]]
    """By row."""
    cuts: set[tuple[int, int]]
    """(Row, start of a slot): the peer says it hears nothing."""
    changes: list[tuple[int, int, int]]
    """(Start of a slot, row, new detect time)."""
    events: list[Event]


class Rig(Protocol):
    """A dataplane and its world."""

    @property
    def plane(self) -> Dataplane:
        """The dataplane itself."""

    def begin(self, start: int, end: int) -> None:
        """A slot begins; its detect times are set."""

    def instant(self, at: int, cuts: list[int], proofs: list[int]) -> None:
        """What was stale expires, then packets arrive."""

    def set_agent(self, site: int, *, stale: bool, now_ns: int) -> None:
        """A site's agent stops, or is back."""

    def settle(self, now_ns: int) -> None:
        """Packets of every entry pass, as far as that matters here."""

    def where_many(self, entries: I64, now_ns: int) -> list[Verdict]:
        """Tell where packets would go."""

    def used(self) -> list[int]:
        """Return the row that carries each entry."""


def rows_of(shape: Shape, site: int) -> st.SearchStrategy[int]:
    return st.sampled_from([NO_ROW, *(r for r, s in enumerate(shape.source) if s == site)])


def applies(shape: Shape, entry: int, at: int) -> st.SearchStrategy[Event]:
    row = rows_of(shape, shape.space.key(entry).site)
    rows = st.tuples(row, row, row)
    return st.builds(Event, st.just("apply"), st.just(at), st.just(entry), rows, st.booleans())


@st.composite
def events(draw: st.DrawFn, shape: Shape) -> Event:
    what = draw(st.sampled_from(["apply", "clear", "clear", "agent"]))
    at = draw(st.integers(0, SPAN - 1))
    if what == "apply":
        return draw(applies(shape, draw(st.integers(0, shape.space.entries - 1)), at))
    most = len(shape.source) if what == "clear" else shape.space.sites
    return Event(what, at, draw(st.integers(0, most - 1)), flag=draw(st.booleans()))


@st.composite
def histories(draw: st.DrawFn, shape: Shape) -> History:
    bounds = sorted({0, SPAN} | draw(st.sets(st.integers(1, SPAN - 1), max_size=5)))
    start, row = st.sampled_from(bounds[:-1]), st.integers(0, len(shape.source) - 1)
    n = len(shape.source)
    dense = st.integers(0, 3).map(lambda step: set(range(0, SPAN, step)) if step else set[int]())
    proofs = st.sets(st.integers(0, SPAN - 1), max_size=SPAN) | dense
    sites = range(shape.space.sites)
    return History(
        shape=shape,
        hold=draw(st.integers(0, 5)),
        detect=draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)),
        bounds=bounds,
        proofs=draw(st.lists(proofs, min_size=n, max_size=n)),
        cuts=draw(st.sets(st.tuples(row, start), max_size=2)),
        changes=draw(st.lists(st.tuples(start, row, st.integers(0, 7)), max_size=2)),
        events=[
            *(draw(applies(shape, entry, 0)) for entry in range(shape.space.entries)),
            *(Event("agent", 0, site, flag=draw(st.booleans())) for site in sites),
            *sorted(draw(st.lists(events(shape), max_size=14)), key=lambda e: e.at),
        ],
    )


def delta(entry: int, rows: tuple[int, int, int], *, drop: bool, generation: int = 1) -> Any:
    return ForwardingDelta(
        generation=generation,
        entries=np.array([entry], dtype=np.int64),
        rows=np.array([rows], dtype=np.int32),
        drop=np.array([drop]),
        shared_fate=np.array([False]),
    )


def moves(of: KernelMoves) -> list[Move]:
    columns = of.at_ns, of.entries, of.from_rows, of.to_rows
    return list(zip(*(column.tolist() for column in columns), strict=True))


def act(rig: Rig, kernel: Kernel, event: Event, now: int) -> None:
    if event.what == "apply":
        kernel.apply(event.which, event.rows, event.flag, now)
        change = delta(event.which, event.rows, drop=event.flag, generation=now)
        assert rig.plane.apply(change, now) == now
    elif event.what == "clear":
        kernel.clear([event.which], now)
        rig.plane.clear_latch([event.which], now)
    else:
        kernel.stale[event.which] = event.flag
        rig.set_agent(event.which, stale=event.flag, now_ns=now)
    kernel.settle(now)
    rig.settle(now)


def holds(rig: Rig, history: History) -> None:
    """Live through a history; every answer must be the oracle's."""
    space = history.shape.space
    kernel = Kernel(history.shape.source, space.per_site, history.detect, history.hold)
    for start, end in pairwise(history.bounds):
        for _, row, detect in (c for c in history.changes if c[0] == start):
            kernel.set_detect(row, detect)
            rig.plane.set_detect(np.array([row]), np.array([detect]), BASE + start)
        rig.begin(start, end)
        for at in range(start, end):
            cuts = [row for row, when in history.cuts if when == at]
            proofs = [row for row, times in enumerate(history.proofs) if at in times]
            kernel.instant(BASE + at, cuts=cuts, proofs=proofs)
            rig.instant(at, cuts, proofs)
            for event in (e for e in history.events if e.at == at):
                act(rig, kernel, event, BASE + at)
            agrees(rig, kernel, space, at)
    for site in range(space.sites):
        # Entries of one instant have no order among each other; the moves of one entry have.
        got = sorted(moves(rig.plane.events(site)), key=lambda move: move[:2])
        assert got == sorted(kernel.moves[site], key=lambda move: move[:2])


def agrees(rig: Rig, kernel: Kernel, space: EntrySpace, at: int) -> None:
    now = BASE + at
    expected = [kernel.where(entry, now) for entry in range(space.entries)]
    assert rig.where_many(np.arange(space.entries), now) == expected
    entry = at % space.entries
    assert rig.plane.where(entry, now) == expected[entry]
    rig.settle(now)
    assert rig.used() == [verdict.row for verdict in expected]


def verdicts(rows: Any, counters: Any) -> list[Verdict]:
    """Return columns of verdicts one by one."""
    return [Verdict(int(r), Counter(int(c))) for r, c in zip(rows, counters, strict=True)]
