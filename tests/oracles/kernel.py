"""A kernel of plain records: every instant is visited, every tunnel and entry looked at.

It is built on the scalar rules of ``engine/fastpath.py``, which are the reference; the
in-memory dataplane computes with the vector forms, at edges only.
"""

from collections.abc import Callable, Iterable, Sequence

from patronus.engine.fastpath import (
    Entry,
    Packet,
    Tunnel,
    Verdict,
    arrive,
    clear,
    expire,
    release,
    steer,
)

Move = tuple[int, int, int, int]
"""Time, entry, from row, to row."""


class Kernel:
    """The tunnels and entries of some sites."""

    def __init__(
        self, source: Sequence[int], per_site: int, detect: Sequence[int], hold: int
    ) -> None:
        sites = max(source) + 1
        self.source, self.per_site, self.hold = source, per_site, hold
        self.tunnels = {row: Tunnel(detect[row]) for row in range(len(source))}
        self.entries = [Entry((-1, -1, -1)) for _ in range(sites * per_site)]
        self.stale = [False] * sites
        self.moves: list[list[Move]] = [[] for _ in range(sites)]
        self._sequence = 0

    def set_detect(self, row: int, detect: int) -> None:
        self.tunnels[row] = self.tunnels[row]._replace(detect_ns=detect)

    def instant(self, now: int, *, cuts: Iterable[int], proofs: Iterable[int]) -> None:
        """Let an instant come: what is stale expires, then packets arrive."""
        self._sequence += 1
        self._each(lambda row, tunnel: expire(tunnel, now))
        for row in cuts:
            self.tunnels[row] = arrive(self.tunnels[row], Packet(self._sequence, hears=False), now)
        self.settle(now)
        proof = Packet(self._sequence, hears=True, reflection=True)
        for row in proofs:
            self.tunnels[row] = arrive(self.tunnels[row], proof, now)
        self.settle(now)

    def settle(self, now: int) -> None:
        """Clear the latches that are due where the agent is stale."""
        self._each(
            lambda row, tunnel: release(
                tunnel,
                hold_ns=self.hold,
                agent_stale=self.stale[self.source[row]],
                now_ns=now,
            )
        )
        self._reroute(now)

    def clear(self, rows: Iterable[int], now: int) -> None:
        for row in rows:
            self.tunnels[row] = clear(self.tunnels[row], now)
        self._reroute(now)

    def apply(self, entry: int, rows: tuple[int, int, int], drop: bool, now: int) -> None:
        changed = Entry(rows, drop, self.entries[entry].last)
        self.entries[entry] = changed._replace(last=steer(changed, self.tunnels, now).row)

    def where(self, entry: int, now: int) -> Verdict:
        return steer(self.entries[entry], self.tunnels, now)

    def _each(self, rule: Callable[[int, Tunnel], Tunnel]) -> None:
        self.tunnels = {row: rule(row, tunnel) for row, tunnel in self.tunnels.items()}

    def _reroute(self, now: int) -> None:
        for index, entry in enumerate(self.entries):
            row = self.where(index, now).row
            if row != entry.last:
                self.moves[index // self.per_site].append((now, index, entry.last, row))
                self.entries[index] = entry._replace(last=row)
