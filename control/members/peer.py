"""What we hold of one peer; nothing in here grows with what it sends."""

from dataclasses import dataclass, field

from patronus.control.members.address import Address
from patronus.control.members.envelope import Kind
from patronus.control.members.reason import Reason, Refused
from patronus.control.members.standing import TABLE, Input, Standing
from patronus.control.members.transfer import Transfer


@dataclass(slots=True)
class Peer:
    """One enrolled site."""

    name: str
    configured: tuple[Address, ...] = ()
    """Where the operator says that it is; if there is any, nothing else is believed."""
    remembered: Address | None = None
    """Where its last proof came from."""
    told: tuple[Address, ...] = ()
    """Where another peer says that it is."""
    sighted: Address | None = None
    """Where something of it came from that proves nothing: the place to try last."""
    standing: Standing = Standing.UNKNOWN
    session: int | None = None
    """Its session, while that is proven."""
    mark: int = 0
    """The highest counter that was believed of it since we started."""
    marks: dict[Kind, int] = field(default_factory=dict)
    """The same by kind, within its session: datagrams may overtake each other."""
    number: int = 0
    """Its last announcement that is complete; numbers grow over its sessions."""
    pieces: int = 0
    """In how many pieces that came."""
    owed: int = 0
    """The announcement that is to be acknowledged."""
    farewell: tuple[int, int] | None = None
    """Session and counter of its LEAVE: it may have to be acknowledged again."""
    heard_ns: int = 0
    attempts: int = 0
    """To get an answer, since it was last heard."""
    transfer: Transfer | None = None
    """What is on its way to it."""
    delivered: int = 0
    """Announcements of it that went to the engine."""
    content: tuple[int, int] | None = None
    """Session and version of the last one."""
    version: int = 0
    """Of our own count: grows when the content is another one."""

    def step(self, given: Input) -> Standing:
        """Change the standing; return the old one."""
        before = self.standing
        self.standing = TABLE[before, given]
        return before

    def place(self, source: Address) -> None:
        """Take note of where proof came from."""
        if not self.configured or source in self.configured:
            self.remembered = source

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to ask it, the likeliest first."""
        if self.configured:
            return self.configured
        places = (self.remembered, *self.told, self.sighted)
        return tuple(dict.fromkeys(place for place in places if place is not None))

    @property
    def address(self) -> Address:
        """Where a live peer is sent to."""
        if self.remembered is not None:
            return self.remembered
        return self.addresses[0]

    def check_new(self, kind: Kind, session: int, counter: int) -> None:
        """Assert that a datagram with the echo of our session has not been heard before.

        Raises:
            Refused: it has, or it is of a session before the one that is proven.
        """
        mark = self.marks.get(kind, 0) if session == self.session else self.mark
        if counter <= mark:
            raise Refused(Reason.REPLAYED)

    def note(self, kind: Kind, session: int, counter: int) -> bool:
        """Take note of a new datagram; return whether its session is another one."""
        fresh = session != self.session
        if fresh:
            self.session = session
            self.marks.clear()
        self.marks[kind] = counter
        self.mark = max(self.mark, counter)
        return fresh

    def rekey(self) -> None:
        """Begin anew with another key: nothing that the old one signed can come again."""
        self.forget_session()
        self.mark = self.number = 0
        self.farewell = None

    def forget_session(self) -> None:
        """Believe nothing more of what was said until there is new proof."""
        self.session = None
        self.marks.clear()
