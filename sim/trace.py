"""A run probe by probe, for one pair of sites: what was sent, what came back, what followed.

A traced run is the same run: the prober notes what it works out anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.patterns import NoMatchError
from patronus.sim.prober import Prober
from patronus.sim.run import Run
from patronus.sim.world import World

LINES_MOST: Final = 200_000
"""Half an hour of two tunnels at 100 ms; nobody reads more."""

Note = Callable[[int, int, int, int, int], None]
"""Called with row, time sent, ordinal, arrival, and arrival of the reflection."""

Line = tuple[int, int, str]
"""When, in ns of the scenario; what follows from what at one time; and what."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Whose probes are noted."""

    site: str
    destination: str
    rows: tuple[int, ...]
    """The direct tunnels from the site to those that announce the destination."""
    ends: tuple[str, ...]


class Trace:
    """Notes of one run; attach it before the world begins."""

    def __init__(self, world: World, pair: str) -> None:
        """Attach to a world.

        Args:
            world: which has not begun.
            pair: ``SITE:DESTINATION``.

        Raises:
            ValueError: there is no such site or destination, or no tunnel between them.
        """
        self.pair = _find(world, pair)
        self._world = world
        self._lines: list[Line] = []
        rows = np.array(self.pair.rows, dtype=np.int64)
        world.prober = _NotingProber(world, rows, self._note)

    def lines(self, run: Run) -> tuple[str, ...]:
        """Return everything in order of time."""
        told = sorted([*self._lines, *_alarms(run, self.pair), *_decisions(run, self.pair)])
        shown = [f"{_clock(at_ns)}  {text}" for at_ns, _, text in told[:LINES_MOST]]
        more = len(told) - len(shown)
        return (*shown, *([f"and {more} lines more"] if more else []))

    def _note(self, row: int, sent_ns: int, sequence: int, there_ns: int, back_ns: int) -> None:
        overlay = self._world.overlay
        tunnel = f"{overlay.transports[overlay.transport[row]]}>{overlay.sites[overlay.dst[row]]}"
        if there_ns == NEVER:
            fate = "lost on the way out"
        elif back_ns == NEVER:
            fate = f"arrives after {_ms(there_ns - sent_ns)}, its reflection is lost"
        else:
            fate = (
                f"arrives after {_ms(there_ns - sent_ns)}, is back after {_ms(back_ns - sent_ns)}"
            )
        self._lines.append((sent_ns, _PROBE, f"{tunnel}: probe {sequence} {fate}"))


class _NotingProber(Prober):
    """A prober that tells the fate of each probe of a few rows."""

    def __init__(self, world: World, rows: I64, note: Note) -> None:
        policy = world.scenario.policy
        super().__init__(world.overlay, policy, world.wire, world.dataplane, world.seed)
        self._rows, self._note = rows, note

    def _launch(self, rows: slice | I64, sent_ns: I64, ordinal: int) -> None:
        super()._launch(rows, sent_ns, ordinal)
        flight = self._flights[-1]
        numbers = np.arange(self._overlay.rows)[rows] if isinstance(rows, slice) else rows
        for place in np.flatnonzero(np.isin(numbers, self._rows)).tolist():
            fate = flight.heard_at_ns[place], flight.back_at_ns[place]
            self._note(int(numbers[place]), int(sent_ns[place]), ordinal, *map(int, fate))


def _find(world: World, pair: str) -> Pair:
    overlay = world.overlay
    site, colon, destination = pair.partition(":")
    if not colon or not site or not destination:
        raise ValueError(f"a trace is given as SITE:DESTINATION, not {pair!r}")
    names = [d.name for d in overlay.destinations]
    for word, known, sort in ((site, overlay.sites, "site"), (destination, names, "destination")):
        if word not in known:
            raise NoMatchError(word, sort, known)
    source = overlay.site_index[site]
    ends = overlay.destinations[names.index(destination)].sites
    rows = tuple(row for end in ends for row in overlay.direct(source, end))
    if not rows:
        raise ValueError(f"there is no direct tunnel from {site} to {destination} to trace")
    return Pair(site, destination, rows, tuple(overlay.sites[end] for end in ends))


def _alarms(run: Run, pair: Pair) -> list[Line]:
    frame = run.detections[run.detections["site"] == pair.site]
    columns = ("at_ns", "transport", "peer", "layer", "fault")
    told = {
        (int(at_ns), f"{transport}>{peer}: {_LAYERS[layer]} ({fault or 'no fault is behind it'})")
        for at_ns, transport, peer, layer, fault in zip(*(frame[c] for c in columns), strict=True)
        if peer in pair.ends
    }
    return [(at_ns, _ALARM, text) for at_ns, text in sorted(told)]


_PROBE, _ALARM, _DECISION = range(3)

_LAYERS: Final = {"liveness": "is silent, so it is down", "brownout": "raises a brownout alarm"}


def _decisions(run: Run, pair: Pair) -> list[Line]:
    frame = run.decisions
    frame = frame[(frame["site"] == pair.site) & (frame["destination"] == pair.destination)]
    columns = ("t_ns", "class", "from", "to", "reason")
    return [
        (
            int(at_ns),
            _DECISION,
            f"decision for {name}: {before or 'no path'} -> {after or 'no path'}: {why}",
        )
        for at_ns, name, before, after, why in zip(*(frame[c] for c in columns), strict=True)
    ]


def _clock(at_ns: int) -> str:
    sign, whole = ("-" if at_ns < 0 else ""), abs(at_ns)
    return f"{sign}{whole // SECOND}.{whole % SECOND // 1000:06d} s".rjust(14)


def _ms(ns: int) -> str:
    return f"{ns / MS:.3f} ms"
