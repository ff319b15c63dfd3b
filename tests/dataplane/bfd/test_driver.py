"""Our driver against our driver, with real packets between two namespaces."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from threading import Event, Thread

import pytest

from patronus.dataplane.bfd.authentication import Authentication, AuthType
from patronus.dataplane.bfd.driver import Driver
from patronus.dataplane.bfd.machine import Diagnostic, State
from patronus.dataplane.bfd.packet import Discard, encode
from patronus.dataplane.bfd.session import Session
from patronus.dataplane.bfd.sockets import CONTROL_PORT, SOURCE_PORTS, Peer
from tests.dataplane.bfd.link import timers
from tests.dataplane.bfd.test_packet import FAULTS, PACKET
from tests.interop.namespaces import Cable, cable, enter, ip
from tests.interop.speaker import Speaker, speaker
from tests.interop.waiting import eventually

pytestmark = pytest.mark.root

FAST = timers(50_000, 50_000)
Ends = tuple[Cable, Speaker, Speaker]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A cable with our driver at both ends."""
    with cable() as made, speaker(made.left) as left, speaker(made.right) as right:
        yield made, left, right


def add(
    place: Speaker,
    address: str,
    interface: str | None = None,
    authentication: Authentication | None = None,
) -> tuple[Peer, Session]:
    peer = Peer(ip_address(address), interface)
    return peer, place.ask(lambda: place.driver.add(peer, FAST, authentication=authentication))


def both(ends: Ends, which: int = 0, interface: str | None = None) -> tuple[Peer, Peer]:
    """Begin a session between two addresses of the cable, and wait until it is Up."""
    made, left, right = ends
    peers = (
        add(left, made.right_addresses[which], interface)[0],
        add(right, made.left_addresses[which], interface)[0],
    )
    left.wait_for(State.UP)
    right.wait_for(State.UP)
    return peers


@pytest.mark.parametrize(("which", "interface"), [(0, None), (1, None), (2, "eth0")])
def test_two_drivers_come_up(ends: Ends, which: int, interface: str | None) -> None:
    """Over IPv4, IPv6 and link-local IPv6, with TTL 255 and a source port of the right range."""
    both(ends, which, interface)
    _, left, right = ends
    for end in (left, right):
        (link,) = end.driver._by_discriminator.values()
        assert link.sender is not None
        assert link.sender.getsockname()[1] in SOURCE_PORTS
        assert end.driver.send_errors == 0
        assert set(end.driver.discards) <= {Discard.NO_SESSION}


def test_sha1_over_real_sockets(ends: Ends) -> None:
    """With the same key on both sides the session comes Up."""
    made, left, right = ends
    agreed = Authentication(AuthType.METICULOUS_KEYED_SHA1, {3: b"key"}, 3)
    add(left, made.right_address, authentication=agreed)
    add(right, made.left_address, authentication=agreed)
    left.wait_for(State.UP)
    right.wait_for(State.UP)


def test_one_socket_serves_many_sessions(ends: Ends) -> None:
    """Thirty sessions come Up over one listening socket, each with a source port of its own."""
    made, left, right = ends
    hosts = range(50, 80)
    for place, name, ours, theirs in ((left, made.left, 1, 2), (right, made.right, 2, 1)):
        for host in hosts:
            local, address = f"10.10.{ours}.{host}", f"10.10.{theirs}.{host}"
            ip("-n", name, "addr", "add", f"{local}/16", "dev", made.interface)
            peer = Peer(ip_address(address), local=ip_address(local))
            place.ask(partial(place.driver.add, peer, FAST))
    for place in (left, right):
        eventually(partial(all_up, place))
        links = place.driver._by_discriminator.values()
        ports = [link.sender.getsockname()[1] for link in links if link.sender]
        assert len(set(ports)) == len(hosts)
        assert len(place.driver._listeners) == 1


def all_up(place: Speaker) -> bool:
    links = place.driver._by_discriminator.values()
    return all(link.session.state is State.UP for link in links)


def inject(namespace: str, target: tuple[str, int], payloads: list[bytes], ttl: int = 255) -> None:
    """Send datagrams out of a namespace."""

    def send() -> None:
        enter(namespace)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            for payload in payloads:
                sending.sendto(payload, target)

    thread = Thread(target=send)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_bad_packets_are_counted_by_reason(ends: Ends) -> None:
    """Truncated, oversized and forged packets raise one counter each; the session stays Up."""
    both(ends)
    made, left, _ = ends
    target = (made.left_address, CONTROL_PORT)
    before = dict(left.driver.discards)
    (known,) = left.driver._by_discriminator
    good = encode(replace(PACKET, your_discriminator=known))
    expected = {Discard.TTL: 2, Discard.PAYLOAD_SHORT: 2, Discard.NO_SESSION: 1}
    bad = [b"", good[:3], encode(replace(PACKET, your_discriminator=known ^ 1))]
    for reason, spoil in FAULTS.items():
        data = bytearray(good)
        spoil(data)
        bad.append(bytes(data))
        expected[reason] = 1
    signed = encode(replace(PACKET, your_discriminator=known, auth=bytes([4, 28]) + bytes(26)))
    bad += [signed, b"\x20\x40\x03\x18" + bytes(60_000)]
    expected |= {Discard.AUTH_UNEXPECTED: 1, Discard.MY_DISCRIMINATOR_ZERO: 2}
    inject(made.right, target, [good, good], ttl=254)
    inject(made.right, target, bad)

    def counted() -> dict[Discard, int]:
        now = left.driver.discards
        return {reason: now[reason] - before.get(reason, 0) for reason in now if reason in expected}

    eventually(lambda: counted() == expected)
    assert left.quiet


