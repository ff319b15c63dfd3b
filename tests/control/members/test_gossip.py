"""Gossip and a real engine: what one site's engine says, another one's believes."""

from dataclasses import replace

import numpy as np
import pytest

from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.messages import pieces
from patronus.control.members.reason import Reason
from patronus.engine.announcement import AnnouncementError, encode
from patronus.engine.engine import Engine
from patronus.engine.overlay import build_overlay
from patronus.engine.policy import Policy
from patronus.engine.units import SECOND
from tests.control.members.fleet import World, announcement, identity, long, trio

OVERLAY = build_overlay(
    sites=["a", "b", "c"],
    transports=["mpls"],
    pairs=np.array([[0, 1, 0], [0, 2, 0]]),
    destinations=[("default", ["b", "c"])],
)
A, B, DEFAULT = np.array([0]), np.array([1]), np.array([3])


def say_whole(world: World, data: bytes) -> list[Reason | None]:
    """Let b, with its key and in its session, announce any bytes to a."""
    b, a = world.sites["b"], world.sites["a"]
    session = int.from_bytes(b.sent[0][1][12:20], "little")
    number = b.counter.next(world.at.wall_ns)
    signer = identity("b")
    reasons = []
    for piece in pieces(data):
        made = Envelope(
            Kind.ANNOUNCE, "b", signer.public.id, number, session, echo=0, body=piece.encode()
        )
        reasons.append(world.deliver(a, seal(made, signer), b.where))
    return reasons


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"rubbish" * 300, Reason.ANNOUNCEMENT),
        (encode(long("b", 1, 100))[:-1], Reason.ANNOUNCEMENT),
        (encode(announcement("c", 9)), Reason.FOREIGN),
        (encode(announcement("a", 9)), Reason.FOREIGN),
    ],
)
def test_what_a_peer_must_not_announce_is_refused_once(data: bytes, reason: Reason) -> None:
    """Rubbish, and words for another site, teach nothing; they are not asked for again."""
    world = World()
    trio(world)
    world.run(SECOND)
    a = world.sites["a"]
    reasons = say_whole(world, data)
    assert reasons[-1] is reason
    assert reasons[:-1] == [None] * (len(reasons) - 1)
    assert not a.learned
    assert a.roster.pending_bytes == 0
    assert a.sent[-1][1][3] == Kind.ACK
    world.announce("b", announcement("b", 2))
    world.run(SECOND)
    assert [told.sent_ns for told in a.learned] == [2]


def test_what_is_no_announcement_is_not_sent() -> None:
    """A mistake of our own engine is an error here, and not a datagram."""
    world = World()
    world.add("b")
    with pytest.raises(AnnouncementError):
        world.announce("b", replace(announcement("b", 1), destinations=("z", "a")))


class Pair:
    """The engine of site a, which listens, and that of site b, which has a default route."""

    def __init__(self) -> None:
        self.world = World()
        trio(self.world)
        self.world.run(SECOND)
        self.listener = Engine(OVERLAY, Policy())
        self.speaker = Engine(OVERLAY, Policy())

    def say(self, now_ns: int, *, lan_up: bool) -> None:
        """Let b's engine say how things are, and what that brings arrive at a's."""
        self.speaker.set_lan(1, up=lan_up, now_ns=now_ns)
        said = self.speaker.take().announcements
        assert [told.origin for told in said] == ["b"]
        self.world.announce("b", said[0])
        self.hear()

    def hear(self) -> None:
        self.world.run(SECOND)
        learned = self.world.sites["a"].learned
        self.listener.learn([(A, told) for told in learned], self.world.now_ns)
        learned.clear()

    @property
    def believes(self) -> bool:
        """Whether a believes that b has the default route."""
        return bool(self.listener.knowledge.announces(A, B, DEFAULT)[0])


def test_an_engine_believes_what_was_said_last() -> None:
    """A route that goes is believed to be gone, and one that comes back to be back."""
    pair = Pair()
    for lan_up in (True, False, True):
        pair.say(pair.world.now_ns, lan_up=lan_up)
        assert pair.believes == lan_up


def test_a_restart_with_an_earlier_clock_is_no_replay_to_the_engine() -> None:
    """The engine counts by the site's clock since boot, which begins at zero again."""
    pair = Pair()
    pair.say(10**15, lan_up=False)
    assert not pair.believes
    trio(pair.world, ["b"])
    pair.world.run(SECOND)
    pair.speaker = Engine(OVERLAY, Policy())
    pair.say(1, lan_up=True)
    assert pair.believes


def test_who_leaves_has_no_route() -> None:
    """A farewell withdraws for the engine what the site has announced, until it says it anew."""
    pair = Pair()
    pair.say(1, lan_up=True)
    leaver = pair.world.sites["b"]
    leaver.roster.leave(pair.world.at)
    pair.world.carry(leaver)
    pair.hear()
    assert not pair.believes
    trio(pair.world, ["b"])
    pair.world.run(SECOND)
    pair.speaker = Engine(OVERLAY, Policy())
    pair.say(1, lan_up=True)
    assert pair.believes
