"""What the driver asks of a kernel, and the Linux one with its rows where they always were.

The engine numbers its rows by the configuration, so they shift when a peer is added. In the
kernel a tunnel keeps its *seat* for as long as it exists: the peer has been told of it, and
stamps, accounts and flows belong to it. A seat is found again by the session that its peer
shows, so nothing has to be kept anywhere else. Destinations keep theirs too (``places.py``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import probing, words
from patronus.dataplane.linux.dataplane import LinuxDataplane
from patronus.dataplane.linux.pins import Arrays
from patronus.dataplane.linux.records import TunnelFlag
from patronus.dataplane.protocol import KernelMoves
from patronus.dataplane.stamp.columns import Columns
from patronus.engine.fastpath import Verdict
from patronus.engine.forwarding import NO_ROW, Bool, ForwardingDelta, ForwardingTable
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER


class Kernel(Protocol):
    """A dataplane (``dataplane.protocol``) with all that an agent reads of it and tells it."""

    @property
    def confirmed_ns(self) -> I64:
        """Last proof that the peer hears us, by row."""

    @property
    def detect_ns(self) -> I64:
        """Older proofs are stale."""

    @property
    def since_ns(self) -> I64:
        """Start of each row's unbroken confirmation, ``NEVER`` while silent."""

    @property
    def latched(self) -> Bool:
        """Down latch of each row."""

    @property
    def mtu(self) -> I64:
        """Largest packet of users that each row carries, 0: not known."""

    def apply(self, delta: ForwardingDelta, now_ns: int) -> int:
        """Install new entries; return the generation that is in force."""

    def clear_latch(self, rows: Sequence[int], now_ns: int) -> None:
        """Let tunnels carry traffic again."""

    def set_detect(self, rows: I64, detect_ns: I64, now_ns: int) -> None:
        """Set the detect times of tunnels."""

    def listening_ns(self, now_ns: int) -> int:
        """Return the time up to which silence counts: this end's own pauses are none."""

    def events(self, site: int) -> KernelMoves:
        """Take the moves of one site out of its ring."""

    def standing(self) -> ForwardingTable:
        """Return the table in force."""

    def heartbeat(self, now_ns: int) -> None:
        """Say that the agent is alive."""

    def samples(self) -> Iterator[Columns]:
        """Yield what came back, at most one a row at a time."""

    def told(self) -> probing.Told:
        """Return what the peers of all rows say of our packets."""

    def drain(self, rows: I64, until_ns: I64, told: Bool) -> int:
        """Let pinned flows leave tunnels, by force from ``until_ns`` on; 0 ends it."""

    def set_delay(self, rows: I64, delay_ns: I64) -> None:
        """Tell one-way delays, 0 for unknown."""

    def set_shares(self, entries: I64, shares: I64, now_ns: int) -> None:
        """Let flows prefer backups: sixteenths for the first and the second, shape (n, 2)."""

    def shares(self, entries: I64) -> I64:
        """Return the shares in force."""

    def cut(self, rows: I64, now_ns: int) -> None:
        """Void the proofs of rows: their interface is gone."""


