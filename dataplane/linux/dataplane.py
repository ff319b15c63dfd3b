"""The dataplane on Linux: the kernel's mapped memory behind the protocol.

Implements :class:`patronus.dataplane.protocol.Dataplane` for one site. Its arrays are the
kernel's own: no copy is kept here, so an agent that starts finds what is in force. A switch
of the table costs the same however many prefixes lead to it: the idle bank is written, then
one word is stored, and every packet sees the old table or the new one.

Moves of the kernel become events when a packet makes them: an entry that nobody uses does
not move.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import words
from patronus.dataplane.linux.moves import MoveReader
from patronus.dataplane.linux.pins import Arrays
from patronus.dataplane.linux.words import Entries
from patronus.dataplane.protocol import KernelMoves
from patronus.engine.fastpath import Counter, Verdict, Verdicts, steer_many, usable_rows
from patronus.engine.forwarding import CANDIDATES, NO_ROW, Bool, ForwardingDelta
from patronus.engine.overlay import I32, I64
from patronus.engine.pauses import Awake, listening_ns
from patronus.engine.units import MS, NEVER

GRACE_NS: Final = MS
"""A bank rests this long after a switch: packets that read the word before it are through."""

_GENERATIONS: Final = 2**32


class LinuxDataplane:
    """Implements :class:`patronus.dataplane.protocol.Dataplane`."""

    def __init__(
        self,
        pins: Arrays,
        *,
        rows: int,
        classes: int,
        homes: I64 | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Stand on what is pinned.

        Args:
            pins: opened; they are not closed here.
            rows: tunnels of this site.
            classes: of the policy; entries are numbered destination * classes + class.
            homes: sites that announce each destination, shape (destinations, most of them)
                (``Overlay.home``): packets in transit take only tunnels that end there.
                None: this site carries nobody's transit.
            wait: called with seconds when two switches follow each other too closely.
        """
        self.settings: npt.NDArray[Any] = pins.array("settings")
        self.tunnels: npt.NDArray[Any] = pins.array("tunnels")[:rows]
        self.heard_ns: I64 = self.tunnels["heard_ns"]
        self.confirmed_ns: I64 = self.tunnels["confirmed_ns"]
        self.detect_ns: I64 = self.tunnels["detect_ns"]
        self.latched: Bool = self.tunnels["latched"]
        self.since_ns: I64 = self.tunnels["since_ns"]
        self._banks = pins.array("entries").reshape(2, -1)
        self._used = pins.array("used")
        self._moves = MoveReader(pins)
        self.homes = homes
        self._wait = wait
        self._switched_ns = -GRACE_NS
        self.settings["classes"] = classes

    # What the engine's driver asks

    def apply(self, delta: ForwardingDelta, now_ns: int) -> int:
        """Install new entries and return their generation.

        With every candidate dead, an entry stays on the row it used if that is still
        one of them; otherwise it goes to its new primary.
        """
        shares = words.unpack(self.words[delta.entries]).shares
        entries = Entries(delta.rows, delta.drop, delta.shared_fate, self._direct(delta), shares)
        self._switch(delta.entries, entries, now_ns)
        return delta.generation

    def where(self, entry: int, now_ns: int) -> Verdict:
        """Tell where a packet of this entry would go."""
        rows, counters = self.where_many(np.array([entry], dtype=np.int64), now_ns)
        return Verdict(int(rows[0]), Counter(int(counters[0])))

    def where_many(self, entries: I64, now_ns: int) -> Verdicts:
        """Tell where packets would go, from the same memory by the same rule."""
        return self._steer(words.unpack(self.words[entries]), entries, now_ns)

    def clear_latch(self, rows: Sequence[int], now_ns: int) -> None:
        """Let tunnels carry traffic again; those that are silent stay latched."""
        at = np.asarray(rows, dtype=np.int64)
        fresh = self.listening_ns(now_ns) - self.confirmed_ns[at] <= self.detect_ns[at]
        proven = fresh & (self.since_ns[at] != NEVER)
        # The kernel alone sets latches. Should one be set between the look and this store,
        # the first proof after the silence sets it again.
        self.latched[at[proven]] = False

    def set_detect(self, rows: I64, detect_ns: I64, now_ns: int) -> None:
        """Set the detect times of tunnels; what was silent by the old ones stays down."""
        until_ns = self.listening_ns(now_ns) - 1
        silent = rows[until_ns - self.confirmed_ns[rows] > self.detect_ns[rows]]
        self.latched[silent] = True
        self.since_ns[silent] = NEVER
        self.detect_ns[rows] = detect_ns

    def listening_ns(self, now_ns: int) -> int:
        """Return the time up to which silence counts: this end's own pauses are none."""
        settings = self.settings
        until_ns, left_ns = (int(settings[n][0]) for n in ("awake_until_ns", "pause_left_ns"))
        return listening_ns(Awake(until_ns, left_ns), now_ns)

    def events(self, site: int) -> KernelMoves:
        """Take the moves out of the ring; there is one site here, whatever its number."""
        return self._moves.take()

    # What the agent tells the kernel besides

    def heartbeat(self, now_ns: int) -> None:
        """Say that the agent is alive: latches are its own business from now on.

        Those that fell due while it was away have fallen, also where no packet has asked.
        """
        if self._stale(now_ns):
            self.latched[:] &= ~self._due(self.since_ns, now_ns)
        self.settings["heartbeat_ns"] = now_ns

    def set_pinned(self, classes: Sequence[int]) -> None:
        """Name the classes whose flows stay on the tunnel that they began on."""
        self.settings["pinned_classes"] = sum(1 << c for c in set(classes))

    def set_shares(self, entries: I64, shares: I64, now_ns: int) -> None:
        """Let flows prefer backups: shape (n, 2), sixteenths for the first and the second."""
        standing = words.unpack(self.words[entries])
        self._switch(entries, standing._replace(shares=shares), now_ns)

    def set_delay(self, rows: I64, delay_ns: I64) -> None:
        """Tell one-way delays, 0 for unknown: pinned flows move where they reorder nothing."""
        self.tunnels["delay_ns"][rows] = delay_ns

    def drain(self, rows: I64, until_ns: I64, told: Bool) -> int:
        """Let pinned flows leave tunnels, by force from ``until_ns`` on; 0 ends it.

        Args:
            rows: all of those that are meant.
            until_ns: of each.
            told: the peer is told of it.

        Returns:
            How many rows stood otherwise.
        """
        tunnels = self.tunnels
        differ = (tunnels["drain_until_ns"][rows] != until_ns) | (tunnels["drained"][rows] != told)
        tunnels["drain_until_ns"][rows[differ]] = until_ns[differ]
        tunnels["drained"][rows[differ]] = told[differ]
        return int(differ.sum())

    @property
    def generation(self) -> int:
        """The kernel's number of the table in force; grows with every switch."""
        return int(self.settings["bank_word"][0]) >> 1

    @property
    def words(self) -> words.U64:
        """The table in force."""
        bank: words.U64 = self._banks[int(self.settings["bank_word"][0]) & 1]
        return bank

    @property
    def used(self) -> I32:
        """The row that carried each entry last."""
        return self._last(slice(None))

    # The switch

    def _switch(self, at: I64, entries: Entries, now_ns: int) -> None:
        """Write the idle bank, book what the entries will use, then store one word.

        A kill between any two steps leaves the old table in force. Entries that are booked
        for a generation that never came are booked anew by the next one.
        """
        self._rest(now_ns)
        word = int(self.settings["bank_word"][0])
        idle, generation = (word + 1) & 1, ((word >> 1) + 1) % _GENERATIONS
        bank = self._banks[idle]
        # All of it, which takes some microseconds: what somebody has spoilt in the bank in force
        # is still there to be found, and counted, afterwards.
        bank[:] = self._banks[word & 1]
        bank[at] = words.pack(entries)
        booked = self._steer(entries, at, now_ns).rows
        rows = (booked + 1).astype(np.uint64)
        self._used.view(np.uint64)[at] = rows | np.uint64(generation << 32)
        self.settings["bank_word"] = generation << 1 | idle
        self._switched_ns = now_ns

    def _rest(self, now_ns: int) -> None:
        rest_ns = self._switched_ns + GRACE_NS - now_ns
        if 0 < rest_ns <= GRACE_NS:
            self._wait(rest_ns / 1_000_000_000)

    def _direct(self, delta: ForwardingDelta) -> Bool:
        """Tell which candidates end at a site that announces the destination."""
        if self.homes is None:
            return np.zeros((len(delta), CANDIDATES), dtype=np.bool_)
        classes = int(self.settings["classes"][0])
        homes = self.homes[delta.entries // classes]
        peers = self.tunnels["peer_site"].astype(np.int64)[delta.rows]
        ends: Bool = (peers[:, :, None] == homes[:, None, :]).any(axis=2)
        ends &= delta.rows != NO_ROW
        return ends

    # The rule, read from outside

    def _steer(self, entries: Entries, at: I64, now_ns: int) -> Verdicts:
        return steer_many(
            entries.rows, entries.drop, self._last(at), self._alive(entries.rows, now_ns)
        )

    def _last(self, at: I64 | slice) -> I32:
        rows: I32 = self._used["row"][at].astype(np.int32) - np.int32(1)
        return rows

    def _alive(self, rows: I32, now_ns: int) -> Bool:
        if not len(self.tunnels):
            return np.zeros(rows.shape, dtype=np.bool_)
        latched = self.latched[rows]
        if self._stale(now_ns):
            latched &= ~self._due(self.since_ns[rows], now_ns)
        until_ns = self.listening_ns(now_ns)
        return usable_rows(self.confirmed_ns[rows], self.detect_ns[rows], latched, until_ns)

    def _due(self, since_ns: I64, now_ns: int) -> Bool:
        """Tell where a latch falls without the agent."""
        due: Bool = since_ns != NEVER
        due &= now_ns - since_ns >= int(self.settings["hold_ns"][0])
        return due

    def _stale(self, now_ns: int) -> bool:
        age_ns = now_ns - int(self.settings["heartbeat_ns"][0])
        return age_ns > int(self.settings["stale_after_ns"][0])
