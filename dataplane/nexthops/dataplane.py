"""The dataplane without BPF: entries are next-hop objects, and user space keeps the stamps.

Implements :class:`patronus.dataplane.protocol.Dataplane` over the same arrays as the one of BPF
(:class:`~patronus.dataplane.linux.dataplane.LinuxDataplane`), and does in user space what
programs do there: :meth:`NexthopDataplane.arrive` stamps, :meth:`NexthopDataplane.settle` applies
the packet-time rule and replaces the objects of entries that it moves. What cannot hold here:

- *Packet time*: nothing looks at a stamp when a packet is there. A dead tunnel is left when
  somebody settles next; the prober does so every few milliseconds, the agent when the engine
  decides. With neither running nothing moves.
- *Classes*: rules of the kernel tell them apart (``classes.py``), for packets from the LAN.
- *Drop when all are dead* and *no path* are the same black hole, and the kernel counts neither.
- *Pinned flows, shares of flows, and that transit ends after one more site*: routes know no
  flows and no budget. Two hubs that send a packet to each other do so until its TTL ends.

Moves, the latch, what an entry used last, staleness of the agent: as with BPF, by the same rule.
"""

import time
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

import numpy as np

from patronus.dataplane.linux import words
from patronus.dataplane.linux.dataplane import LinuxDataplane
from patronus.dataplane.linux.records import CounterPlace, Note, TunnelFlag
from patronus.dataplane.nexthops.memory import Memory
from patronus.dataplane.nexthops.netlink import Channel
from patronus.dataplane.nexthops.objects import Hop, carrier, putting
from patronus.engine.forwarding import NO_ROW, Bool, ForwardingDelta
from patronus.engine.overlay import I32, I64
from patronus.engine.units import NEVER

Switch = Callable[[list[Hop]], None]
"""Puts carriers of entries in place of those that there are."""

_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1


def through(channel: Channel) -> Switch:
    """Return what replaces objects of the kernel, at once and with two system calls.

    What the kernel refuses (a device that has just gone) stays as it is: whoever reconciles finds
    that objects are not what entries use.
    """

    def switch(hops: list[Hop]) -> None:
        channel.change([putting(hop) for hop in hops])

    return switch


