"""The roster: whom it believes, held to an oracle over all kinds of datagrams and silences."""

from functools import cache
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.control.members import gossip, peer, roster
from patronus.control.members.address import Address
from patronus.control.members.book import Book
from patronus.control.members.counter import Counter
from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.membership import keyed_jitter
from patronus.control.members.messages import Ack, Join, Peers, pieces
from patronus.control.members.seeker import Places
from patronus.control.members.timing import Moment, Timing
from patronus.control.members.voice import Voice
from patronus.engine.announcement import encode
from patronus.engine.units import SECOND
from tests.control.members.fleet import WALL_NS, announcement, check, identity, key
from tests.mutants.harness import caught, mutant
from tests.oracles.membership import Judge, Said

OURS = 77
"""Our session."""
SOURCE = Address("10.0.0.9", 5000)
TIMING = Timing()
BODIES = {
    "join": Join("", None).encode(),
    "peers": Peers(more=False, certificate=None, entries=()).encode(),
    "ack": Ack(0, 0).encode(),
    "leave": b"",
}

SAID = st.builds(
    Said,
    kind=st.sampled_from(["announce", "join", "peers", "leave", "ack"]),
    session=st.sampled_from([1, 1, 1, 2]),
    counter=st.integers(1, 12),
    echo=st.sampled_from(["ours", "ours", "ours", "other", "none"]),
    name=st.sampled_from(["peer"] * 8 + ["us", "stranger"]),
    key=st.sampled_from(["peer"] * 12 + ["thief"]),
    forged=st.sampled_from([False] * 12 + [True]),
)
PAUSES = st.sampled_from([0, 1, SECOND, TIMING.stale_ns, TIMING.stale_ns + 1, 90 * SECOND])
SCRIPTS = st.lists(st.tuples(PAUSES, SAID, st.booleans()), min_size=1, max_size=14)
"""How long to wait, what to say then, and whether to repeat it at once."""

PROOF = (SECOND, Said("join", session=1, counter=1, echo="ours"), False)
LIVE_SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from([0, SECOND]),
        st.builds(
            Said,
            kind=st.sampled_from(["announce", "announce", "ack"]),
            session=st.sampled_from([1, 1, 2]),
            counter=st.integers(1, 6),
            echo=st.just("ours"),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
).map(lambda script: [PROOF, *script])
"""Of a peer that is live, without much else: what mutants need to show themselves."""

Script = list[tuple[int, Said, bool]]


@cache
def datagram(said: Said) -> bytes:
    """Put together what the peer, or who pretends to be it, sends."""
    signer = identity(said.key)
    body = BODIES.get(said.kind)
    if body is None:
        (piece,) = pieces(encode(announcement(said.name, said.counter)))
        body = piece.encode()
    echo = {"ours": OURS, "other": OURS + 1, "none": 0}[said.echo]
    data = seal(
        Envelope(
            Kind[said.kind.upper()], said.name, signer.public.id,
            said.counter, said.session, echo=echo, body=body,
        ),
        signer,
    )  # fmt: skip
    return data[:-1] + bytes([data[-1] ^ 1]) if said.forged else data


def new_roster(module: ModuleType) -> roster.Roster:
    book = Book("us", key("us"), pinned={"peer": key("peer")})
    voice = Voice("us", identity("us"), session=OURS, counter=Counter(0, WALL_NS))
    jitter, here = keyed_jitter(1), np.array([0])
    made: roster.Roster = module.Roster(voice, book, Places(), here=here, jitter=jitter)
    return made


def let_pass(site: roster.Roster, now_ns: int) -> None:
    while site.next_deadline() <= now_ns:
        at_ns = site.next_deadline()
        site.wake(Moment(at_ns, WALL_NS + at_ns))


def holds(module: ModuleType, script: Script) -> None:
    """Assert that a roster believes, knows and learns what the oracle does."""
    site, judge, now_ns = new_roster(module), Judge(TIMING.stale_ns), SECOND
    learned: list[int] = []
    for pause_ns, said, again in script:
        now_ns += pause_ns
        let_pass(site, now_ns)
        assert not site.take().received, "time alone teaches nothing"
        for _ in range(1 + again):
            reason = site.receive(datagram(said), SOURCE, Moment(now_ns, WALL_NS + now_ns))
            expected = judge.hear(said, now_ns)
            assert (reason and reason.value) == expected, said
            assert site.standing("peer").value == judge.standing(now_ns)
            out = site.take()
            told = [a for _, a in out.received]
            learned += [a.sent_ns if a.lan_up else 0 for a in told]
            assert learned == judge.learned()
            check(site)
            assert len(out.sends) <= 3, "one datagram never brings many"


@settings(max_examples=300)
@given(SCRIPTS | LIVE_SCRIPTS)
def test_it_believes_what_the_oracle_does(script: Script) -> None:
    """Reasons, standings and what the engine learns agree, whatever is said in whatever order."""
    holds(roster, script)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if envelope.session != peer.session:", "if False:"),
        ("elif envelope.echo == self._voice.session:", "elif envelope.echo:"),
        ("if counter <= peer.mark:\n", "if counter < peer.mark:\n"),
        ("if envelope.counter <= peer.mark:", "if False:"),
        ("peer.check_new(kind, session, counter)", "pass"),
        ("again = peer.farewell == (session, counter)", "again = False"),
        ("self._gossip.withdraw(peer, at.now_ns)", "pass"),
        ("        peer.forget_session()\n", ""),
        ("            peer.heard_ns = at.now_ns\n", ""),
        ("fresh = self._gate.check(envelope, body, at.wall_ns)", "fresh = None"),
        ("peer.heard_ns + self._timing.stale_ns + 1\n", "peer.heard_ns + self._timing.stale_ns\n"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """A roster that forgets one of its checks is noticed."""
    broken = mutant(roster, old, new)
    assert caught(SCRIPTS, lambda script: holds(broken, script), examples=3000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if number < peer.number:", "if False:"),
        ("if number == peer.number:", "if False:"),
        ("peer.mark = max(peer.mark, number)", "pass"),
    ],
)
def test_the_property_catches_mutants_of_gossip(old: str, new: str) -> None:
    """So is one that hears old announcements."""
    broken = mutant(roster, "class Roster:", "class Roster:")
    vars(broken)["Gossip"] = mutant(gossip, old, new).Gossip
    assert caught(LIVE_SCRIPTS, lambda script: holds(broken, script), examples=3000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if session == self.session else self.mark", "if True else self.mark"),
        ("if counter <= mark:", "if counter < mark:"),
        ("self.mark = max(self.mark, counter)", "self.mark = counter"),
    ],
)
def test_the_property_catches_mutants_of_peers(old: str, new: str) -> None:
    """So is one that takes a recording of an earlier session for news."""
    wrong = mutant(peer, old, new).Peer
    broken = mutant(roster, "name: self._seeker.peer(name) for", "name: Peer(name) for")
    vars(broken)["Peer"] = wrong
    assert caught(LIVE_SCRIPTS, lambda script: holds(broken, script), examples=3000)
