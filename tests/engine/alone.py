"""An engine that holds one site alone, spoken to in the numbers of the whole overlay.

On a router rows, sites, destinations and entries count from the router's own; in a
:class:`Fleet` everybody counts alike. This translates, and decides nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from patronus.engine.engine import Engine, Received
from patronus.engine.fingerprint import U64
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.liveness import I8
from patronus.engine.meters import Alarmed
from patronus.engine.output import Output
from patronus.engine.overlay import I32, I64, Overlay, alone
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.verdict import Figures
from tests.engine.fleet import Fleet

OWN = 0
"""What a lonely engine calls its own site."""


class Alone:
    """One site's engine over :func:`alone`."""

    def __init__(
        self, site: int, overlay: Overlay, policy: Policy, *, fates: U64, **others: Any
    ) -> None:
        self.first = int(overlay.site_start[site])
        mine = slice(self.first, int(overlay.site_start[site + 1]))
        self.engine = Engine(alone(overlay, site), policy, fates=fates[mine], **others)
        self.classes, self.wide = len(policy.classes), len(overlay.destinations)
        self.start = site * self.wide * self.classes
        lans = len(overlay.sites)
        order = [site, *(s for s in range(lans) if s != site), *range(lans, self.wide)]
        self.destination = np.array(order, dtype=np.int64)
        """Number in the whole overlay of each destination here."""

    def __getattr__(self, name: str) -> Any:
        """Whatever speaks of no row and no entry is asked as it is."""
        return getattr(self.engine, name)

    @property
    def recording(self) -> bool:
        return self.engine.recording

    @recording.setter
    def recording(self, on: bool) -> None:
        self.engine.recording = on

    # ------------------------------------------------------------ numbers

    def row(self, rows: I64) -> I64:
        """Return own numbers of rows."""
        return rows - self.first

    def rows(self, rows: Any) -> Any:
        """Return everybody's numbers of rows."""
        return np.where(rows == NO_ROW, NO_ROW, rows + self.first).astype(rows.dtype)

    def entries(self, entries: I64) -> I64:
        """Return everybody's numbers of entries."""
        destination, number = np.divmod(entries, self.classes)
        return self.start + self.destination[destination] * self.classes + number

    def entry(self, entries: I64) -> I64:
        """Return own numbers of entries."""
        destination, number = np.divmod(entries - self.start, self.classes)
        return np.argsort(self.destination)[destination] * self.classes + number

    # ------------------------------------------------------------ verbs

    def take(self) -> Output:
        out = self.engine.take()
        return Output(
            deltas=[self._delta(delta) for delta in out.deltas],
            unlatch=[row + self.first for row in out.unlatch],
            detect=[(rows + self.first, wish) for rows, wish in out.detect],
            announcements=out.announcements,
            detections=[(row + self.first, at, layer) for row, at, layer in out.detections],
        )

    def _delta(self, delta: ForwardingDelta) -> ForwardingDelta:
        return replace(delta, entries=self.entries(delta.entries), rows=self.rows(delta.rows))

    def observe(self, rows: I64, **samples: I64) -> Alarmed:
        return self._alarmed(self.engine.observe(self.row(rows), **samples))

    def count(self, rows: I64, **counts: I64) -> Alarmed:
        return self._alarmed(self.engine.count(self.row(rows), **counts))

    def report(self, rows: I64, **told: I64) -> Alarmed:
        return self._alarmed(self.engine.report(self.row(rows), **told))

    def _alarmed(self, alarmed: Alarmed) -> Alarmed:
        return alarmed._replace(rows=alarmed.rows + self.first)

    def figures(self, rows: I64, now_ns: int) -> Figures:
        return self.engine.figures(self.row(rows), now_ns)

    def edges(self, rows: I64, kinds: I8, at_ns: int) -> None:
        self.engine.edges(self.row(rows), kinds, at_ns)

    def heard(self, rows: I64, at_ns: I64) -> None:
        self.engine.heard(self.row(rows), at_ns)

    def carrier_lost(self, rows: I64, at_ns: int) -> None:
        self.engine.carrier_lost(self.row(rows), at_ns)

    def alarm(self, rows: I64, at_ns: int, figures: Figures) -> None:
        self.engine.alarm(self.row(rows), at_ns, figures)

    def learn(self, received: Sequence[Received], now_ns: int) -> None:
        here = np.array([OWN], dtype=np.int64)
        self.engine.learn([(here, announcement) for _, announcement in received], now_ns)

    def drain(self, rows: I64, now_ns: int, *, on: bool) -> None:
        self.engine.drain(self.row(rows), now_ns, on=on)

    def evaluate(self, sites: Sequence[int], now_ns: int) -> None:
        self.engine.evaluate([OWN], now_ns)

    def set_lan(self, site: int, *, up: bool, now_ns: int) -> None:
        self.engine.set_lan(OWN, up=up, now_ns=now_ns)

    def configure(self, sites: Sequence[int], policy: Policy | None, now_ns: int) -> None:
        self.engine.configure([OWN], policy, now_ns)

    def set_fates(self, rows: I64, fates: U64) -> None:
        self.engine.set_fates(self.row(rows), fates)

    def restart(self, site: int, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        mine = slice(self.first, self.first + self.engine.overlay.rows)
        self.engine.restart(OWN, now_ns, since_ns=since_ns[mine], latched=latched[mine])

    def resume(self, site: int, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        mine = slice(self.first, self.first + self.engine.overlay.rows)
        self.engine.resume(OWN, now_ns, since_ns=since_ns[mine], latched=latched[mine])

    def kernel_moved(self, entries: I64, before: I32, after: I32, now_ns: int) -> None:
        before, after = (np.where(rows == NO_ROW, NO_ROW, rows - self.first).astype(np.int32)
                         for rows in (before, after))  # fmt: skip
        self.engine.kernel_moved(self.entry(entries), before, after, now_ns)


class Hermits(Fleet):
    """A fleet in which each site's engine holds that site alone, as routers do."""

    def _engine_of(
        self, site: int, overlay: Overlay, policy: Policy, *, fates: U64, **others: Any
    ) -> Alone:
        return Alone(site, overlay, policy, fates=fates, **others)
