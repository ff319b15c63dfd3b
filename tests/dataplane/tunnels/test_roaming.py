"""A peer is called again when its configuration changes or it was silent for long, not before."""

from dataclasses import replace

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.roaming import REJECT_AFTER_TIME_NS, Roaming
from patronus.engine.units import SECOND
from tests.dataplane.tunnels.specs import peer
from tests.dataplane.tunnels.yard import endpoint

TUNNEL = peer("b", "b", "10.9.1.2", 7002, "172.31.0.2")
KEY = TUNNEL.public_key
STATE = PeerState(public_key=KEY, endpoint=endpoint("192.0.2.7", 9), handshake_ns=5, rx_bytes=5)


def test_a_roamed_peer_that_lives_is_left_alone() -> None:
    """However long it sends from elsewhere, each sign of life counts anew."""
    roaming = Roaming()
    for n in range(100):
        state = replace(STATE, rx_bytes=n)
        assert roaming.call_again([TUNNEL], [state], n * 100 * SECOND) == set()
    quiet = replace(STATE, rx_bytes=99, handshake_ns=6)
    assert roaming.call_again([TUNNEL], [quiet], 10_079 * SECOND) == set()


def test_a_restarted_agent_trusts_what_it_finds() -> None:
    """A peer that was never seen before is not called, however old its handshake."""
    assert Roaming().call_again([TUNNEL], [STATE], 10**18) == set()


def test_a_silent_peer_is_called_once_in_a_while() -> None:
    """Beyond the life of a session the configured endpoint is tried, then waited for again."""
    roaming = Roaming()
    assert roaming.call_again([TUNNEL], [STATE], 0) == set()
    assert roaming.call_again([TUNNEL], [STATE], REJECT_AFTER_TIME_NS) == set()
    assert roaming.call_again([TUNNEL], [STATE], REJECT_AFTER_TIME_NS + 1) == {KEY}
    assert roaming.call_again([TUNNEL], [STATE], REJECT_AFTER_TIME_NS + 2) == set()
    assert roaming.call_again([TUNNEL], [STATE], 2 * REJECT_AFTER_TIME_NS + 2) == {KEY}


def test_another_configured_endpoint_is_called_at_once() -> None:
    """Whoever changes the configuration means it."""
    roaming = Roaming()
    roaming.call_again([TUNNEL], [STATE], 0)
    moved = replace(TUNNEL, remote=endpoint("10.9.1.3", 7002))
    assert roaming.call_again([moved], [STATE], 1) == {KEY}
    assert roaming.call_again([moved], [STATE], 2) == set()


def test_a_jump_of_the_wall_clock_calls_nobody() -> None:
    """Handshake times are only compared with each other, never with a clock."""
    roaming = Roaming()
    roaming.call_again([TUNNEL], [STATE], 0)
    for hour in (-3600, 3600):
        state = replace(STATE, handshake_ns=max(0, STATE.handshake_ns + hour * SECOND))
        assert roaming.call_again([TUNNEL], [state], SECOND) == set()


def test_peers_that_go_are_forgotten() -> None:
    """A peer that comes back is new, so nothing grows with those that were."""
    roaming = Roaming()
    roaming.call_again([TUNNEL], [STATE], 0)
    roaming.call_again([], [], 1)
    assert roaming._seen == {}
    assert roaming.call_again([TUNNEL], [STATE], 10**18) == set()
    assert roaming.call_again([TUNNEL], [], 10**18) == set()
