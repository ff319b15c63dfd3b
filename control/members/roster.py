"""The membership of one site: who takes part now, and who may be believed.

Events and the time go in, datagrams and news come out of :meth:`Roster.take`; the driver
calls :meth:`Roster.wake` when :meth:`Roster.next_deadline` has come. Everything that
arrives goes through :meth:`Roster.receive`, which believes it only

1. if its name is enrolled, under that very key, and the signature is right (``gate.py``);
2. if it proves that it was made since we started: it has the echo of our session, or is
   of a session of its sender that is proven that way;
3. if its counter is above all that was heard of its kind (of any kind, for a new session).

Of what fails one of these nothing is kept but a count of the reason. How to get a first
proof: JOIN is answered to where it came from, changing nothing; the answer has an echo, so
the one who asked believes it, and its acknowledgement has one too.
"""

from collections import Counter as Tally
from collections.abc import Callable, Mapping
from heapq import nsmallest

from patronus.control.members.actions import Actions, Agenda, Change, Due
from patronus.control.members.address import Address
from patronus.control.members.book import Book
from patronus.control.members.certificate import Certificate
from patronus.control.members.envelope import Envelope, Kind, decode
from patronus.control.members.farewell import Farewell
from patronus.control.members.gate import Body, Gate, body_of
from patronus.control.members.gossip import Gossip
from patronus.control.members.limiter import MEMBERS, STRANGERS, Limiter
from patronus.control.members.messages import PAGE_MAX, Ack, Entry, Join, Peers, Piece, page
from patronus.control.members.peer import Peer
from patronus.control.members.reason import Reason, Refused
from patronus.control.members.seeker import Places, Seeker
from patronus.control.members.standing import Input, Standing
from patronus.control.members.timing import Jitter, Moment, Timing, spread
from patronus.control.members.voice import Voice
from patronus.engine.announcement import Announcement
from patronus.engine.overlay import I64


