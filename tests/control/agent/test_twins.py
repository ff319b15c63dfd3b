"""Which pair of devices a tunnel sends by, over every state that there can be."""

from itertools import product

import pytest

from patronus.control.agent.twins import FRESH_NS, Sessions, decide, pair_of
from patronus.dataplane.linux.records import Twin
from patronus.dataplane.tunnels.driver import DeviceState, PeerState
from patronus.dataplane.tunnels.spec import Kind

PAIRS = tuple(Twin(bits) for bits in range(4))
EITHER = ((True, False), (False, True), (True, True))


@pytest.mark.parametrize(("now", "wanted"), list(product(PAIRS, PAIRS)))
def test_a_pair_is_left_only_for_one_that_works(now: Twin, wanted: Twin) -> None:
    """Or when it is not there any more; what is wanted is taken as soon as it is proven."""
    for own, peer, bits in product(EITHER, EITHER, range(16)):
        proven = {pair for pair in PAIRS if bits >> pair & 1}
        there = {p for p in PAIRS if own[bool(p & Twin.OWN)] and peer[bool(p & Twin.PEER)]}
        found = decide(now, wanted, own=own, peer=peer, proven=proven.__contains__)
        assert found in there
        if found != now and now in there:
            assert found in proven
        if wanted in proven & there:
            assert found == wanted
        if now in there and not proven & there - {now}:
            assert found == now


def test_a_pair_is_named_by_its_places() -> None:
    """Ours is the first bit, the peer's the second."""
    assert [pair_of(own, peer) for peer in (0, 1) for own in (0, 1)] == list(PAIRS)


def state(rx_bytes: int, handshake_ns: int) -> list[DeviceState]:
    peer = PeerState(public_key=b"k", rx_bytes=rx_bytes, handshake_ns=handshake_ns)
    return [DeviceState(name="pt-0", kind=Kind.WIREGUARD, peers=(peer,))]


def test_a_session_is_fresh_while_something_comes() -> None:
    """Not at the first sight, since nobody knows when that was; not without a handshake."""
    sessions = Sessions()
    sessions.look(state(100, 7), 0)
    assert not sessions.fresh("pt-0", b"k", 0)
    sessions.look(state(132, 7), 10)
    assert sessions.fresh("pt-0", b"k", 10)
    sessions.look(state(132, 7), 9 + FRESH_NS)
    assert sessions.fresh("pt-0", b"k", 9 + FRESH_NS)
    assert not sessions.fresh("pt-0", b"k", 10 + FRESH_NS)
    sessions.look(state(132, 8), 11 + FRESH_NS)
    assert sessions.fresh("pt-0", b"k", 11 + FRESH_NS)
    assert not sessions.fresh("pt-0t", b"k", 11 + FRESH_NS)


def test_bytes_without_a_handshake_prove_nothing() -> None:
    """As those of attempts that come to nothing; a peer that was taken away is forgotten."""
    sessions = Sessions()
    sessions.look(state(0, 0), 0)
    sessions.look(state(148, 0), 1)
    assert not sessions.fresh("pt-0", b"k", 1)
    sessions.look([], 2)
    sessions.look(state(148, 5), 3)
    assert not sessions.fresh("pt-0", b"k", 3)
