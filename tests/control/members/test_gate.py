"""The gate: each way of speaking under a wrong name or key has its reason."""

import pytest

from patronus.control.members.address import Address
from patronus.control.members.certificate import Certificate
from patronus.control.members.envelope import Envelope, Kind, seal
from patronus.control.members.messages import Join
from patronus.control.members.reason import Reason
from patronus.control.members.standing import Standing
from patronus.engine.units import SECOND
from tests.control.members.fleet import OPERATOR, WALL_NS, World, certificate, identity

SOURCE = Address("10.9.9.9", 9)
LATER = WALL_NS + 10 * SECOND


def join(
    name: str,
    keys: str,
    *,
    session: int = 5,
    counter: int = LATER,
    shows: Certificate | None = None,
    forged: bool = False,
) -> bytes:
    me = identity(keys)
    body = Join("", shows).encode()
    data = seal(Envelope(Kind.JOIN, name, me.public.id, counter, session, echo=0, body=body), me)
    return data[:-1] + bytes([data[-1] ^ 1]) if forged else data


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (join("b", "b"), None),
        (join("b", "b", forged=True), Reason.SIGNATURE),
        (join("b", "thief"), Reason.WRONG_KEY),
        (join("c", "b"), Reason.NOT_ENROLLED),
        (join("a", "thief"), Reason.OWN_NAME),
        (join("a", "a"), Reason.TWIN),
        (join("a", "a", forged=True), Reason.SIGNATURE),
        (join("a", "a", counter=WALL_NS), Reason.OWN_ECHO),
        (join("b", "a"), Reason.OWN_KEY),
        (join("c", "a"), Reason.OWN_KEY),
        (join("c", "c", shows=certificate("c", "c")), None),
        (join("c", "c", shows=certificate("c", "c"), forged=True), Reason.SIGNATURE),
        (join("c", "thief", shows=certificate("c", "c")), Reason.WRONG_KEY),
        (join("c", "c", shows=certificate("d", "c")), Reason.CERTIFICATE),
        (join("c", "c", shows=certificate("c", "c", by="thief")), Reason.CERTIFICATE),
        (join("c", "c", shows=certificate("c", "c", until_s=1)), Reason.EXPIRED),
        (join("c", "b", shows=certificate("c", "b")), Reason.KEY_TAKEN),
        (join("b", "thief", shows=certificate("b", "thief")), Reason.WRONG_KEY),
    ],
)
def test_who_speaks_is_told_apart(datagram: bytes, reason: Reason | None) -> None:
    """Only an enrolled site under its own key gets an answer; nobody else even that."""
    world = World()
    site = world.add("a", pinned=["b"], operator=OPERATOR.public)
    assert world.deliver(site, datagram, SOURCE) is reason
    assert len(site.sent) == (reason is None)
    assert site.roster.refused == ({} if reason is None else {reason: 1})
    assert not site.learned
    assert not site.changes


def test_a_farewell_says_nothing_else() -> None:
    """Bytes behind a farewell are no farewell of ours."""
    world = World()
    site = world.add("a", pinned=["b"])
    b = identity("b")
    made = Envelope(Kind.LEAVE, "b", b.public.id, LATER, 5, echo=0, body=b"x")
    assert world.deliver(site, seal(made, b), SOURCE) is Reason.TRAILING


def test_our_own_datagram_comes_back() -> None:
    """A reflected datagram is told apart from a twin."""
    world = World()
    site = world.add("a", pinned=["b"], seeds=["b"])
    world.run(SECOND)
    _, datagram = site.sent[0]
    assert world.deliver(site, datagram, SOURCE) is Reason.OWN_ECHO


def test_an_enrolment_that_ends_ends_the_belief() -> None:
    """A live peer is not believed after its certificate has ended, and is stale soon after."""
    world = World()
    until_s = WALL_NS // SECOND
    for name in "ab":
        world.add(
            name, seeds=["a"] if name == "b" else [], operator=OPERATOR.public,
            certificate=certificate(name, name, until_s=until_s),
        )  # fmt: skip
    world.run(SECOND)
    a = world.sites["a"].roster
    assert a.live() == ["b"]
    world.run(3590 * SECOND)
    assert a.live() == ["b"]
    world.run(60 * SECOND)
    assert a.standing("b") is Standing.STALE
    assert a.refused[Reason.EXPIRED] > 0
