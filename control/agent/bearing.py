"""What a rotation of keys sees of a site, and what it has done there."""

from dataclasses import dataclass
from typing import Protocol

from patronus.control.agent.keyring import Pair
from patronus.control.agent.meeting import Keys
from patronus.dataplane.linux.records import Twin


@dataclass(frozen=True, slots=True)
class Word:
    """What a peer is told of our keys for a tunnel."""

    known: Pair
    """Generations whose devices take its packets."""
    use: int
    """In which place the one is that it shall send to."""
    sends: int
    """To which of its devices we may be sending, one bit each."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One tunnel that has keys."""

    row: int
    transport: str
    peer: str


class Bearer(Protocol):
    """The site, as far as it bears keys. Everything may be repeated."""

    def pair(self, transport: str) -> Pair:
        """Return the generations that there are of a key."""

    def age_ns(self, transport: str, generation: int) -> int:
        """Return how old a key is."""

    def add_key(self, transport: str, generation: int) -> None:
        """Make a key; once this returns it is on the disk. Raises :class:`KeyTrouble`."""

    def forget_key(self, transport: str, generation: int) -> None:
        """Remove a key; that it is gone is fine. Raises :class:`KeyTrouble`."""

    def bear(self, kept: dict[str, Pair]) -> None:
        """Let there be devices, rows and filters for these generations, and no others."""

    def works(self, transport: str, generation: int) -> bool:
        """Tell whether the device of a generation is as it shall be."""

    def up(self, row: int) -> bool:
        """Tell whether a tunnel is proven to carry packets."""

    def look(self) -> None:
        """See which sessions of devices are alive."""

    def proven(self, row: int, pair: Twin) -> bool:
        """Tell whether packets of a tunnel pass both ways on a pair of devices."""

    def told(self, row: int) -> Keys | None:
        """Return what the peer says of its keys, None while it is unknown."""

    def twins(self, row: int) -> Twin:
        """Return by which pair of devices a tunnel sends."""

    def send_by(self, row: int, pair: Twin) -> None:
        """Let a tunnel send by another pair from now on, in one step."""

    def say(self, row: int, word: Word) -> None:
        """Tell the peer of our keys, until it has heard."""

    def is_heard(self, row: int) -> bool:
        """Tell whether the peer has heard the last word."""
