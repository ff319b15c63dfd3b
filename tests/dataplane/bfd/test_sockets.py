"""The sockets of BFD: addresses that make sense, source ports, what is told of a datagram."""

import errno
import socket
from ipaddress import ip_address
from select import select

import pytest

from patronus.dataplane.bfd.sockets import SOURCE_PORTS, Datagram, Peer, listen, receive, sender

LOOPBACKS = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


@pytest.mark.parametrize(
    ("peer", "local", "message"),
    [
        ("fe80::1", None, "link-local: name an interface"),
        ("10.0.0.1", "fd00::1", "cannot reach 10.0.0.1 from fd00::1"),
    ],
)
def test_impossible_peers_are_named(peer: str, local: str | None, message: str) -> None:
    """A peer that cannot be reached as configured is refused with a message."""
    with pytest.raises(ValueError, match=message):
        Peer(ip_address(peer), local=ip_address(local) if local else None)


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_datagram_comes_with_its_ttl_and_interface(address: str) -> None:
    """What our sender sends arrives with TTL 255, from the loopback, from a port of BFD's range."""
    peer = Peer(ip_address(address), "lo")
    with listen(peer.family, 0) as listener, sender(peer, SOURCE_PORTS) as sending:
        assert receive(listener) is None
        assert sending.getsockname()[1] in SOURCE_PORTS
        sending.sendto(b"hello", (address, listener.getsockname()[1]))
        select([listener], [], [], 5)
        found = receive(listener)
        assert found == Datagram(b"hello", address, socket.if_nametoindex("lo"), 255)
        assert found.address == peer.address
        assert found.interface_name == "lo"


def test_an_interface_that_is_gone_has_no_name() -> None:
    """An index that no interface has any more is no error."""
    assert Datagram(b"", "fe80::1%77", 2**30, 255).interface_name is None
    assert Datagram(b"", "fe80::1%77", 0, 255).address == ip_address("fe80::1")


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_source_port_that_is_taken_is_passed_over(address: str) -> None:
    """The first free one is bound; with none left, that is an error."""
    peer = Peer(ip_address(address), local=ip_address(address))
    with sender(peer, SOURCE_PORTS) as first:
        taken = first.getsockname()[1]
        with sender(peer, [taken, *SOURCE_PORTS[::-1]]) as second:
            assert second.getsockname()[1] != taken
        with pytest.raises(OSError, match="every BFD source port is taken"):
            sender(peer, [taken])


def test_an_address_that_is_not_ours_is_an_error() -> None:
    """A socket cannot be bound to another host's address; nothing is left open."""
    peer = Peer(ip_address("192.0.2.1"), local=ip_address("192.0.2.7"))
    with pytest.raises(OSError, match="assign requested address") as problem:
        sender(peer, SOURCE_PORTS)
    assert problem.value.errno == errno.EADDRNOTAVAIL


def test_a_port_that_is_taken_is_an_error() -> None:
    """Beside another BFD daemon we do not listen, and say so."""
    with (
        listen(socket.AF_INET, 0) as first,
        pytest.raises(OSError, match="is taken: does another BFD daemon run here"),
    ):
        listen(socket.AF_INET, first.getsockname()[1])
