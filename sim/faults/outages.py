"""What of a timeline is not a link's parameter: cut cables as carriers see them, mute tunnels."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from patronus.engine.overlay import I64, Overlay
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER
from patronus.sim.faults.kinds import kind_of
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.underlay import Links


class Outage(NamedTuple):
    """A time in which the same links of one transport are visibly down."""

    from_ns: int
    until_ns: int
    links: frozenset[int]
    """Directed links; never empty."""


def hard_down(timeline: Timeline, links: Links, transport: int) -> list[Outage]:
    """Return when which links of a transport are down so that equipment sees it.

    Silent blackholes and crashed sites have no part in it. The outages are in order and
    disjoint; between them nothing is down.
    """
    steps: dict[int, Counter[int]] = {}
    for occurrence in timeline.occurrences:
        if kind_of(occurrence.fault).carrier:
            mine = [i for i in occurrence.links if links.transport[i] == transport]
            steps.setdefault(occurrence.start_ns, Counter()).update(mine)
            steps.setdefault(occurrence.end_ns, Counter()).subtract(mine)
    down: Counter[int] = Counter()
    found: list[Outage] = []
    times = sorted(steps)
    for from_ns, until_ns in zip(times, [*times, NEVER][1:], strict=True):
        down.update(steps[from_ns])
        now = frozenset(link for link, faults in down.items() if faults)
        if found and found[-1].links == now and found[-1].until_ns == from_ns:
            found[-1] = Outage(found[-1].from_ns, until_ns, now)
        elif now and from_ns < until_ns:
            found.append(Outage(from_ns, until_ns, now))
    return found


class Mute(NamedTuple):
    """A time in which one tunnel carries nothing, either way."""

    row: int
    from_ns: int
    until_ns: int


def turns(occurrence: Occurrence) -> Iterator[Mute]:
    """Yield when each tunnel of a rekey storm is mute, one after the other."""
    fault = occurrence.fault
    for turn, row in enumerate(occurrence.rows):
        from_ns = occurrence.start_ns + turn * fault.up_ns
        until_ns = min(from_ns + fault.down_ns, occurrence.end_ns)
        if from_ns < until_ns:
            yield Mute(row, from_ns, until_ns)


class Mutes(NamedTuple):
    """Times in which rows carry nothing, sorted by (row, from)."""

    row: I64
    from_ns: I64
    until_ns: I64

    def at(self, rows: I64, at_ns: I64, span: tuple[int, int]) -> Bools:
        """Tell which packets meet a tunnel that changes its keys; all leave within ``span``."""
        hit = np.zeros(len(rows), dtype=np.bool_)
        now = (self.from_ns < span[1]) & (self.until_ns >= span[0])
        for row, begin, end in zip(
            self.row[now].tolist(), self.from_ns[now].tolist(), self.until_ns[now].tolist(),
            strict=True,
        ):  # fmt: skip
            hit |= (rows == row) & (at_ns >= begin) & (at_ns < end)
        return hit


def mutes(timeline: Timeline, overlay: Overlay) -> Mutes:
    """Return when rekeying tunnels are mute: both directions, one tunnel after the other."""
    found: list[Mute] = []
    for occurrence in timeline.occurrences:
        for mute in turns(occurrence):
            found += [mute, mute._replace(row=int(overlay.reverse[mute.row]))]
    table = np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
    return Mutes(*(np.ascontiguousarray(column) for column in table.T))