class LinuxKernel:
    """Implements :class:`Kernel`: rows of the engine on seats of the kernel."""

    def __init__(
        self, pins: Arrays, plane: LinuxDataplane, *, seats: I64, places: I64, classes: int
    ) -> None:
        """Stand on a dataplane of all seats.

        Args:
            pins: opened.
            plane: with all rows.
            seats: by row.
            places: by destination.
            classes: of traffic.
        """
        self.plane = plane
        self._entries: I64 = (places[:, None] * classes + np.arange(classes)).ravel()
        """Of the kernel, by entry of the engine."""
        self._entry_of: I64 = np.full(len(plane.used), -1, dtype=np.int64)
        self._entry_of[self._entries] = np.arange(len(self._entries))
        self.seats = seats
        """By row."""
        self.row_of: I32 = np.full(len(plane.tunnels), NO_ROW, dtype=np.int32)
        """By seat."""
        self.row_of[seats] = np.arange(len(seats), dtype=np.int32)
        self._seat_of: I32 = np.append(seats, NO_ROW).astype(np.int32)
        self._samples = probing.Samples(plane.tunnels, pins.array("samples"))

    # Arrays of the protocol: copies, as the seats are scattered

    @property
    def heard_ns(self) -> I64:
        """Last authenticated packet of each row."""
        return self.plane.heard_ns[self.seats]

    @property
    def confirmed_ns(self) -> I64:
        """Last proof that the peer hears us."""
        return self.plane.confirmed_ns[self.seats]

    @property
    def detect_ns(self) -> I64:
        """Older proofs are stale."""
        return self.plane.detect_ns[self.seats]

    @property
    def since_ns(self) -> I64:
        """Start of each row's unbroken confirmation."""
        return self.plane.since_ns[self.seats]

    @property
    def latched(self) -> Bool:
        """Down latch of each row."""
        return self.plane.latched[self.seats]

    @property
    def mtu(self) -> I64:
        """Largest packet of users that each row carries, 0: it is not in use yet."""
        found: I64 = self.plane.tunnels["mtu"][self.seats].astype(np.int64)
        return found

    # Calls

    def apply(self, delta: ForwardingDelta, now_ns: int) -> int:
        """Install new entries; return the generation that is in force."""
        at, rows = self._entries[delta.entries], self._seat_of[delta.rows]
        return self.plane.apply(replace(delta, entries=at, rows=rows), now_ns)

    def where(self, entry: int, now_ns: int) -> Verdict:
        """Tell where a packet of this entry would go."""
        found = self.plane.where(int(self._entries[entry]), now_ns)
        return Verdict(self._row(found.row), found.counter)

    def clear_latch(self, rows: Sequence[int], now_ns: int) -> None:
        """Let tunnels carry traffic again."""
        self.plane.clear_latch(self.seats[np.asarray(rows, dtype=np.int64)].tolist(), now_ns)

    def set_detect(self, rows: I64, detect_ns: I64, now_ns: int) -> None:
        """Set the detect times of tunnels."""
        self.plane.set_detect(self.seats[rows], detect_ns, now_ns)

    def listening_ns(self, now_ns: int) -> int:
        """Return the time up to which silence counts: this end's own pauses are none."""
        return self.plane.listening_ns(now_ns)

    def events(self, site: int) -> KernelMoves:
        """Take the moves out of the ring.

        A tunnel that is no more is ``NO_ROW``; moves of a destination that is no more are left
        out.
        """
        moves = self.plane.events(site)
        entries = self._entry_of[np.clip(moves.entries, 0, len(self._entry_of) - 1)]
        known = np.flatnonzero(entries >= 0)
        return KernelMoves(
            numbers=moves.numbers[known],
            at_ns=moves.at_ns[known],
            entries=entries[known],
            from_rows=self._rows(moves.from_rows[known]),
            to_rows=self._rows(moves.to_rows[known]),
            lost=moves.lost,
        )

    def heartbeat(self, now_ns: int) -> None:
        """Say that the agent is alive."""
        self.plane.heartbeat(now_ns)

    def samples(self) -> Iterator[Columns]:
        """Yield what came back, rows ascending."""
        for columns in self._samples.drain():
            rows = self.row_of[columns.rows].astype(np.int64)
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] != NO_ROW]
            if len(order):
                yield Columns(rows[order], *(column[order] for column in columns[1:]))

    def told(self) -> probing.Told:
        """Return what the peers of all rows say of our packets."""
        return probing.told(self.plane.tunnels, self.seats)

    def drain(self, rows: I64, until_ns: I64, told: Bool) -> int:
        """Let pinned flows leave tunnels, by force from ``until_ns`` on; 0 ends it."""
        return self.plane.drain(self.seats[rows], until_ns, told)

    def set_delay(self, rows: I64, delay_ns: I64) -> None:
        """Tell one-way delays, 0 for unknown."""
        self.plane.set_delay(self.seats[rows], delay_ns)

    def set_shares(self, entries: I64, shares: I64, now_ns: int) -> None:
        """Let flows prefer backups: sixteenths for the first and the second, shape (n, 2)."""
        self.plane.set_shares(self._entries[entries], shares, now_ns)

    def shares(self, entries: I64) -> I64:
        """Return the shares in force."""
        return words.unpack(self.plane.words[self._entries[entries]]).shares

    def cut(self, rows: I64, now_ns: int) -> None:
        """Void the proofs of rows: their interface is gone."""
        at = self.seats[rows]
        gone_ns = self.plane.listening_ns(now_ns) - self.plane.detect_ns[at] - 1
        self.plane.confirmed_ns[at] = np.minimum(self.plane.confirmed_ns[at], gone_ns)
        self.plane.latched[at] = True
        self.plane.since_ns[at] = NEVER

    def standing(self) -> ForwardingTable:
        """Return the table in force, in the engine's numbers."""
        found = words.unpack(self.plane.words[self._entries])
        table = ForwardingTable(len(self._entries))
        table.rows[:] = self._rows(found.rows)
        table.drop[:], table.shared_fate[:] = found.drop, found.shared_fate
        return table

    def _row(self, seat: int) -> int:
        return int(self._rows(np.array([seat], dtype=np.int32))[0])

    def _rows(self, seats: I32) -> I32:
        known = (seats >= 0) & (seats < len(self.row_of))
        found: I32 = np.where(known, self.row_of[np.where(known, seats, 0)], np.int32(NO_ROW))
        return found


def seat(tunnels: npt.NDArray[Any], sessions: Sequence[int]) -> I64:
    """Return a seat for each tunnel: the one it has, else a free one.

    Args:
        tunnels: the kernel's records.
        sessions: what each tunnel's peer shows.

    Raises:
        ValueError: there are more tunnels than seats.
    """
    used = np.flatnonzero(tunnels["flags"] & TunnelFlag.IN_USE)
    found = dict(zip(tunnels["session_in"][used].tolist(), used.tolist(), strict=True))
    taken = {found[session] for session in sessions if session in found}
    free = iter(sorted(set(range(len(tunnels))) - set(used.tolist())))
    # Seats of tunnels that are no more come last: their packets may be under way.
    late = iter(sorted(set(used.tolist()) - taken))
    seats = []
    for session in sessions:
        place = found.get(session, next(free, None) if session not in found else None)
        place = next(late, None) if place is None else place
        if place is None:
            raise ValueError(f"{len(sessions)} tunnels, but the kernel has {len(tunnels)} rows")
        seats.append(place)
    return np.array(seats, dtype=np.int64)
