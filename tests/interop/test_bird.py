"""Authenticated BFD with BIRD at the other end of a cable."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from patronus.dataplane.bfd.authentication import Authentication, AuthType
from patronus.dataplane.bfd.machine import State
from patronus.dataplane.bfd.packet import Discard
from patronus.dataplane.bfd.session import Session
from patronus.dataplane.bfd.sockets import Peer
from tests.dataplane.bfd.link import timers
from tests.interop.bird import Bird, bird
from tests.interop.namespaces import cable
from tests.interop.speaker import Speaker, speaker
from tests.interop.waiting import eventually

pytestmark = pytest.mark.root

NAMES = {
    AuthType.KEYED_SHA1: "keyed sha1",
    AuthType.METICULOUS_KEYED_SHA1: "meticulous keyed sha1",
}


@dataclass
class Pair:
    """Our session on the left, BIRD's on the right."""

    ours: Speaker
    bird: Bird
    peer: Peer
    session: Session
    neighbour: str

    @property
    def state(self) -> str:
        return self.bird.state(self.neighbour)


def theirs(auth_type: AuthType, key_id: int = 7, key: str = "a shared key") -> str:
    """Return BIRD's configuration of an authentication."""
    return f'authentication {NAMES[auth_type]}; password "{key}" {{ id {key_id}; }};'


def agreed(auth_type: AuthType) -> Authentication:
    return Authentication(auth_type, {7: b"a shared key"}, 7)


@contextmanager
def talking(ours: Authentication | None, authentication: str) -> Iterator[Pair]:
    """Yield a session of ours and one of BIRD's, each with its own idea of authentication."""
    with (
        cable() as made,
        speaker(made.left) as left,
        bird(
            made.right,
            neighbour=made.left_address,
            local=made.right_address,
            interface=made.interface,
            authentication=authentication,
        ) as right,
    ):
        peer = Peer(ip_address(made.right_address), made.interface)
        session = left.ask(
            lambda: left.driver.add(peer, timers(50_000, 50_000), authentication=ours)
        )
        yield Pair(left, right, peer, session, made.left_address)


@pytest.mark.parametrize("auth_type", AuthType)
def test_the_same_key_comes_up(auth_type: AuthType) -> None:
    """With the same type and key both ends come Up, change timers and refuse nothing."""
    with talking(agreed(auth_type), theirs(auth_type)) as pair:
        pair.ours.wait_for(State.UP)
        eventually(lambda: pair.state == "Up")
        pair.ours.ask(lambda: pair.ours.driver.configure(pair.peer, timers(200_000, 20_000)))
        eventually(lambda: not pair.session.polling)
        received = pair.ours.driver.received
        eventually(lambda: pair.ours.driver.received > received + 20)
        assert pair.ours.quiet
        assert pair.state == "Up"
        assert set(pair.ours.driver.discards) <= {Discard.NO_SESSION}


def test_no_authentication_at_all_comes_up() -> None:
    """Plain BFD with BIRD works as it does with FRR."""
    with talking(None, "") as pair:
        pair.ours.wait_for(State.UP)
        eventually(lambda: pair.state == "Up")


KEYED, METICULOUS = AuthType

WRONG = {
    "key": (agreed(KEYED), theirs(KEYED, key="another key"), Discard.AUTH_DIGEST),
    "key id": (agreed(KEYED), theirs(KEYED, key_id=8), Discard.AUTH_KEY_ID),
    "type": (agreed(METICULOUS), theirs(KEYED), Discard.AUTH_TYPE),
    "none on our side": (None, theirs(KEYED), Discard.AUTH_UNEXPECTED),
    "none on theirs": (agreed(KEYED), "", Discard.AUTH_MISSING),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_match_stays_down(what: str) -> None:
    """Each side refuses the other's packets, for the right reason, and stays Down."""
    ours, authentication, reason = WRONG[what]
    with talking(ours, authentication) as pair:
        eventually(lambda: pair.ours.driver.discards[reason] >= 3)
        assert set(pair.ours.driver.discards) <= {reason, Discard.NO_SESSION}
        assert pair.session.state is State.DOWN
        assert pair.ours.quiet
        assert pair.state == "Down"


def test_a_restarted_bird_is_heard_again() -> None:
    """Its numbers begin elsewhere; they are refused until the old ones are forgotten."""
    with talking(agreed(METICULOUS), theirs(METICULOUS)) as pair:
        pair.ours.wait_for(State.UP)
        pair.bird.restart()
        pair.ours.wait_for(State.DOWN)
        pair.ours.wait_for(State.UP)
        assert pair.ours.driver.discards[Discard.AUTH_SEQUENCE] > 0
