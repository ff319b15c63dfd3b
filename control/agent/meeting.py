"""How the two ends of each tunnel tell each other under which number they keep it.

A packet names the row of its tunnel at the receiver, which only the receiver knows. So each end
says its own in a datagram beside the tunnel, under a key of the pair:

    magic, version   sender, transport (length, text)   row u16   port u16
    twice: port u16 and public key 32 bytes of a WireGuard device, zeroes for none
    word u8          session u64   echo u64   counter u64   heard u64   HMAC-SHA256, 16 bytes

``session`` is drawn at each start, and only what echoes ours is believed: a recording is of a
session that has passed. What does not echo it is answered, and changes nothing. Within a session
counters grow. ``heard`` is the newest counter of the other end; news, such as another key, are
repeated until it is as new as they are. Where an address is to be learned, it is that of the
first believed datagram, and follows later ones.

Events and the time go in, datagrams come out: no sockets, no clock.
"""

import hmac
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from patronus.engine.units import MS, NEVER, SECOND

MAGIC: Final = b"PAM2"
MAGIC_FALLBACK: Final = b"PAF2"
"""Of sites without BPF, whose tunnels carry packets without our header."""
TAG_BYTES: Final = 16
DATAGRAM_BYTES_MAX: Final = 512
_TAIL: Final = struct.Struct("!HHH32sH32sBQQQQ")
_USE, _SENDS_SHIFT, _SENDS, _ANSWER = 0x01, 1, 0x03, 0x08
"""Of the word: as in :class:`Keys`; and whether to answer at once."""

FIRST_NS: Final = 50 * MS
"""Between the first two attempts; doubled with each ..."""
LAST_NS: Final = 5 * SECOND
"""... up to this, for as long as there is no answer."""
KEEP_NS: Final = 15 * SECOND
"""Between datagrams to those who have answered: mappings of NATs live for 30 s and longer."""


class Refusal(StrEnum):
    """Why a datagram is not believed."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    """No such peer, or no such tunnel to it."""
    FORGED = "forged"
    OTHER_WAY = "other_way"
    """One of us runs without BPF and the other with it: their tunnels do not fit together."""
    OLD = "old"
    KEY_TAKEN = "key_taken"
    """Its WireGuard key is ours, or that of another peer over the same transport: a device takes
    none of both, and would take no change any more."""
    UNPROVEN = "unproven"
    """It does not echo our session: answered, not believed."""


class Where(NamedTuple):
    """An address of the underlay."""

    host: str
    port: int


class End(NamedTuple):
    """One WireGuard device of a site."""

    port: int = 0
    """Where it listens, 0: there is none."""
    public: bytes = bytes(32)


class Keys(NamedTuple):
    """What an end says of its WireGuard keys for a tunnel; of a plain one, nothing."""

    ends: tuple[End, End] = (End(), End())
    """The devices of even and of odd generations; two while a key is being replaced."""
    use: int = 0
    """Which of them the other end shall send to."""
    sends: int = 0
    """To which of the other end's devices it may be sending, one bit each."""

    @property
    def there(self) -> tuple[bool, bool]:
        """Which of both devices there are."""
        return self.ends[0].port > 0, self.ends[1].port > 0

    @property
    def publics(self) -> frozenset[bytes]:
        """The public keys of those that there are."""
        return frozenset(end.public for end in self.ends if end.port)


class Met(NamedTuple):
    """The other end of a tunnel is known, or is known otherwise than before."""

    row: int
    peer_row: int
    port: int
    """Where the peer's kernel takes packets of tunnels."""
    keys: Keys
    host: str


class _Told(NamedTuple):
    row: int
    port: int
    keys: Keys
    answer: bool
    session: int
    echo: int
    counter: int
    heard: int


