"""A few rosters over a fake link that loses, delays, repeats and reorders what it carries."""

import hashlib
import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from patronus.control.members.actions import Change, Due
from patronus.control.members.address import Address
from patronus.control.members.assembly import PIECE_COST
from patronus.control.members.book import Book
from patronus.control.members.certificate import Certificate
from patronus.control.members.counter import Counter
from patronus.control.members.identity import Identity, PublicKey
from patronus.control.members.membership import keyed_jitter
from patronus.control.members.reason import Reason
from patronus.control.members.roster import Roster
from patronus.control.members.seeker import Places
from patronus.control.members.standing import ASKED, Standing
from patronus.control.members.timing import Moment, Timing
from patronus.control.members.voice import Voice
from patronus.engine.announcement import Announcement
from patronus.engine.units import MS, PPM, SECOND

WALL_NS = 1_790_000_000 * SECOND
"""Where the wall clock stands when a world begins."""


def identity(seed: str) -> Identity:
    """Return the same key for the same words, so that every run draws the same bytes."""
    return Identity(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))


def key(seed: str) -> PublicKey:
    return identity(seed).public


OPERATOR = identity("operator")
ALL = ["a", "b", "c"]


def certificate(
    name: str,
    keys: str | None = None,
    *,
    serial: int = 1,
    by: str = "operator",
    until_s: int = 2**33,
) -> Certificate:
    """Return an enrolment, by default of the key of the same name by the operator."""
    public = key(keys or name)
    return Certificate.issue(identity(by), name, public, serial=serial, not_after_s=until_s)


def announcement(origin: str, version: int, targets: Sequence[str] = ()) -> Announcement:
    """Return an announcement of two classes whose figures tell its version."""
    shape = len(targets), 2
    return Announcement(
        origin=origin, counter=version, version=version, sent_ns=version, lan_up=True,
        destinations=(f"lan-{origin}",), classes=("bulk", "voice"), targets=tuple(targets),
        usable=np.ones(shape, dtype=np.bool_),
        rtt_ns=np.full(shape, version, dtype=np.int64),
        jitter_ns=np.full(shape, -1, dtype=np.int64),
        loss_ppm=np.zeros(shape, dtype=np.int32),
        verdict=np.zeros(shape, dtype=np.int8),
    )  # fmt: skip


def long(origin: str, version: int, count: int) -> Announcement:
    """Return an announcement of many targets: 60 bytes each, 15 of them a piece or so."""
    return announcement(origin, version, [f"target-{n:06}" for n in range(count)])


@dataclass
class Line:
    """What happens to datagrams on their way."""

    loss_ppm: int = 0
    twice_ppm: int = 0
    delay_ns: tuple[int, int] = (5 * MS, 5 * MS)


@dataclass
class Site:
    """One roster, and what came out of it."""

    name: str
    where: Address
    roster: Roster
    counter: Counter
    learned: list[Announcement] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    sent: list[tuple[Address, bytes]] = field(default_factory=list)
    heard: list[tuple[bytes, Address]] = field(default_factory=list)
    on: bool = True

    def of(self, origin: str) -> list[Announcement]:
        return [a for a in self.learned if a.origin == origin]


