"""A site as the bearer of its keys: devices, rows, filters and words to the peers."""

import time
from typing import TYPE_CHECKING

from patronus.control.agent.bearing import Lane, Word
from patronus.control.agent.keyring import Pair, slot
from patronus.control.agent.meeting import Keys
from patronus.control.agent.twins import Sessions
from patronus.control.config.layout import Layout
from patronus.control.config.model import Kind
from patronus.dataplane.linux.records import Twin

if TYPE_CHECKING:
    from patronus.control.agent.site import Site


def lanes(layout: Layout) -> list[Lane]:
    """Return the tunnels that have keys."""
    return [
        Lane(row, lane.transport.name, lane.peer.name)
        for row, lane in enumerate(layout.lanes)
        if lane.transport.kind is Kind.WIREGUARD
    ]


class SiteBearer:
    """Implements :class:`patronus.control.agent.bearing.Bearer`."""

    def __init__(self, site: "Site") -> None:
        """Bear the keys of a site whose devices and rows are known, and not yet brought up."""
        self._site, self._devices, self._rows = site, site.devices, site.rows
        self._sessions = Sessions()

    def pair(self, transport: str) -> Pair:
        """Return the generations that there are of a key."""
        return self._devices.keyring.pair(transport)

    def age_ns(self, transport: str, generation: int) -> int:
        """Return how old a key is."""
        return self._devices.keyring.age_ns(transport, generation, time.time_ns())

    def add_key(self, transport: str, generation: int) -> None:
        """Make a key; once this returns it is on the disk."""
        self._devices.keyring.add(transport, generation)

    def forget_key(self, transport: str, generation: int) -> None:
        """Remove a key."""
        self._devices.keyring.forget(transport, generation)

    def bear(self, kept: dict[str, Pair]) -> None:
        """Let there be devices, rows and filters for these generations, and no others."""
        self._devices.kept.update(kept)
        self._site.follow(time.monotonic_ns())

    def works(self, transport: str, generation: int) -> bool:
        """Tell whether the device of a generation is as it shall be."""
        return self._devices.works(self._site.config.transport(transport), slot(generation))

    def up(self, row: int) -> bool:
        """Tell whether a tunnel is proven to carry packets."""
        tunnel = self._site.arrays.array("tunnels")[self._site.seats[row]]
        age_ns = time.monotonic_ns() - int(tunnel["confirmed_ns"])
        return age_ns <= int(tunnel["detect_ns"])

    def look(self) -> None:
        """See which sessions of devices are alive."""
        self._sessions.look(self._devices.observe(), time.monotonic_ns())

    def proven(self, row: int, pair: Twin) -> bool:
        """Tell whether packets of a tunnel pass both ways on a pair of devices."""
        told, transport = self.told(row), self._site.layout.lanes[row].transport
        if told is None:
            return False
        device = self._devices.name(transport, bool(pair & Twin.OWN))
        public = told.ends[bool(pair & Twin.PEER)].public
        return self._sessions.fresh(device, public, time.monotonic_ns())

    def told(self, row: int) -> Keys | None:
        """Return what the peer says of its keys, None while it is unknown."""
        met = self._rows.mets[row]
        return met.keys if met is not None else None

    def twins(self, row: int) -> Twin:
        """Return by which pair of devices a tunnel sends."""
        return self._rows.twins[row]

    def send_by(self, row: int, pair: Twin) -> None:
        """Let a tunnel send by another pair from now on, in one step."""
        self._rows.twins[row] = pair
        self._rows.ensure(self._site.ground, self._devices, time.monotonic_ns())

    def say(self, row: int, word: Word) -> None:
        """Tell the peer of our keys."""
        seat, keys = int(self._site.seats[row]), self.keys(row, word)
        self._site.meeting.tell(seat, keys, time.monotonic_ns())

    def is_heard(self, row: int) -> bool:
        """Tell whether the peer has heard the last word."""
        return self._site.meeting.is_heard(int(self._site.seats[row]))

    def keys(self, row: int, word: Word) -> Keys:
        """Return our keys for a tunnel as a peer is told of them."""
        ends = self._devices.ends(self._site.layout.lanes[row].transport, word.known)
        return Keys(ends, word.use, word.sends)
