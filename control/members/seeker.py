"""Looking for peers: whom to ask next, where, and how long to wait for an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from patronus.control.members.actions import Agenda, Due
from patronus.control.members.address import ADDRESSES_MAX, Address
from patronus.control.members.peer import Peer
from patronus.control.members.standing import ASKED
from patronus.control.members.timing import Jitter, Timing, spread


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look for others."""

    seeds: tuple[Address, ...] = ()
    """Who answers there under any enrolled name is asked for the others."""
    configured: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    """By name; such a peer is sought and sent to at these addresses alone."""
    remembered: Mapping[str, Address] = field(default_factory=dict)
    """Where proof came from before we started."""


class Seeker:
    """Asks seeds and peers, each less and less often while nobody answers."""

    def __init__(
        self,
        places: Places,
        agenda: Agenda,
        *,
        jitter: Jitter,
        timing: Timing,
        join: Callable[[Address, int], None],
    ) -> None:
        """Begin with nobody asked; ``join`` sends a request, and takes the wall clock."""
        self._places, self._agenda = places, agenda
        self._jitter, self._timing, self._join = jitter, timing, join
        self._attempts = [0] * len(places.seeds)

    def peer(self, name: str) -> Peer:
        """Return a peer with all that is known of its place."""
        places = self._places
        return Peer(name, places.configured.get(name, ()), places.remembered.get(name))

    # ------------------------------------------------------------ peers

    def seek(self, peer: Peer, now_ns: int) -> bool:
        """Ask a peer at once; return False where that makes no sense, or is under way."""
        waiting = (Due.TRY, peer.name) in self._agenda
        if peer.standing not in ASKED or not peer.addresses or waiting:
            return False
        self._agenda.set((Due.TRY, peer.name), now_ns)
        return True

    def told(self, peer: Peer, addresses: Sequence[Address]) -> None:
        """Take note of where another peer says that one is."""
        if peer.standing in ASKED:
            peer.told = tuple(addresses[:ADDRESSES_MAX])

    def ask(self, peer: Peer, *, now_ns: int, wall_ns: int) -> None:
        """Ask a peer at the next of its addresses."""
        self._join(peer.addresses[peer.attempts % len(peer.addresses)], wall_ns)
        wait_ns = self._wait_ns(peer.name, peer.attempts)
        peer.attempts += 1
        self._agenda.set((Due.TRY, peer.name), now_ns + wait_ns)

    def _wait_ns(self, name: str, attempts: int) -> int:
        return spread(self._timing.backoff_ns(attempts), self._jitter(name, attempts))

    # ------------------------------------------------------------ seeds

    def seek_seeds(self, now_ns: int, address: Address | None = None) -> None:
        """Turn to all seeds, or to the one with an address, at once."""
        for number, seed in enumerate(self._places.seeds):
            if address in (None, seed):
                self._agenda.set((Due.SEED, str(number)), now_ns)

    def seed(self, number: int) -> Address:
        """Return the address of a seed."""
        return self._places.seeds[number]

    def asked_seed(self, number: int, now_ns: int) -> None:
        """Ask a seed again, unless it answers."""
        wait_ns = self._wait_ns(str(self.seed(number)), self._attempts[number])
        self._attempts[number] += 1
        self._agenda.set((Due.SEED, str(number)), now_ns + wait_ns)

    def answered(self, address: Address, now_ns: int, *, more: bool) -> None:
        """Take note of a list of a seed: wait for the next page, or come back after a while."""
        for number, seed in enumerate(self._places.seeds):
            if seed == address:
                self._attempts[number] = 0
                interval_ns = self._timing.retry_ns if more else self._timing.refresh_ns
                wait_ns = spread(interval_ns, self._jitter(str(seed), 0))
                self._agenda.set((Due.SEED, str(number)), now_ns + wait_ns)
