"""What a site says: envelopes with its name, its session and its counter, sealed by its key."""

from patronus.control.members.counter import Counter
from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.identity import Identity


class Voice:
    """The sender of one site."""

    def __init__(self, name: str, identity: Identity, *, session: int, counter: Counter) -> None:
        """Begin a session; 0 stands for none and is not a session.

        Raises:
            ValueError: the session is out of range, or the name is too long.
        """
        if not 0 < session < 2**64:
            raise ValueError("a session is a random number of 64 bits that is not 0")
        self.name, self.session, self.counter = name, session, counter
        self.first = counter.last
        """Everything that this session says is numbered above."""
        self._identity = identity
        self.public = identity.public

    def say(self, kind: Kind, body: bytes, *, echo: int, wall_ns: int) -> bytes:
        """Return a datagram with the next number."""
        return self.repeat(kind, body, echo=echo, number=self.counter.next(wall_ns))

    def repeat(self, kind: Kind, body: bytes, *, echo: int, number: int) -> bytes:
        """Return a datagram with a number that is given: pieces share that of their whole."""
        envelope = Envelope(
            kind, self.name, self.public.id, number, self.session, echo=echo, body=body
        )
        return seal(envelope, self._identity)
