"""What users feel: a packet every 10 ms on each measured entry, counted at the receiver.

The teeth of the comb have a keyed phase. Each packet takes the tunnel that the
dataplane would give it at its own instant, over at most two legs, and meets the
wire there. (The site in between is asked for that same instant, a delay too early.)
Nothing is read back from parameters: what is reported was counted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64, combine, mix
from patronus.engine.forwarding import NO_ROW, EntrySpace
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.selection import Bools
from patronus.engine.units import MS, NEVER
from patronus.sim.luck import object_keys, words
from patronus.sim.pointers import Pointers
from patronus.sim.wire import Wire

TOOTH_NS: Final = 10 * MS


@dataclass(frozen=True, eq=False)
class Teeth:
    """The packets of some entries in one slot; arrays of shape (entries, packets)."""

    sent_ns: I64
    rows: I32
    """First tunnel, ``NO_ROW`` where the dataplane dropped it."""
    arrived_ns: I64
    """``NEVER`` where lost."""
    copies: I64
    """How many arrived: 0, 1, or 2 when duplicated on the way."""
    inside: Bools
    """The packet leaves in the slot; the others only fill the rows of the arrays."""


class Comb:
    """Sends the packets of measured entries."""

    def __init__(
        self, overlay: Overlay, space: EntrySpace, wire: Wire, packet_bytes: I64, seed: int
    ) -> None:
        """Prepare; ``packet_bytes`` is the usual size by class."""
        self._overlay, self._space, self._wire = overlay, space, wire
        self._packet_bytes, self._seed = packet_bytes, seed

    def keys(self, entries: I64, *, site_keys: U64, destination_keys: U64, class_keys: U64) -> U64:
        """Return each entry's key of luck, made of names."""
        pair, number = np.divmod(entries, self._space.classes)
        site, destination = np.divmod(pair, self._space.destinations)
        name = combine(
            combine(site_keys[site], destination_keys[destination]), mix(number.view(np.uint64))
        )
        return object_keys(self._seed, "comb", name)

    def send(
        self,
        entries: I64,
        keys: U64,
        start_ns: int,
        end_ns: int,
        *,
        pointers: Pointers,
        lan_up: Bools,
    ) -> Teeth:
        """Send what is due in a slot.

        Args:
            entries: measured entries; may repeat.
            keys: their keys of luck.
            start_ns: of the slot.
            end_ns: of the slot, at most one wire window later.
            pointers: what carried each entry when.
            lan_up: by site, whether its own side delivers.
        """
        phase = (keys % np.uint64(TOOTH_NS)).astype(np.int64)
        first = -((phase - start_ns) // TOOTH_NS)  # the first ordinal at or after the start
        count = -(-(end_ns - start_ns) // TOOTH_NS)
        ordinal = first[:, None] + np.arange(count)[None, :]
        sent = ordinal * TOOTH_NS + phase[:, None]
        inside = (sent >= start_ns) & (sent < end_ns)
        word = words(np.broadcast_to(keys[:, None], sent.shape).ravel(), ordinal.ravel())
        word = word.reshape(sent.shape)
        rows = pointers.rows(entries, sent)
        number, destination = self._targets(entries)
        size = self._packet_bytes[number]
        arrived, copies = self._leg(rows, sent, word, size, inside)
        ends = np.where(rows == NO_ROW, -1, self._overlay.dst[rows])
        there = self._overlay.is_home(ends, destination[:, None])
        onward = inside & (rows != NO_ROW) & ~there & (arrived != NEVER)
        if onward.any():
            at = np.nonzero(onward)
            via = (ends[at] * self._space.destinations + destination[at[0]]) * self._space.classes
            second = pointers.at(via + number[at[0]], sent[at])
            # Transit has a budget of one: the second leg must be direct.
            far = np.where(second == NO_ROW, -1, self._overlay.dst[second])
            direct = self._overlay.is_home(far, destination[at[0]])
            second = np.where(direct, second, NO_ROW).astype(np.int32)
            again, twice = self._leg(
                second[:, None], arrived[at][:, None], mix(word[at])[:, None], size[at[0]], None
            )
            arrived[at], ends[at] = again[:, 0], far
            copies[at] = np.minimum(copies[at], 1) * twice[:, 0]
        dead = (ends >= 0) & ~lan_up[ends]
        arrived[dead] = NEVER
        copies[dead] = 0
        return Teeth(sent, rows, arrived, copies, inside)

    def _targets(self, entries: I64) -> tuple[I64, I64]:
        pair, number = np.divmod(entries, self._space.classes)
        return number, pair % self._space.destinations

    def _leg(
        self, rows: I32, sent: I64, word: U64, size: I64, inside: Bools | None
    ) -> tuple[I64, I64]:
        """Send packets over one tunnel each; return arrival times and numbers of copies."""
        arrived = np.full(rows.shape, NEVER, dtype=np.int64)
        copies = np.zeros(rows.shape, dtype=np.int64)
        go = (rows != NO_ROW) if inside is None else (rows != NO_ROW) & inside
        at = np.nonzero(go)
        times, number = self._wire.deliver(
            rows[at].astype(np.int64), sent[at], word[at], size[at[0]]
        )
        arrived[at], copies[at] = times, number
        return arrived, copies
