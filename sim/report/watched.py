"""The health frame of a run as arrays, and which tunnels a fault disturbed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from patronus.engine.overlay import I64

LOSS_SEEN_PPM = 5_000
RTT_SEEN_NS = 2_000_000
RTT_SEEN_SHARE = 4
"""Loss must rise by this much, the round trip by this much and by a quarter, to be no noise."""

Bools = npt.NDArray[np.bool_]

Tunnel = tuple[str, str, str]
"""Site, peer, transport."""


@dataclass(frozen=True, eq=False)
class Glimpse:
    """What was believed of one tunnel in a stretch of time; unknown numbers are -1."""

    t_ns: I64
    state: list[str]
    """Lower-case liveness states."""
    rtt_ns: I64
    loss_ppm: I64


@dataclass(frozen=True, eq=False)
class Watched:
    """One row a (time, tunnel) in order of time; build it with :func:`watch`."""

    t_ns: I64
    code: I64
    """The number of the row's tunnel."""
    tunnels: tuple[Tunnel, ...]
    state: npt.NDArray[np.intp]
    states: tuple[str, ...]
    """Lower-case names of the liveness states, by the numbers in ``state``."""
    rtt_ns: I64
    loss_ppm: I64

    @cached_property
    def number(self) -> dict[Tunnel, int]:
        """The number of each tunnel."""
        return {tunnel: i for i, tunnel in enumerate(self.tunnels)}

    @cached_property
    def down(self) -> Bools:
        """Whether each row's tunnel was anything but up."""
        return np.array([name != "up" for name in self.states], dtype=np.bool_)[self.state]

    def rows(self, start_ns: int, end_ns: int) -> slice:
        """Return the rows from a time on and before another."""
        low, high = np.searchsorted(self.t_ns, [start_ns, end_ns])
        return slice(int(low), int(high))

    def glimpse(self, tunnel: int, rows: slice) -> Glimpse:
        """Return one tunnel's part of some rows."""
        at = np.flatnonzero(self.code[rows] == tunnel) + rows.start
        return Glimpse(
            t_ns=self.t_ns[at],
            state=[self.states[i] for i in self.state[at]],
            rtt_ns=self.rtt_ns[at],
            loss_ppm=self.loss_ppm[at],
        )

    def disturbed(self, before: slice, during: slice, noticed: Iterable[Tunnel]) -> list[int]:
        """Return the tunnels that noticed a fault or changed visibly, the most disturbed first."""
        size = len(self.tunnels)
        silent = np.bincount(self.code[during][self.down[during]], minlength=size)
        usual = self._usual(self.rtt_ns, before, during)
        rtt = self._most(self.rtt_ns, during) - usual
        loss = self._most(self.loss_ppm, during) - self._usual(self.loss_ppm, before, during)
        slower = rtt >= np.maximum(RTT_SEEN_NS, usual // RTT_SEEN_SHARE)
        saw = np.zeros(size, dtype=np.bool_)
        saw[[self.number[t] for t in noticed if t in self.number]] = True
        moved = saw | (silent > 0) | (loss >= LOSS_SEEN_PPM) | slower
        order = np.lexsort((np.arange(size), -rtt, -loss, -silent, ~saw))
        return [int(i) for i in order if moved[i]]

    def _most(self, values: I64, rows: slice) -> I64:
        most = np.full(len(self.tunnels), -1, dtype=np.int64)
        np.maximum.at(most, self.code[rows], values[rows])
        return most

    def _usual(self, values: I64, before: slice, during: slice) -> I64:
        """Return what a value was beforehand; of a tunnel not watched then, what it was first."""
        usual = self._most(values, before)
        known = np.flatnonzero(values[during] >= 0) + during.start
        codes, first = np.unique(self.code[known], return_index=True)
        fresh = usual[codes] < 0
        usual[codes[fresh]] = values[known[first[fresh]]]
        return usual


def watch(health: pd.DataFrame) -> Watched:
    """Return the frame ``Run.health`` as arrays."""
    frame = health.sort_values("t_ns", kind="stable")
    grouped = frame.groupby(["site", "peer", "transport"], sort=True, observed=True)
    code, firsts = grouped.ngroup().to_numpy().astype(np.int64), grouped.head(1)
    names = firsts.sort_values(["site", "peer", "transport"])[["site", "peer", "transport"]]
    state, states = pd.factorize(frame["state"])
    return Watched(
        t_ns=frame["t_ns"].to_numpy(dtype=np.int64),
        code=code,
        tunnels=tuple((str(s), str(p), str(t)) for s, p, t in names.itertuples(index=False)),
        state=state,
        states=tuple(str(name).lower() for name in states),
        rtt_ns=frame["rtt_ns"].to_numpy(dtype=np.int64),
        loss_ppm=frame["loss_ppm"].to_numpy(dtype=np.int64),
    )
