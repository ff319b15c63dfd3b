"""Plain tunnels hold their sockets, follow their addresses, and say what is in the way."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from patronus.dataplane.tunnels.driver import Health
from patronus.dataplane.tunnels.plain import PlainDriver
from patronus.dataplane.tunnels.spec import DeviceSpec, Kind
from tests.dataplane.tunnels.yard import Namespace, endpoint, namespaces, until

pytestmark = pytest.mark.root

PORT = 7200


def plain(name: str = "tn-p1", address: str = "10.9.0.1", mark: int = 0x10) -> DeviceSpec:
    return DeviceSpec(
        name=name,
        kind=Kind.PLAIN,
        transport="wan1",
        mark=mark,
        local=endpoint(address, PORT),
        mtu=1500,
    )


@pytest.fixture
def space() -> Iterator[Namespace]:
    """Yield a namespace with one address of each family."""
    with namespaces("tn-pl") as (made,):
        made.ip("link add tn-pla type veth peer tn-plb")
        made.ip("addr add 10.9.0.1/24 dev tn-pla")
        made.ip("addr add fd09::1/64 dev tn-pla nodad")
        made.ip("link set tn-pla up")
        made.ip("link set tn-plb up")
        yield made


@pytest.fixture
def driver() -> Iterator[PlainDriver]:
    """Yield a driver whose sockets are released afterwards."""
    made = PlainDriver()
    yield made
    made.remove()


@pytest.mark.parametrize("address", ["10.9.0.1", "fd09::1"])
def test_a_socket_is_held_with_its_mark(
    space: Namespace, driver: PlainDriver, address: str
) -> None:
    """The end is bound, marked, and held once however often it is asked for."""
    spec = plain(address=address)
    outcome = space.run(lambda: driver.ensure([spec]))
    assert [d.what for d in outcome.drifts] == ["device"]
    held = driver.socket_of(spec.name)
    assert held.getsockname()[:2] == (address, PORT)
    assert held.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 0x10
    again = space.run(lambda: driver.ensure([spec]))
    assert (again.drifts, again.troubles) == ([], [])
    assert driver.socket_of(spec.name) is held


def test_another_address_moves_the_socket(space: Namespace, driver: PlainDriver) -> None:
    """A new lease gives a new local end; the old one is released."""
    space.run(lambda: driver.ensure([plain()]))
    space.ip("addr add 10.9.0.7/24 dev tn-pla")
    outcome = space.run(lambda: driver.ensure([plain(address="10.9.0.7")]))
    assert [str(d) for d in outcome.drifts] == ["tn-p1: ends was 10.9.0.1:7200, now 10.9.0.7:7200"]
    assert [state.local for state in space.run(driver.observe)] == [endpoint("10.9.0.7", PORT)]


def test_a_lost_address_is_noticed_and_heals(space: Namespace, driver: PlainDriver) -> None:
    """A socket whose address left the machine is told dead, and fine once it is back."""
    space.sh("sysctl -qw net.ipv4.ip_nonlocal_bind=1")
    space.run(lambda: driver.ensure([plain()]))
    space.ip("addr del 10.9.0.1/24 dev tn-pla")
    assert [state.health for state in space.run(driver.observe)] == [Health.DEAD]
    outcome = space.run(lambda: driver.ensure([plain()]))
    assert outcome.troubles == ["10.9.0.1:7200: no interface of this machine has the address"]
    space.ip("addr add 10.9.0.1/24 dev tn-pla")
    until(lambda: space.run(driver.observe)[0].health is Health.ALIVE)


def test_what_is_in_the_way_is_said(space: Namespace, driver: PlainDriver) -> None:
    """A taken port and a foreign address are one clear message each; the other device works."""
    other = PlainDriver()
    space.run(lambda: other.ensure([plain()]))
    foreign = replace(plain("tn-p2"), local=endpoint("192.0.2.1", PORT))
    fine = plain("tn-p3", "fd09::1")
    outcome = space.run(lambda: driver.ensure([plain(), foreign, fine]))
    assert outcome.troubles == [
        "10.9.0.1:7200: another program has the port",
        "192.0.2.1:7200: no interface of this machine has the address",
    ]
    assert [state.name for state in space.run(driver.observe)] == ["tn-p3"]
    other.remove()


def test_removal_is_of_what_is_named(space: Namespace, driver: PlainDriver) -> None:
    """Removing by name leaves the others, and what is not wanted any more goes."""
    space.run(lambda: driver.ensure([plain(), plain("tn-p2", "fd09::1")]))
    assert driver.remove(["tn-p1", "tn-unknown"]) == ["tn-p1"]
    outcome = space.run(lambda: driver.ensure([]))
    assert [str(d) for d in outcome.drifts] == ["tn-p2: device was present, now none"]
    assert driver.observe() == []
