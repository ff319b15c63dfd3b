"""Test packets: a few tunnels through what a fault hits, and packets at an even pace on each.

Their luck is their own (a stream named after the fault), so that they change nothing
for anybody else, and they are delivered by the same wire as everybody's packets.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.selection import Bools
from patronus.engine.units import MS
from patronus.sim.gauging.company import Company, Ways
from patronus.sim.luck import object_keys, words
from patronus.sim.scenario import FaultKind
from patronus.sim.timeline import Occurrence
from patronus.sim.wire import Wire

ROWS: Final = 64
"""Tunnels that are measured for one fault, at most."""

_PACE_NS: Final = 20 * MS
"""Time between two packets of a tunnel when there are so many ..."""

_FASTEST_NS: Final = MS
"""... and never less than this, however few they are; all together keep up the same pace."""

_LOOKED_AT: Final = 2048
"""Tunnels of which the best are chosen."""


@dataclass(frozen=True, eq=False)
class Field:
    """The tunnels that are measured, and the way each has at first."""

    ways: Ways
    keys: U64
    crossed: I64
    """How many of the links that the fault hits each way crosses."""
    route: I32
    """The provider's part of each way at first."""

    @property
    def pace_ns(self) -> int:
        """Time between two packets of a tunnel."""
        return max(_FASTEST_NS, _PACE_NS * len(self.keys) // ROWS)


@dataclass(frozen=True, eq=False)
class Shots:
    """The packets of one slot; arrays of shape (rows, packets)."""

    sent_ns: I64
    ordinal: I64
    word: U64
    inside: Bools
    """Sent within the slot, on the way that the tunnel had at first."""


def choose(
    occurrence: Occurrence,
    wire: Wire,
    company: Company,
    seed: int,
    *,
    from_ns: int,
    until_ns: int,
    kinds: frozenset[FaultKind],
) -> Field:
    """Choose tunnels through what an occurrence hits.

    The fewer other faults may come in between, and the fewer of the links that are hit
    a tunnel crosses, the better; beyond that luck decides.

    Args:
        occurrence: what is measured.
        wire: where.
        company: tells which other faults are there.
        seed: of all luck.
        from_ns: when measuring begins.
        until_ns: when it ends.
        kinds: of those other faults that matter.
    """
    rows = _through(occurrence, wire)
    keys = object_keys(seed, f"gauge/{occurrence.fault.name}", wire.overlay.key[rows])
    few = np.argsort(keys, kind="stable")[:_LOOKED_AT]
    rows, keys = rows[few], keys[few]
    ways = Ways(rows, wire.links_of(rows))
    crossed = np.ones(len(rows), dtype=np.int64)
    if occurrence.links:
        crossed = np.isin(ways.links, occurrence.links).sum(axis=1)
    crowd = company.crowd(ways, from_ns, until_ns, kinds)
    order = np.lexsort((np.arange(len(rows)), crossed, crowd))
    best = np.sort(order[crossed[order] > 0][:ROWS])
    route = wire.route[wire.segment[rows[best]]]
    return Field(Ways(rows[best], ways.links[best]), keys[best], crossed[best], route)


def _through(occurrence: Occurrence, wire: Wire) -> I64:
    overlay: Overlay = wire.overlay
    if occurrence.links:
        return wire.rows_of(np.array(occurrence.links, dtype=np.int64))
    if occurrence.rows:
        rows = np.array(occurrence.rows, dtype=np.int64)
        return np.concatenate([rows, overlay.reverse[rows].astype(np.int64)])
    return hits(np.isin(overlay.dst, occurrence.sites))


def fire(field: Field, wire: Wire, start_ns: int, until_ns: int) -> Shots:
    """Return the packets that are due in a slot."""
    pace = field.pace_ns
    phase = (field.keys % np.uint64(pace)).astype(np.int64)[:, None]
    first = -((phase - start_ns) // pace)
    count = -(-(until_ns - start_ns) // pace)
    ordinal = first + np.arange(count)[None, :]
    sent = ordinal * pace + phase
    keys = np.broadcast_to(field.keys[:, None], sent.shape)
    word = words(keys.ravel(), ordinal.ravel()).reshape(sent.shape)
    inside = (sent >= start_ns) & (sent < until_ns) & unmoved(field, wire)[:, None]
    return Shots(sent, ordinal, word, inside)


def unmoved(field: Field, wire: Wire) -> Bools:
    """Tell which tunnels still have the way that they had at first."""
    routes = wire.route[wire.segment[field.ways.rows]], field.route
    if routes[0].shape == routes[1].shape:
        alike: Bools = (routes[0] == routes[1]).all(axis=1)
        return alike
    # The tables may differ in width.
    width = max(r.shape[1] for r in routes)
    now, first = (
        np.pad(r, ((0, 0), (0, width - r.shape[1])), constant_values=wire.neutral) for r in routes
    )
    same: Bools = (now == first).all(axis=1)
    return same