class Roster:
    """All peers of one site."""

    def __init__(
        self,
        voice: Voice,
        book: Book,
        places: Places,
        *,
        here: I64,
        jitter: Jitter,
        certificate: Certificate | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Begin with everybody unknown; nothing is sent before :meth:`start`.

        Args:
            voice: our name, key, session and counter.
            book: who is enrolled.
            places: where to look for others.
            here: the sites whose engine learns what arrives.
            jitter: keeps sites from asking at the same time.
            certificate: what to show to those who have not pinned our key.
            timing: all intervals.
        """
        self._voice, self._book, self._gate = voice, book, Gate(voice, book)
        self._jitter, self._certificate = jitter, certificate
        self._timing = timing = timing or Timing()
        self._agenda: Agenda = Agenda()
        self._out = Actions()
        self._gossip = Gossip(voice, self._agenda, here=here, timing=timing, out=self._out)
        self._seeker = Seeker(
            places, self._agenda, jitter=jitter, timing=timing, join=self._request
        )
        self._peers = {name: self._seeker.peer(name) for name in book.sites()}
        self._farewell: Farewell | None = None
        self._strangers, self._members = Limiter(STRANGERS), Limiter(MEMBERS)
        self.refused: Tally[Reason] = Tally()
        self.accepted: Tally[Kind] = Tally()
        self._on: Mapping[Due, Callable[[Peer, Moment], None]] = {
            Due.TRY: lambda peer, at: self._seeker.ask(peer, now_ns=at.now_ns, wall_ns=at.wall_ns),
            Due.SILENCE: self._watch,
            Due.KEEPALIVE: self._keep_alive,
            Due.RESEND: lambda peer, at: self._gossip.resend(peer, at.now_ns),
            Due.ACK: lambda peer, at: self._gossip.acknowledge(peer, at.wall_ns),
        }

    # ------------------------------------------------------------ what is asked of it

    def start(self, at: Moment) -> None:
        """Begin to look for the others."""
        for peer in self._peers.values():
            self._seek(peer, at.now_ns)
        self._seeker.seek_seeds(at.now_ns)

    def next_deadline(self) -> int:
        """Return when to call :meth:`wake`, ``NEVER`` if nothing is to be waited for."""
        return self._agenda.next()

    def take(self) -> Actions:
        """Return what has to be done and forget it."""
        out, self._out = self._out, Actions()
        self._gossip.out = self._out
        return out

    def standing(self, name: str) -> Standing:
        """Return how a site stands with us."""
        peer = self._peers.get(name)
        return Standing.UNKNOWN if peer is None else peer.standing

    def live(self) -> list[str]:
        """Return the names of those who take part now, ascending."""
        return sorted(peer.name for peer in self._live())

    def remembered(self) -> dict[str, Address]:
        """Return where proof of each peer came from last."""
        return {n: p.remembered for n, p in self._peers.items() if p.remembered is not None}

    @property
    def unsent(self) -> int:
        """Announcements of ours that were too long to be sent."""
        return self._gossip.unsent

    @property
    def given_up(self) -> int:
        """Transfers that came to nothing: no acknowledgement, or no room to put it together."""
        return self._gossip.given_up + self._gossip.assembly.given_up

    @property
    def pending_bytes(self) -> int:
        """What the pieces of unfinished announcements take."""
        return self._gossip.assembly.bytes

    def announce(self, announcement: Announcement, at: Moment) -> bool:
        """Bring our announcement to every live peer; return whether it can be sent at all.

        Raises:
            ValueError: it is of another site, or not well formed.
        """
        if self._farewell is not None or not self._gossip.announce(announcement, at.wall_ns):
            return False
        for peer in self._live():
            self._gossip.bring(peer, at.now_ns)
        return True

    def wake(self, at: Moment) -> None:
        """Do what is due."""
        for due, name in self._agenda.due(at.now_ns):
            if due is Due.SEED:
                self._turn_to_seed(int(name), at)
            elif due is Due.FAREWELL:
                self._bid(at.now_ns)
            else:
                self._on[due](self._peers[name], at)

    def receive(self, data: bytes, source: Address, at: Moment) -> Reason | None:
        """Take a datagram; return why it is not believed, None if it is.

        A refused datagram changes nothing but the count of its reason; a recording of an
        enrolled site can make us look for it, where it came from among other places.
        """
        try:
            envelope = decode(data)
            body = body_of(envelope)
            self._check_rate(envelope, source, at.now_ns)
            self._handle(envelope, body, source, at)
        except Refused as refused:
            self.refused[refused.reason] += 1
            return refused.reason
        self.accepted[envelope.kind] += 1
        return None

    # ------------------------------------------------------------ what arrives

    def _check_rate(self, envelope: Envelope, source: Address, now_ns: int) -> None:
        """Assert that there is time to look at a signature; it is what a datagram costs.

        Who has never seen a datagram of ours knows no session: he cannot use up what is
        for members, whatever source he invents.
        """
        peer = self._peers.get(envelope.origin)
        known = peer is not None and peer.session == envelope.session
        limiter = self._members if known else self._strangers
        if not limiter.admits(source, now_ns):
            raise Refused(Reason.LIMITED)

    def _handle(self, envelope: Envelope, body: Body, source: Address, at: Moment) -> None:
        fresh = self._gate.check(envelope, body, at.wall_ns)
        if fresh is not None:
            self._enrol(fresh, at)
        peer = self._peer(envelope.origin)
        if self._farewell is not None:
            self._hear_out(self._farewell, peer, envelope, body)
        elif isinstance(body, Piece):
            self._check_session(peer, envelope, source, at)
            self._gossip.hear(peer, body, envelope, at)
            peer.heard_ns = at.now_ns
        elif body is None:
            self._see_off(peer, envelope, source, at)
        elif envelope.echo == self._voice.session:
            met = self._prove(peer, envelope, source, at)
            self._answer(peer, body, at, met=met)
        elif isinstance(body, Join):
            self._introduce(peer, envelope, source, at)
        else:
            self._stranger(peer, source, at)

    def _check_session(self, peer: Peer, envelope: Envelope, source: Address, at: Moment) -> None:
        """Assert that a datagram is of the session of its sender that is proven."""
        if envelope.session != peer.session:
            self._stranger(peer, source, at)

    def _stranger(self, peer: Peer, source: Address, at: Moment) -> None:
        """Refuse what has no proof; but if it is alive and knows us of before, ask it there."""
        if not peer.configured:
            peer.sighted = source
        self._seek(peer, at.now_ns)
        raise Refused(Reason.UNPROVEN)

    def _introduce(self, peer: Peer, envelope: Envelope, source: Address, at: Moment) -> None:
        """Answer one who does not know us yet; that it speaks now remains to be proved."""
        if envelope.counter <= peer.mark:
            raise Refused(Reason.REPLAYED)
        body = Peers(more=False, certificate=self._certificate, entries=())
        self._say(source, Kind.PEERS, body, echo=envelope.session, wall_ns=at.wall_ns)

    def _prove(self, peer: Peer, envelope: Envelope, source: Address, at: Moment) -> bool:
        """Take proof; return whether it begins a session."""
        kind, session, counter = envelope.kind, envelope.session, envelope.counter
        peer.check_new(kind, session, counter)
        if counter > peer.mark:
            peer.place(source)
        fresh = peer.note(kind, session, counter)
        peer.heard_ns, peer.attempts = at.now_ns, 0
        before = peer.standing
        self._step(peer, Input.PROOF)
        if fresh and before is Standing.LIVE:
            self._out.changes.append(Change(peer.name, before, before))
        if fresh:
            self._welcome(peer, at)
        return fresh

    def _welcome(self, peer: Peer, at: Moment) -> None:
        """Begin a session with a peer."""
        self._gossip.forget(peer)
        self._agenda.clear((Due.TRY, peer.name))
        self._agenda.set((Due.SILENCE, peer.name), at.now_ns + self._timing.stale_ns + 1)
        self._keep_alive(peer, at)
        self._gossip.bring(peer, at.now_ns)
        self._seeker.seek_seeds(at.now_ns, peer.address)

    def _answer(self, peer: Peer, body: Join | Peers | Ack, at: Moment, *, met: bool) -> None:
        match body:
            case Join():
                told = page(self._entries(peer, body.after), self._certificate)
                self._tell(peer, Kind.PEERS, told, at)
            case Peers() if not met:  # the first one is an introduction, without a list
                for entry in body.entries:
                    self._meet(entry, at)
                if body.more:
                    self._tell(peer, Kind.JOIN, Join(body.entries[-1].name, None), at)
                self._seeker.answered(peer.address, at.now_ns, more=body.more)
            case Ack():
                self._gossip.acknowledged(peer, body, at.now_ns)

    def _entries(self, asker: Peer, after: str) -> list[Entry]:
        known = self._book.certificates
        others = (p for p in self._live() if p is not asker and p.name > after)
        # No page holds them all if there are more than this; sorting all would take its time.
        first = nsmallest(PAGE_MAX + 1, others, key=lambda p: p.name)
        return [Entry(p.name, known.get(p.name), (p.address,)) for p in first]

    def _meet(self, entry: Entry, at: Moment) -> None:
        """Take note of a site that a peer knows; only enrolment makes it one of ours."""
        if entry.name == self._voice.name:
            return
        try:
            if entry.certificate is not None and self._book.judge(entry.certificate, at.wall_ns):
                self._enrol(entry.certificate, at)
            self._book.key(entry.name)
        except Refused as refused:
            self.refused[refused.reason] += 1
        else:
            peer = self._peer(entry.name)
            self._seeker.told(peer, entry.addresses)
            self._seek(peer, at.now_ns)

    # ------------------------------------------------------------ who takes part

    def _peer(self, name: str) -> Peer:
        """Return an enrolled peer."""
        if name not in self._peers:
            self._peers[name] = self._seeker.peer(name)
        return self._peers[name]

    def _live(self) -> list[Peer]:
        return [peer for peer in self._peers.values() if peer.standing is Standing.LIVE]

    def _enrol(self, certificate: Certificate, at: Moment) -> None:
        if self._book.admit(certificate, at.wall_ns) and certificate.name in self._peers:
            peer = self._peers[certificate.name]
            self._part(peer, Input.REKEYED)
            peer.rekey()
            self._seek(peer, at.now_ns)

    def _seek(self, peer: Peer, now_ns: int) -> None:
        if self._seeker.seek(peer, now_ns):
            self._step(peer, Input.TRY)

    def _step(self, peer: Peer, given: Input) -> None:
        before = peer.step(given)
        if before is not peer.standing:
            self._out.changes.append(Change(peer.name, before, peer.standing))

    def _part(self, peer: Peer, given: Input) -> None:
        """End the session with a peer."""
        self._gossip.forget(peer)
        peer.forget_session()
        for due in (Due.TRY, Due.SILENCE, Due.KEEPALIVE):
            self._agenda.clear((due, peer.name))
        self._step(peer, given)

    def _watch(self, peer: Peer, at: Moment) -> None:
        """Look whether a live peer has been silent for too long."""
        stale_ns = peer.heard_ns + self._timing.stale_ns + 1
        if at.now_ns < stale_ns:
            self._agenda.set((Due.SILENCE, peer.name), stale_ns)
            return
        self._part(peer, Input.SILENCE)
        self._seek(peer, at.now_ns)

    def _see_off(self, peer: Peer, envelope: Envelope, source: Address, at: Moment) -> None:
        """Let a peer go that says so."""
        session, counter = envelope.session, envelope.counter
        again = peer.farewell == (session, counter)
        if not again:
            self._check_session(peer, envelope, source, at)
            if counter <= peer.mark:
                raise Refused(Reason.REPLAYED)
        ack = Ack(counter, 1)
        self._say(peer.address, Kind.ACK, ack, echo=session, wall_ns=at.wall_ns)
        if again:
            raise Refused(Reason.DUPLICATE)
        peer.mark, peer.farewell = counter, (session, counter)
        self._gossip.withdraw(peer, at.now_ns)
        self._part(peer, Input.LEAVE)

    # ------------------------------------------------------------ what is sent

    def _say(
        self, to: Address, kind: Kind, body: Join | Peers | Ack, *, echo: int, wall_ns: int
    ) -> None:
        datagram = self._voice.say(kind, body.encode(), echo=echo, wall_ns=wall_ns)
        self._out.sends.append((to, datagram))

    def _tell(self, peer: Peer, kind: Kind, body: Join | Peers, at: Moment) -> None:
        assert peer.session is not None
        self._say(peer.address, kind, body, echo=peer.session, wall_ns=at.wall_ns)

    def _request(self, where: Address, wall_ns: int) -> None:
        self._say(where, Kind.JOIN, Join("", self._certificate), echo=0, wall_ns=wall_ns)

    def _turn_to_seed(self, number: int, at: Moment) -> None:
        seed = self._seeker.seed(number)
        there = [peer for peer in self._live() if peer.address == seed]
        if there:
            self._tell(there[0], Kind.JOIN, Join("", self._certificate), at)
        else:
            self._request(seed, at.wall_ns)
        self._seeker.asked_seed(number, at.now_ns)

    def _keep_alive(self, peer: Peer, at: Moment) -> None:
        self._gossip.tell(peer, Ack(0, 0), at.wall_ns)
        share = self._jitter(peer.name, self._voice.counter.last)
        wait_ns = spread(self._timing.keepalive_ns, share)
        self._agenda.set((Due.KEEPALIVE, peer.name), at.now_ns + wait_ns)

    # ------------------------------------------------------------ our own end

    def leave(self, at: Moment) -> None:
        """Say farewell to every live peer, and nothing else from now on."""
        if self._farewell is not None:
            return
        datagram = self._voice.say(Kind.LEAVE, b"", echo=0, wall_ns=at.wall_ns)
        waiting = {peer.name for peer in self._live()}
        self._farewell = Farewell(self._voice.counter.last, datagram, waiting)
        self._agenda.clear_all()
        self._bid(at.now_ns)

    @property
    def gone(self) -> bool:
        """Whether farewell was said and there is nobody left to wait for."""
        return self._farewell is not None and self._farewell.over

    def _bid(self, now_ns: int) -> None:
        assert self._farewell is not None
        for name in self._farewell.bid():
            self._out.sends.append((self._peers[name].address, self._farewell.datagram))
        if not self._farewell.over:
            self._agenda.set((Due.FAREWELL, ""), now_ns + self._timing.farewell_ns)

    def _hear_out(self, farewell: Farewell, peer: Peer, envelope: Envelope, body: Body) -> None:
        """Take nothing in any more but who has heard of our leaving, or leaves as well."""
        acknowledged = isinstance(body, Ack) and body.number == farewell.number
        leaves_too = body is None and envelope.session == peer.session
        if leaves_too or (acknowledged and envelope.echo == self._voice.session):
            farewell.heard(peer.name)
