"""Loss bursts: a Gilbert-Elliott process on each directed link, in time.

The state belongs to the link, so every packet of every tunnel that crosses it in a
bad period meets the same loss (E. N. Gilbert, "Capacity of a burst-noise channel",
1960; E. O. Elliott, 1963). Good and bad periods are exponential, as in the
continuous-time form of the model.

At each epoch of 10 s the state is drawn anew from the stationary law. Exponential
periods have no memory, so the process stays exactly stationary, and any instant is
reached by drawing one epoch instead of everything since the start. A bad period
that would reach over the border ends there, which shortens bursts a little: 1 % on
average for bursts of 100 ms.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from patronus.engine.arrays import hits
from patronus.engine.fingerprint import U64
from patronus.engine.overlay import I32, I64
from patronus.engine.units import SECOND, US
from patronus.sim.luck import exponential_ns, words
from patronus.sim.scenario import Burst

EPOCH_NS: Final = 10 * SECOND
SHORTEST_NS: Final = 100 * US
"""A good and a bad period last at least so long together on average; below it an epoch
would hold more than 100,000 bursts."""

_DRAWS: Final = 8
"""Periods drawn at a time; even, so that good and bad keep their columns."""
_EPOCH_BITS: Final = 20


class Bad(NamedTuple):
    """Bad periods, sorted by (link, from); each lies within one epoch."""

    link: I64
    from_ns: I64
    until_ns: I64

    def loss_ppm(self, burst_ppm: I64, link: I32 | I64, at_ns: I64, start_ns: int) -> I64:
        """Return the loss of the bad period that each link is in, 0 in good ones.

        Args:
            burst_ppm: loss while bad, by link.
            link: the links meant, any of them several times.
            at_ns: a time for each.
            start_ns: no time is earlier, or later by more than 18 minutes.
        """
        if not len(self.link):
            return np.zeros(len(link), dtype=np.int64)
        span = np.int64(1) << 40
        known = self.link * span + (self.from_ns - start_ns)
        last = np.searchsorted(known, link * span + (at_ns - start_ns), side="right") - 1
        inside = (last >= 0) & (self.link[last] == link) & (at_ns < self.until_ns[last])
        return np.where(inside, burst_ppm[link], 0)


class Bursts:
    """The bursts of some links; keeps the last epochs that were asked for."""

    KEPT: Final = 3

    def __init__(self, keys: U64, bursts: Sequence[Burst | None]) -> None:
        """Take object keys of the links and their processes (None: never bad).

        Raises:
            ValueError: a process whose periods are not positive or too short.
        """
        for burst in {b for b in bursts if b is not None}:
            if min(burst.gap_ns, burst.length_ns) <= 0:
                raise ValueError("good and bad periods must last longer than 0")
            if burst.gap_ns + burst.length_ns < SHORTEST_NS:
                raise ValueError(f"good and bad period are below {SHORTEST_NS} ns together")
        having = [(i, b) for i, b in enumerate(bursts) if b is not None]
        self._link = np.array([i for i, _ in having], dtype=np.int64)
        self._key = keys[self._link]
        means = [(b.gap_ns, b.length_ns) for _, b in having]
        self._mean = np.array(means, dtype=np.int64).reshape(-1, 2)
        # The share of bad time as a limit on a whole word; Python's integers do not overflow.
        shares = [(length << 64) // (gap + length) for gap, length in means]
        self._bad_below = np.array(shares, dtype=np.uint64)
        self._epochs: dict[int, Bad] = {}

    def bad(self, start_ns: int, end_ns: int) -> Bad:
        """Return the bad periods within [start, end), cut to it."""
        epochs = range(start_ns // EPOCH_NS, -(-end_ns // EPOCH_NS))
        link, begin, until = _join([_slice(self._epoch(e), start_ns, end_ns) for e in epochs])
        order = np.argsort(link, kind="stable")
        link, begin, until = link[order], begin[order], until[order]
        return Bad(link, np.maximum(begin, start_ns), np.minimum(until, end_ns))

    def _epoch(self, epoch: int) -> Bad:
        # Sorted by the time at which they begin.
        if epoch not in self._epochs:
            while len(self._epochs) >= self.KEPT:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[epoch] = self._draw(epoch)
        return self._epochs[epoch]

    def _draw(self, epoch: int) -> Bad:
        first = epoch << _EPOCH_BITS
        now_bad = (words(self._key, first) < self._bad_below).astype(np.int64)
        clock = np.full(len(self._link), epoch * EPOCH_NS)
        going, parts, end_ns = np.arange(len(self._link)), [], (epoch + 1) * EPOCH_NS
        while len(going):
            edge = self._edges(going, now_bad[going], first + 1, clock[going])
            state = _states(now_bad[going])
            row, column = np.nonzero((state == 1) & (edge[:, :-1] < end_ns))
            link = self._link[going[row]]
            until = np.minimum(edge[row, column + 1], end_ns)
            parts.append(Bad(link, edge[row, column], until))
            clock[going] = edge[:, -1]
            going = going[edge[:, -1] < end_ns]
            first += _DRAWS
        drawn = _join(parts)
        order = np.argsort(drawn.from_ns, kind="stable")
        return Bad(*(column[order] for column in drawn))

    def _edges(self, rows: I64, now_bad: I64, first: int, clock: I64) -> I64:
        # Times at which the state changes: shape (rows, _DRAWS + 1), beginning with now.
        ordinal = np.tile(np.arange(first, first + _DRAWS), len(rows))
        word = words(np.repeat(self._key[rows], _DRAWS), ordinal)
        mean = np.take_along_axis(self._mean[rows], _states(now_bad), axis=1)
        # Cut at one epoch, so that sums of very long periods do not overflow.
        period = np.clip(exponential_ns(word, mean.ravel()), 1, EPOCH_NS)
        edge = np.concatenate([clock[:, None], period.reshape(-1, _DRAWS)], axis=1)
        return np.cumsum(edge, axis=1)


def _states(now_bad: I64) -> I64:
    # 1 where bad, for the next periods of each link, which alternate.
    states: I64 = now_bad[:, None] ^ (np.arange(_DRAWS) & 1)
    return states


def _slice(epoch: Bad, start_ns: int, end_ns: int) -> Bad:
    # What overlaps [start, end): the beginnings are sorted, and no period outlasts the longest.
    longest = int((epoch.until_ns - epoch.from_ns).max(initial=0))
    low, high = np.searchsorted(epoch.from_ns, [start_ns - longest, end_ns])
    keep = low + hits(epoch.until_ns[low:high] > start_ns)
    return Bad(*(column[keep] for column in epoch))


def _join(parts: Sequence[Bad]) -> Bad:
    if not parts:
        return Bad(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    return Bad(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def bad_intervals(keys: U64, bursts: Sequence[Burst | None], start_ns: int, end_ns: int) -> Bad:
    """Return the bad periods of links within [start, end); see :class:`Bursts`.

    For one long span. Whoever walks in windows keeps a :class:`Bursts`, which draws each
    epoch once.
    """
    return Bursts(keys, bursts).bad(start_ns, end_ns)