@dataclass(slots=True)
class Lane:
    """One tunnel that looks for its other end."""

    row: int
    peer: str
    transport: str
    key: bytes = field(repr=False)
    where: Where | None
    """None: to be learned."""
    fixed: bool
    """The address is configured."""
    keys: Keys = field(default_factory=Keys)
    """Our own, for its tunnels."""
    news: int = 1
    """The counter with which the newest of what we have to say went out first ..."""
    heard: int = 0
    """... and that of the newest datagram that the peer has had from us."""
    met: Met | None = None
    session: int = 0
    """Of the peer, 0 while it is not known."""
    proven: int = 0
    """The session of the peer that has echoed ours."""
    counter: int = 0
    waits_ns: int = FIRST_NS
    due_ns: int = 0


class Meeting:
    """The tunnels of one site."""

    def __init__(
        self,
        site: str,
        lanes: Sequence[Lane],
        *,
        session: int,
        port: int,
        magic: bytes = MAGIC,
    ) -> None:
        """Begin with nobody met; everybody with an address is asked at the first wake.

        Args:
            site: our name.
            lanes: all tunnels.
            session: drawn at random.
            port: where our kernel takes packets of tunnels.
            magic: which way we run.
        """
        self._magic = magic
        self._site, self._session, self._port = site, session, port
        self._lanes: Mapping[tuple[str, str], Lane] = {(w.peer, w.transport): w for w in lanes}
        self._by_row = {w.row: w for w in lanes}
        self._counter = 0
        self.refused: Counter[Refusal] = Counter()

    def tell(self, row: int, keys: Keys, now_ns: int) -> None:
        """Say from now on what has changed of our keys for a tunnel, until it is heard."""
        lane = self._by_row[row]
        if lane.keys != keys:
            lane.keys, lane.news = keys, self._counter + 1
            lane.due_ns, lane.waits_ns = now_ns, FIRST_NS

    def is_heard(self, row: int) -> bool:
        """Tell whether the peer has heard the newest of what we say of a tunnel."""
        lane = self._by_row[row]
        return lane.heard >= lane.news

    @property
    def lanes(self) -> list[Lane]:
        """All tunnels, met or not."""
        return list(self._lanes.values())

    def adopt(self, met: Met) -> None:
        """Take for granted what the kernel has been using; it is asked for all the same."""
        self._by_row[met.row].met = met

    def next_deadline(self) -> int:
        """Return when to call :meth:`wake`."""
        due = (w.due_ns for w in self._lanes.values() if w.where is not None)
        return min(due, default=NEVER)

    def wake(self, now_ns: int) -> list[tuple[str, Where, bytes]]:
        """Return what is to be sent now: transport, address, datagram."""
        return [self._ask(w, now_ns) for w in self._lanes.values() if self._due(w, now_ns)]

    def _due(self, lane: Lane, now_ns: int) -> bool:
        return lane.where is not None and lane.due_ns <= now_ns

    def _ask(self, lane: Lane, now_ns: int) -> tuple[str, Where, bytes]:
        known = lane.proven and lane.heard >= lane.news
        lane.due_ns = now_ns + (KEEP_NS if known else lane.waits_ns)
        lane.waits_ns = min(2 * lane.waits_ns, LAST_NS)
        return self._say(lane)

    def _say(self, lane: Lane) -> tuple[str, Where, bytes]:
        assert lane.where is not None
        self._counter += 1
        body = self._magic + _text(self._site) + _text(lane.transport)
        keys, unheard = lane.keys, lane.heard < lane.news
        # What was heard of a session that has passed is nothing to a peer that has started again.
        heard = lane.counter if lane.session == lane.proven else 0
        word = keys.use | keys.sends << _SENDS_SHIFT | (_ANSWER if unheard else 0)
        body += _TAIL.pack(
            lane.row, self._port, *keys.ends[0], *keys.ends[1], word, self._session,
            lane.session, self._counter, heard,
        )  # fmt: skip
        return lane.transport, lane.where, body + _tag(lane.key, body)

    def receive(
        self, transport: str, data: bytes, source: Where, now_ns: int
    ) -> tuple[list[tuple[str, Where, bytes]], Met | None]:
        """Take a datagram; return what is to be sent at once, and news of a tunnel."""
        try:
            lane, told = self._read(transport, data)
        except _Refused as refused:
            self.refused[refused.why] += 1
            return [], None
        if told.echo != self._session:
            # Told to whoever asks; what it says of itself is believed when it echoes us.
            self.refused[Refusal.UNPROVEN] += 1
            return [self._answer(lane, told.session, source)], None
        return self._believe(lane, told, source, now_ns)

    def _answer(self, lane: Lane, session: int, source: Where) -> tuple[str, Where, bytes]:
        before, where = lane.session, lane.where
        lane.session = session
        lane.where = where if lane.fixed and where is not None else source
        said = self._say(lane)
        if lane.proven and lane.proven != session:
            # Perhaps it has started again, perhaps this is a recording: it is asked where it was.
            lane.session, lane.where = before, where
            lane.due_ns, lane.waits_ns = 0, FIRST_NS
        return said

    def _believe(
        self, lane: Lane, told: _Told, source: Where, now_ns: int
    ) -> tuple[list[tuple[str, Where, bytes]], Met | None]:
        fresh = told.session != lane.proven
        if not fresh and told.counter <= lane.counter:
            self.refused[Refusal.OLD] += 1
            return [], None
        if self._is_taken(lane, told.keys):
            self.refused[Refusal.KEY_TAKEN] += 1
            return [], None
        lane.session = lane.proven = told.session
        lane.counter, lane.heard = told.counter, told.heard
        if not lane.fixed:
            lane.where = source
        before, lane.met = (
            lane.met,
            Met(lane.row, told.row, told.port, told.keys, source.host),
        )
        if lane.heard >= lane.news:
            lane.due_ns, lane.waits_ns = now_ns + KEEP_NS, FIRST_NS
        said = [self._say(lane)] if fresh or told.answer else []
        return said, lane.met if lane.met != before else None

    def _is_taken(self, lane: Lane, keys: Keys) -> bool:
        """Tell whether a key is ours, or of another peer of the same devices."""
        new = keys.publics - (lane.met.keys.publics if lane.met else frozenset())
        if not new:  # nearly always
            return False
        here = (w for w in self.lanes if w.transport == lane.transport and w is not lane)
        taken = {key for w in here if w.met for key in w.met.keys.publics}
        taken |= {key for w in self.lanes for key in w.keys.publics}
        return bool(new & taken)

    def _read(self, transport: str, data: bytes) -> tuple[Lane, _Told]:
        if not data.startswith((MAGIC, MAGIC_FALLBACK)) or len(data) > DATAGRAM_BYTES_MAX:
            raise _Refused(Refusal.MALFORMED)
        body, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
        site, rest = _take_text(body[len(MAGIC) :])
        named, rest = _take_text(rest)
        if len(rest) != _TAIL.size:
            raise _Refused(Refusal.MALFORMED)
        lane = self._lanes.get((site, named))
        if lane is None or named != transport:
            raise _Refused(Refusal.UNKNOWN)
        if not hmac.compare_digest(tag, _tag(lane.key, body)):
            raise _Refused(Refusal.FORGED)
        if not data.startswith(self._magic):
            raise _Refused(Refusal.OTHER_WAY)
        return lane, _told(*_TAIL.unpack(rest))


def _end(port: int, public: bytes) -> End:
    return End(port, public) if port and any(public) else End()


def _told(row: int, port: int, *rest: Any) -> _Told:
    """Return what the fields of a datagram say."""
    first, second, word, numbers = _end(*rest[:2]), _end(*rest[2:4]), rest[4], rest[5:]
    if second.public == first.public:  # one key serves one device
        second = End()
    keys = Keys((first, second), word & _USE, word >> _SENDS_SHIFT & _SENDS)
    return _Told(row, port, keys, bool(word & _ANSWER), *numbers)


class _Refused(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why = why


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:TAG_BYTES]


def _text(text: str) -> bytes:
    raw = text.encode()
    return bytes([len(raw)]) + raw


def _take_text(data: bytes) -> tuple[str, bytes]:
    size = data[0] if data else 0
    raw = data[1 : 1 + size]
    if not size or len(raw) != size:
        raise _Refused(Refusal.MALFORMED)
    return raw.decode(errors="replace"), data[1 + size :]
