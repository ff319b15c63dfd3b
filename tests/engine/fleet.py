"""One engine for all sites beside one engine a site, told the same, and heard to say the same.

The simulator's engine holds the rows of every site; a router's holds its own. A
:class:`Fleet` stands in the world in place of the engine and is both: whatever the world
says goes to the one engine, and to each site's own engine as far as it concerns that
site. Announcements travel between the sites' engines as bytes. After each verb all that
they decided and want done must be equal; the first difference ends the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final

import numpy as np

from patronus.engine.announcement import decode, encode
from patronus.engine.arrays import Rows, index
from patronus.engine.engine import Engine, Received
from patronus.engine.fingerprint import U64
from patronus.engine.forwarding import ForwardingDelta
from patronus.engine.liveness import I8
from patronus.engine.meters import Alarmed
from patronus.engine.output import Output
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy
from patronus.engine.selection import Bools
from patronus.engine.verdict import Figures
from tests.engine.rubbish import poison

Told = tuple[int, ...]

RUBBISH: Final = -(2**61) - 12_345
"""In place of what the dataplane shows of other sites' rows."""


class Fleet:
    """Offers what the world asks of an engine."""

    poisoned = False
    """Whether each site's own engine gets new rubbish in place of other sites' rows each time
    that it evaluates."""

    def __init__(
        self,
        overlay: Overlay,
        policy: Policy,
        *,
        fates: U64,
        sink: Callable[[bytes], object] | None = None,
        **others: Any,
    ) -> None:
        """Create the engines; arguments are those of ``Engine``."""
        self.lines: list[bytes] = []
        self.own_lines: list[list[bytes]] = []
        self.one = Engine(overlay, policy, fates=fates.copy(), sink=self._teller(sink), **others)
        self.own: list[Any] = []
        for site in range(len(overlay.sites)):
            self.own_lines.append([])
            sink = self.own_lines[-1].append
            self.own.append(
                self._engine_of(site, overlay, policy, fates=fates, sink=sink, **others)
            )
        self._post: dict[tuple[str, int], bytes] = {}
        self._rubbish = np.random.default_rng(1) if self.poisoned else None
        self.compared = 0
        """Decisions found equal so far."""

    def _engine_of(
        self, site: int, overlay: Overlay, policy: Policy, *, fates: U64, **others: Any
    ) -> Any:
        """Return one site's own engine; it is told nothing of other sites' rows."""
        mine = np.where(overlay.src == site, np.uint64(1), np.uint64(0))[:, None] * fates
        return Engine(overlay, policy, fates=mine, **others)

    def _teller(self, sink: Callable[[bytes], object] | None) -> Callable[[bytes], object]:
        def tell(line: bytes) -> None:
            self.lines.append(line)
            if sink is not None:
                sink(line)

        return tell

    def __getattr__(self, name: str) -> Any:
        """Let the world look at the one engine."""
        return getattr(self.one, name)

    @property
    def recording(self) -> bool:
        return self.one.recording

    @recording.setter
    def recording(self, on: bool) -> None:
        for engine in (self.one, *self.own):
            engine.recording = on

    # ------------------------------------------------------------ comparison

    def _agree(self) -> None:
        """Nobody has decided anything else; entries are in order of sites."""
        mine = [line for lines in self.own_lines for line in lines]
        assert self.lines == mine
        self.compared += len(mine)
        for lines in (self.lines, *self.own_lines):
            lines.clear()

    def take(self) -> Output:
        """Hand out what the one engine wants when the sites' own engines want just that."""
        out, parts = self.one.take(), [engine.take() for engine in self.own]
        for part in parts:
            for told in part.announcements:
                self._post[told.origin, told.counter] = encode(told)
        all_said = [(a.origin, a.counter) for part in parts for a in part.announcements]
        assert all_said == [(a.origin, a.counter) for a in out.announcements]
        assert [self._post[key] for key in all_said] == [encode(a) for a in out.announcements]
        assert wishes_of([out]) == wishes_of(parts)
        assert sorted(out.unlatch) == sorted(row for part in parts for row in part.unlatch)
        assert sorted(out.detections) == sorted(d for part in parts for d in part.detections)
        assert detect_of([out]) == detect_of(parts)
        return out

    def programmed(self, delta: ForwardingDelta) -> None:
        """Let the one engine take note; the sites' own engines number deltas otherwise."""
        self.one.programmed(delta)

    # ------------------------------------------------------------ measurements

    def observe(self, rows: Rows, **samples: I64) -> Alarmed:
        """Let each site's engine see the samples of its own rows."""
        alarmed = self.one.observe(rows, **samples)
        every = index(rows, self.one.overlay.rows)
        parts = []
        for engine, at in self._split(every):
            mine = {name: column[at] for name, column in samples.items()}
            parts.append(engine.observe(every[at], **mine))
        assert _alarms([alarmed]) == _alarms(parts)
        return alarmed

    def count(self, rows: I64, *, sent: I64, lost: I64, at_ns: I64) -> Alarmed:
        """Let each site's engine have the counts of its own rows."""
        alarmed = self.one.count(rows, sent=sent, lost=lost, at_ns=at_ns)
        parts = [
            engine.count(rows[at], sent=sent[at], lost=lost[at], at_ns=at_ns[at])
            for engine, at in self._split(rows)
        ]
        assert _alarms([alarmed]) == _alarms(parts)
        return alarmed

    def figures(self, rows: I64, now_ns: int) -> Figures:
        """Return figures that the rows' own engines agree to."""
        figures = self.one.figures(rows, now_ns)
        for engine, at in self._split(rows):
            mine = engine.figures(rows[at], now_ns)
            assert np.array_equal(np.stack(mine), np.stack(figures)[:, at])
        return figures

    # ------------------------------------------------------------ at once

    def edges(self, rows: I64, kinds: I8, at_ns: int) -> None:
        self.one.edges(rows, kinds, at_ns)
        for engine, at in self._split(rows):
            engine.edges(rows[at], kinds[at], at_ns)
        self._agree()

    def heard(self, rows: I64, at_ns: I64) -> None:
        self.one.heard(rows, at_ns)
        for engine, at in self._split(rows):
            engine.heard(rows[at], at_ns[at])
        self._agree()

    def carrier_lost(self, rows: I64, at_ns: int) -> None:
        self.one.carrier_lost(rows, at_ns)
        for engine, at in self._split(rows):
            engine.carrier_lost(rows[at], at_ns)
        self._agree()

    def alarm(self, rows: I64, at_ns: int, figures: Figures) -> None:
        self.one.alarm(rows, at_ns, figures)
        for engine, at in self._split(rows):
            engine.alarm(rows[at], at_ns, Figures(*(f[at] for f in figures)))
        self._agree()

    def learn(self, received: Sequence[Received], now_ns: int) -> None:
        """Deliver announcements; what a site's engine hears, it has from bytes."""
        self.one.learn(received, now_ns)
        for site, engine in enumerate(self.own):
            here = np.array([site], dtype=np.int64)
            letters = [self._post[a.origin, a.counter] for sites, a in received if site in sites]
            if letters:
                engine.learn([(here, decode(letter)) for letter in letters], now_ns)
        self._agree()

    def drain(self, rows: I64, now_ns: int, *, on: bool) -> None:
        self.one.drain(rows, now_ns, on=on)
        for engine, at in self._split(rows):
            engine.drain(rows[at], now_ns, on=on)
        self._agree()

    # ------------------------------------------------------------ the rest

    def evaluate(self, sites: Sequence[int], now_ns: int) -> None:
        self.one.evaluate(sites, now_ns)
        for site in sites:
            if self._rubbish is not None:
                poison(self.own[site], site, self._rubbish)
            self.own[site].evaluate([site], now_ns)
        self._agree()

    def set_lan(self, site: int, *, up: bool, now_ns: int) -> None:
        for engine in (self.one, self.own[site]):
            engine.set_lan(site, up=up, now_ns=now_ns)
        self._agree()

    def configure(self, sites: Sequence[int], policy: Policy | None, now_ns: int) -> None:
        self.one.configure(sites, policy, now_ns)
        for site in sites:
            self.own[site].configure([site], policy, now_ns)
        self._agree()

    def set_fates(self, rows: I64, fates: U64) -> None:
        self.one.set_fates(rows, fates)
        for engine, at in self._split(rows):
            engine.set_fates(rows[at], fates[at])
        self._agree()

    def restart(self, site: int, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        self.one.restart(site, now_ns, since_ns=since_ns, latched=latched)
        since_ns, latched = self._shown(site, since_ns, latched)
        self.own[site].restart(site, now_ns, since_ns=since_ns, latched=latched)
        self._agree()

    def resume(self, site: int, now_ns: int, *, since_ns: I64, latched: Bools) -> None:
        self.one.resume(site, now_ns, since_ns=since_ns, latched=latched)
        since_ns, latched = self._shown(site, since_ns, latched)
        self.own[site].resume(site, now_ns, since_ns=since_ns, latched=latched)
        self._agree()

    def kernel_moved(self, entries: I64, before: I32, after: I32, now_ns: int) -> None:
        self.one.kernel_moved(entries, before, after, now_ns)
        site = entries // self.one.space.per_site
        for number in np.unique(site).tolist():
            at = site == number
            self.own[number].kernel_moved(entries[at], before[at], after[at], now_ns)
        self._agree()

    # ------------------------------------------------------------ who is told what

    def _split(self, rows: I64) -> list[tuple[Any, I64]]:
        """Return the engines of the rows' sites, each with the places of its own rows."""
        source = self.one.overlay.src[rows]
        return [(self.own[s], np.flatnonzero(source == s)) for s in np.unique(source).tolist()]

    def _shown(self, site: int, since_ns: I64, latched: Bools) -> tuple[I64, Bools]:
        """Return what a site's own dataplane shows; of other sites' tunnels it has nothing."""
        mine = self.one.overlay.src == site
        return np.where(mine, since_ns, RUBBISH), np.where(mine, latched, True)


def wishes_of(outs: list[Output]) -> dict[int, tuple[Any, ...]]:
    """Return the last wish for each entry."""
    wishes: dict[int, tuple[Any, ...]] = {}
    for delta in (delta for out in outs for delta in out.deltas):
        columns = [getattr(delta, f.name) for f in fields(delta) if f.name != "generation"]
        for entry, *wish in zip(*(column.tolist() for column in columns), strict=True):
            wishes[entry] = tuple(map(str, wish))
    return wishes


def detect_of(outs: list[Output]) -> dict[int, int]:
    pairs = [pair for out in outs for pair in out.detect]
    return {
        row: wish
        for rows, to in pairs
        for row, wish in zip(rows.tolist(), to.tolist(), strict=True)
    }


def _alarms(parts: list[Alarmed]) -> list[Told]:
    """Return (row, time, figures) of all alarms, ascending."""
    columns = [np.stack([a.rows, a.at_ns, *a.figures]) for a in parts]
    return sorted(tuple(one) for part in columns for one in part.T.tolist())