@dataclass
class World:
    """All sites, the link between them, and the time."""

    seed: int = 0
    line: Line = field(default_factory=Line)
    now_ns: int = 0
    wall_ns: int = WALL_NS
    """What to add to the time for the wall clock."""
    sites: dict[str, Site] = field(default_factory=dict)
    cut: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of names, from and to, between which nothing passes."""

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)
        self._wire: list[tuple[int, int, Address, Address, bytes]] = []
        self._count = 0

    @property
    def at(self) -> Moment:
        return Moment(self.now_ns, self.now_ns + self.wall_ns)

    def add(
        self,
        name: str,
        *,
        pinned: Sequence[str] = (),
        seeds: Sequence[str] = (),
        places: Places | None = None,
        operator: PublicKey | None = None,
        certificate: Certificate | None = None,
        timing: Timing | None = None,
        ceiling: int = 0,
        keys: str | None = None,
    ) -> Site:
        """Start a site, anew if it was there before."""
        me = identity(keys or name)
        book = Book(name, me.public, pinned={p: key(p) for p in pinned}, operator=operator)
        counter = Counter(ceiling, self.at.wall_ns)
        session = self._luck.getrandbits(63) + 1
        voice = Voice(name, me, session=session, counter=counter)
        roster = Roster(
            voice, book, places or Places(tuple(place(s) for s in seeds)),
            here=np.array([0]), jitter=keyed_jitter(session), certificate=certificate,
            timing=timing,
        )  # fmt: skip
        site = self.sites[name] = Site(name, place(name), roster, counter)
        roster.start(self.at)
        self.carry(site)
        return site

    def carry(self, site: Site) -> None:
        """Put on the wire what a site sends, and note what it has learned."""
        actions = site.roster.take()
        site.learned += [a for _, a in actions.received]
        site.changes += actions.changes
        check(site.roster)
        for to, datagram in actions.sends:
            site.sent.append((to, datagram))
            self.put(site.where, to, datagram)

    def put(self, source: Address, to: Address, datagram: bytes) -> None:
        """Let the line do to a datagram what it does."""
        copies = 1 + (self._luck.randrange(PPM) < self.line.twice_ppm)
        for _ in range(copies):
            if self._luck.randrange(PPM) >= self.line.loss_ppm:
                self._count += 1
                arrives_ns = self.now_ns + self._luck.randint(*self.line.delay_ns)
                heapq.heappush(self._wire, (arrives_ns, self._count, source, to, datagram))

    def deliver(self, site: Site, datagram: bytes, source: Address) -> Reason | None:
        """Let a datagram arrive now."""
        site.heard.append((datagram, source))
        reason = site.roster.receive(datagram, source, self.at)
        self.carry(site)
        return reason

    def run(self, for_ns: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; stop early, and return True, once something holds."""
        end_ns = self.now_ns + for_ns
        while not until():
            next_ns = min(
                self._wire[0][0] if self._wire else end_ns + 1,
                *(s.roster.next_deadline() for s in self.sites.values() if s.on),
            )
            if next_ns > end_ns:
                self.now_ns = end_ns
                return until()
            self.now_ns = max(self.now_ns, next_ns)
            self._step()
        return True

    def _step(self) -> None:
        while self._wire and self._wire[0][0] <= self.now_ns:
            _, _, source, to, datagram = heapq.heappop(self._wire)
            for site in list(self.sites.values()):
                passes = (by(source), site.name) not in self.cut
                if site.on and site.where == to and passes:
                    self.deliver(site, datagram, source)
        for site in self.sites.values():
            if site.on and site.roster.next_deadline() <= self.now_ns:
                site.roster.wake(self.at)
                self.carry(site)

    def kill(self, name: str) -> None:
        """Let a site stop without a word."""
        self.sites[name].on = False

    def announce(self, name: str, told: Announcement) -> bool:
        site = self.sites[name]
        sent = site.roster.announce(told, self.at)
        self.carry(site)
        return sent


def check(site: Roster) -> None:
    """Assert what must hold whenever a roster has done something: nobody waits for nothing."""
    if site._farewell is not None:
        return
    for name, peer in site._peers.items():
        waits = {due for due in Due if (due, name) in site._agenda}
        live = peer.standing is Standing.LIVE
        assert (peer.session is not None) == live
        assert waits >= {Due.SILENCE, Due.KEEPALIVE} or not live
        assert (peer.transfer is not None) == (Due.RESEND in waits)
        assert live or not waits - {Due.TRY}
        asked = peer.standing in ASKED and bool(peer.addresses)
        assert asked == (Due.TRY in waits), (name, peer.standing)
    assert sum(PIECE_COST for p in site._gossip.assembly._partial.values() for _ in p.pieces) == (
        site.pending_bytes
    )


def trio(world: World, names: Sequence[str] = ALL) -> None:
    """Start three sites that have pinned each other; two of them know the first one's place."""
    for name in names:
        world.add(name, pinned=ALL, seeds=[] if name == "a" else ["a"])


def all_live(world: World) -> bool:
    """Tell whether all sites that are on know of each other, and of nobody else."""
    on = {name for name, site in world.sites.items() if site.on}
    return all(set(world.sites[n].roster.live()) == on - {n} for n in on)


def place(name: str) -> Address:
    """Return the address of a site."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big")
    _NAMES[Address(f"10.1.{number >> 8}.{number & 255}", 5000)] = name
    return Address(f"10.1.{number >> 8}.{number & 255}", 5000)


_NAMES: dict[Address, str] = {}


def by(where: Address) -> str:
    """Return whose address that is."""
    return _NAMES.get(where, "nobody")
