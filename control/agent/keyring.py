"""The WireGuard keys of a site by generation: one for each transport, two while one is replaced.

The folder of keys is all that is kept of a rotation: which generations there are. Key 0 has the
name of its transport, key n the name and ``.n``; its age is that of its file. The lowest generation
is the one in use, the next one is to replace it, and what else may lie there is left alone.
"""

from collections.abc import Sequence

from patronus.dataplane.tunnels.keys import KeyStore, public_of

Pair = tuple[int, ...]
"""One or two generations, the elder one first."""


def slot(generation: int) -> int:
    """Return in which of two places a generation's device, port and address are."""
    return generation & 1


class Keyring:
    """The keys of some transports."""

    def __init__(
        self, store: KeyStore | None, transports: Sequence[str], *, two: bool = True
    ) -> None:
        """Read all keys, and make those that are missing.

        Args:
            store: where they are; None: there are no such transports.
            transports: that have keys.
            two: rotations go on; without, a second key stays where it is until they do.

        Raises:
            KeyTrouble: a key cannot be had.
        """
        self._store, self._keys = store, dict[tuple[str, int], bytes]()
        self.transports = tuple(transports)
        names = store.names() if store is not None else []
        for transport in transports:
            found = _generations(transport, names) or (0,)
            for generation in found[: 2 if two else 1]:
                self._load(transport, generation)

    def _load(self, transport: str, generation: int) -> None:
        assert self._store is not None, "transports without keys are never asked for"
        key = self._store.ensure(_name(transport, generation))
        self._keys[transport, generation] = key

    def pair(self, transport: str) -> Pair:
        """Return the generations that there are of a transport's key."""
        return tuple(sorted(g for name, g in self._keys if name == transport))

    def private(self, transport: str, generation: int) -> bytes:
        """Return a private key."""
        return self._keys[transport, generation]

    def public(self, transport: str, generation: int) -> bytes:
        """Return a public key."""
        return public_of(self._keys[transport, generation])

    def age_ns(self, transport: str, generation: int, wall_ns: int) -> int:
        """Return how long ago a key was made, by the clock of the files; never less than 0."""
        assert self._store is not None, "transports without keys are never asked for"
        made_ns = self._store.made_ns(_name(transport, generation))
        return 0 if made_ns is None else max(wall_ns - made_ns, 0)

    def add(self, transport: str, generation: int) -> None:
        """Make a key; once this returns it is on the disk. That there is one is fine.

        Raises:
            KeyTrouble: it cannot be kept.
        """
        self._load(transport, generation)

    def forget(self, transport: str, generation: int) -> None:
        """Remove a key that nothing uses any more.

        Raises:
            KeyTrouble: it cannot be removed.
        """
        assert self._store is not None, "transports without keys are never asked for"
        self._store.forget(_name(transport, generation))
        self._keys.pop((transport, generation), None)


def _name(transport: str, generation: int) -> str:
    return f"{transport}.{generation}" if generation else transport


def _generations(transport: str, names: Sequence[str]) -> Pair:
    """Return the generation in use and the one to replace it, as far as they are there."""
    found = set()
    for name in names:
        start, _, number = name.partition(".")
        if start == transport and (not number or number.isdecimal()):
            found.add(int(number or 0))
    lowest = min(found, default=None)
    if lowest is None:
        return ()
    return (lowest, lowest + 1) if lowest + 1 in found else (lowest,)