class NexthopDataplane(LinuxDataplane):
    """Implements :class:`patronus.dataplane.protocol.Dataplane`."""

    def __init__(
        self,
        memory: Memory,
        switch: Switch,
        *,
        rows: int,
        classes: int,
        homes: I64 | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Stand on shared memory.

        Args:
            memory: opened; not closed here.
            switch: replaces carriers.
            rows: tunnels of this site.
            classes: of the policy.
            homes: as for :class:`LinuxDataplane`.
            wait: likewise.
        """
        super().__init__(memory, rows=rows, classes=classes, homes=homes, wait=wait)
        self._memory, self._switch_hops = memory, switch
        self._counters = memory.array("counters")["packets"]
        self._ring, self._places = memory.array("ring"), memory.array("moves")
        self._seen: tuple[int, bytes] | None = None
        """Generation and usable tunnels of the last look; with the same, nothing moves."""
        self._carried: I64 = np.zeros(0, dtype=np.int64)

    # ------------------------------------------------------------ what the engine asks

    def apply(self, delta: ForwardingDelta, now_ns: int) -> int:
        """Install new entries and return their generation.

        The number of system calls depends neither on prefixes nor on entries.
        """
        with self._memory.alone():
            before = self._last(delta.entries)
            generation = super().apply(delta, now_ns)
            moved = delta.entries[before != self._last(delta.entries)]
            self._put(moved)
        return generation

    # ------------------------------------------------------------ what programs do elsewhere

    def carried(self) -> I64:
        """Return the entries that carry traffic: those that were ever filled."""
        places: I64 = np.arange(len(self.words), dtype=np.int64)
        filled: I64 = places[(self.words[places] != 0) | (self._last(places) != NO_ROW)]
        return filled

    def hop(self, place: int) -> Hop:
        """Return the object that an entry is to have now."""
        row = int(self._last(np.array([place]))[0])
        return carrier(place, *self._way(row))

    def _way(self, row: int) -> tuple[int, IPv6Address | None]:
        """Return device and peer of a tunnel; nowhere without one."""
        if row == NO_ROW or row >= len(self.tunnels):
            return 0, None
        tunnel = self.tunnels[row]
        if not int(tunnel["flags"]) & TunnelFlag.IN_USE or not int(tunnel["ifindex"]):
            return 0, None
        return int(tunnel["ifindex"]), IPv6Address(tunnel["remote"].tobytes())

    def _put(self, places: I64) -> None:
        if len(places):
            self._switch_hops([self.hop(place) for place in places.tolist()])

    def arrive(
        self, rows: I64, *, sequence: I64, hears: Bool, reflection: Bool, now_ns: I64 | int
    ) -> None:
        """Stamp authenticated packets, one of each row, at their times (``fastpath.arrive``)."""
        tunnels = self.tunnels
        now_ns = np.broadcast_to(np.asarray(now_ns, dtype=np.int64), rows.shape)
        self._expire(rows, now_ns)
        restarted = now_ns - self.heard_ns[rows] > self.detect_ns[rows]
        before = tunnels["sequence"][rows]
        step = (sequence - before) & _MASK
        newest = restarted | (before < 0) | ((step != 0) & (step < _HALF))
        self.heard_ns[rows] = now_ns
        tunnels["sequence"][rows[newest]] = sequence[newest]
        proof = reflection | (newest & hears)
        self._confirm(rows[proof], now_ns[proof])
        against = newest & ~proof
        self._disprove(rows[against], now_ns[against])

    def _confirm(self, rows: I64, now_ns: I64) -> None:
        self.confirmed_ns[rows] = now_ns
        began = rows[self.since_ns[rows] == NEVER]
        self.latched[began] = True
        self.since_ns[rows] = np.minimum(self.since_ns[rows], now_ns)

    def _disprove(self, rows: I64, now_ns: I64) -> None:
        # Put back so far that it expires at this very instant.
        gone_ns = now_ns - self.detect_ns[rows] - 1
        self._note(Note.DISPROVED, int((self.confirmed_ns[rows] > gone_ns).sum()))
        self.confirmed_ns[rows] = np.minimum(self.confirmed_ns[rows], gone_ns)
        self._expire(rows, now_ns)

    def _expire(self, rows: I64, now_ns: I64 | int) -> None:
        stale = rows[now_ns - self.confirmed_ns[rows] > self.detect_ns[rows]]
        stale = stale[~self.latched[stale] | (self.since_ns[stale] != NEVER)]
        if len(stale):
            self.latched[stale] = True
            self.since_ns[stale] = NEVER
            self._note(Note.EXPIRED, len(stale))

    def settle(self, now_ns: int) -> int:
        """Apply the rule to everything, and move what is to move; return how many entries did."""
        self._expire(np.arange(len(self.tunnels)), now_ns)
        if self._stale(now_ns):
            due = np.flatnonzero(self.latched & self._due(self.since_ns, now_ns))
            self.latched[due] = False
            self._note(Note.RELEASED, len(due))
        alive = ~self.latched & (now_ns - self.confirmed_ns <= self.detect_ns)
        seen = int(self.settings["bank_word"][0]), alive.tobytes()
        if seen == self._seen:
            return 0
        with self._memory.alone():
            moved = self._move(now_ns)
        self._seen = seen
        return moved

    def next_ns(self) -> int:
        """Return when the next tunnel goes silent, ``NEVER`` for none that carries."""
        up = np.flatnonzero(~self.latched)
        return int((self.confirmed_ns[up] + self.detect_ns[up] + 1).min(initial=NEVER))

    def _move(self, now_ns: int) -> int:
        places = self.carried()
        before = self._last(places)
        after = self._steer(words.unpack(self.words[places]), places, now_ns).rows
        moved = before != after
        if not moved.any():
            return 0
        places, before, after = places[moved], before[moved], after[moved]
        generation = np.uint64(self.generation << 32)
        self._used.view(np.uint64)[places] = (after + 1).astype(np.uint64) | generation
        self._put(places)
        self._push(places, before, after, now_ns)
        self._note(Note.MOVED, len(places))
        return len(places)

    def _push(self, places: I64, before: I32, after: I32, now_ns: int) -> None:
        """Tell of moves in the ring, those that it has room for."""
        ring = self._ring
        head, room = int(ring["head"][0]), len(self._places) - 64
        free = max(room - (head - int(ring["tail"][0])), 0)
        told, lost = min(free, len(places)), max(len(places) - free, 0)
        numbers = int(ring["next"][0]) + np.arange(told)
        at = (head + np.arange(told)) % len(self._places)
        moves = self._places
        moves["number"][at], moves["at_ns"][at] = numbers, now_ns
        moves["entry"][at] = places[:told]
        moves["from_row"][at], moves["to_row"][at] = before[:told], after[:told]
        moves["ready"][at] = head + np.arange(told) + 1
        ring["next"] += len(places)
        ring["lost"] += lost
        self._note(Note.MOVE_LOST, lost)
        ring["head"] = head + told  # the last store: a reader takes what is before it

    def _note(self, note: Note, count: int) -> None:
        self._counters[CounterPlace.NOTE + note] += count