def test_a_stranger_makes_no_session(ends: Ends) -> None:
    """A first packet from an address that was not configured is refused."""
    made, left, _ = ends
    add(left, "10.9.0.77")
    hello = encode(replace(PACKET, state=State.DOWN, your_discriminator=0))
    inject(made.right, (made.left_address, CONTROL_PORT), [hello])
    eventually(lambda: left.driver.discards[Discard.NO_SESSION] == 1)


def test_silence_and_return(ends: Ends) -> None:
    """A cut of one direction takes both ends Down; mended, both come back."""
    both(ends)
    made, left, right = ends
    made.cut(made.left)
    assert left.wait_for(State.DOWN).diagnostic is Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
    assert right.wait_for(State.DOWN).diagnostic is Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
    made.mend(made.left)
    left.wait_for(State.UP)
    right.wait_for(State.UP)


def test_a_late_loop_does_not_take_its_peer_for_dead(ends: Ends) -> None:
    """After a stall of several Detection Times, what waits in the socket counts first."""
    _, left, right = ends
    to_right, _ = both(ends)
    patient = timers(50_000, 50_000, 60)
    left.ask(lambda: left.driver.configure(to_right, patient))
    (seen,) = (x.session for x in right.driver._by_discriminator.values())
    eventually(lambda: seen.detection_time_ns == 3_000_000_000)
    left.ask(lambda: Event().wait(0.6))
    (session,) = (x.session for x in left.driver._by_discriminator.values())
    assert session.detection_time_ns == 150_000_000
    left.ask(lambda: left.driver.configure(to_right, patient))
    assert session.state is State.UP
    assert left.quiet
    assert right.quiet


@pytest.mark.parametrize("which", [0, 2])
def test_an_interface_that_is_made_anew_is_used_again(ends: Ends, which: int) -> None:
    """Taken away and made again, with another index, the interface carries the session again."""
    both(ends, which, "eth0")
    made, left, right = ends
    made.unplug()
    left.wait_for(State.DOWN)
    right.wait_for(State.DOWN)
    made.plug()
    left.wait_for(State.UP)
    right.wait_for(State.UP)


def test_admin_down_is_told_and_removal_is_silent(ends: Ends) -> None:
    """A disabled end tells the other; a removed one is missed after the Detection Time."""
    to_right, _ = both(ends)
    made, left, right = ends
    left.ask(lambda: left.driver.disable(to_right))
    down = right.wait_for(State.DOWN)
    assert down.remote_diagnostic == Diagnostic.ADMINISTRATIVELY_DOWN
    left.ask(lambda: left.driver.enable(to_right))
    right.wait_for(State.UP)
    left.wait_for(State.UP)
    left.ask(lambda: left.driver.remove(to_right))
    assert right.wait_for(State.DOWN).diagnostic is Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
    add(left, made.right_address)
    right.wait_for(State.UP)


def test_two_sessions_with_one_peer_are_refused(ends: Ends) -> None:
    """A peer has one session; a second one is refused with a message."""
    made, left, _ = ends
    add(left, made.right_address)
    with pytest.raises(ValueError, match="a BFD session with 10"):
        add(left, made.right_address)


def test_two_drivers_in_one_place_are_refused(ends: Ends) -> None:
    """Where the port is taken, adding a session fails, and nothing of it is left."""
    made, left, _ = ends
    add(left, made.right_address)
    second = left.ask(lambda: Driver(lambda *_: None))
    with pytest.raises(OSError, match="is taken: does another BFD daemon run here"):
        left.ask(lambda: second.add(Peer(ip_address(made.right_address)), FAST))
    left.ask(second.close)


def test_an_impossible_pace_is_refused(ends: Ends) -> None:
    """Intervals below a millisecond are refused, at the beginning and later."""
    _, left, _ = ends
    peer, _ = add(left, "10.9.0.2")
    for attempt in (
        partial(left.driver.configure, peer, timers(999, 1)),
        partial(left.driver.add, Peer(ip_address("10.9.0.3")), timers(999, 1)),
    ):
        with pytest.raises(ValueError, match="999; we cannot send more often than every 1000"):
            left.ask(attempt)
