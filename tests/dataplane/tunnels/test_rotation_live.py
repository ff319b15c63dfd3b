"""A key is rotated under a stream of 1 kHz each way, and no packet is lost."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.rotation import (
    Action,
    Event,
    Phase,
    Rotation,
    Step,
    peers,
    step,
    tick,
)
from patronus.dataplane.tunnels.spec import DeviceSpec
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.dataplane.tunnels.specs import peer, wireguard
from tests.dataplane.tunnels.stream import flowing
from tests.dataplane.tunnels.yard import OURS, Namespace, namespaces, udp, until, wire

pytestmark = pytest.mark.root

OLD, NEW, FAR = "172.31.0.1", "172.31.0.3", "172.31.0.2"
PORT = 7300


@dataclass
class End:
    """A namespace, its driver, and the devices that it is to have."""

    space: Namespace
    driver: WireGuardDriver
    wanted: list[DeviceSpec] = field(default_factory=list)

    def ensure(self) -> None:
        outcome = self.space.run(lambda: self.driver.ensure(self.wanted))
        assert outcome.troubles == []


@dataclass
class Site:
    """Carries out a rotation of the near end's device, as an agent would."""

    near: End
    far: End
    state: Rotation = field(default_factory=Rotation)
    rotated: bool = False
    log: list[Action] = field(default_factory=list)

    def take(self, result: Step) -> None:
        self.state = result[0]
        for action in result[1]:
            self.log.append(action)
            getattr(self, action.value)()

    def create_new(self) -> None:
        tunnel = replace(peer("b", "b", "10.9.1.2", 7402, FAR), keepalive_s=1)
        new = wireguard("tn-rw2", "c", 7403, NEW, tunnels=(tunnel,), metric=101)
        self.near.wanted.append(new)
        self.near.ensure()

    def announce_both(self) -> None:
        (device,) = self.far.wanted
        tunnels = (*device.tunnels, peer("a", "c", "10.9.1.1", 7403, NEW))
        self.far.wanted = [replace(device, tunnels=tunnels)]
        self.far.ensure()

    def move_to_new(self) -> None:
        self.rotated = True

    def move_to_old(self) -> None:
        self.rotated = False

    def announce_new(self) -> None:
        self.announce(keep=1)

    def announce_old(self) -> None:
        self.announce(keep=0)

    def announce(self, keep: int) -> None:
        (device,) = self.far.wanted
        self.far.wanted = [replace(device, tunnels=(device.tunnels[keep],))]
        self.far.ensure()

    def remove_old(self) -> None:
        del self.near.wanted[0]
        self.near.ensure()

    def remove_new(self) -> None:
        del self.near.wanted[1]
        self.near.ensure()

    def handshakes(self) -> bool:
        """Tell whether the new device has a session; feeds the machine."""
        states = {s.name: s for s in self.near.space.run(self.near.driver.observe)}
        up = frozenset({"b"}) if states["tn-rw2"].peers[0].handshake_ns else frozenset[str]()
        self.take(peers(self.state, old_up=frozenset({"b"}), new_up=up, now_ns=now()))
        return self.state.phase is Phase.READY

    def old_is_idle(self) -> bool:
        """Tell whether the old device's counters stand still for a tenth of a second."""

        def counters() -> tuple[int, int]:
            states = {s.name: s for s in self.near.space.run(self.near.driver.observe)}
            found = states["tn-rw1"].peers[0]
            return found.rx_bytes, found.tx_bytes

        before, start = counters(), time.monotonic()
        until(lambda: time.monotonic() - start > 0.1)
        return counters() == before


def now() -> int:
    return time.monotonic_ns()


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield two ends with one tunnel between them."""
    with namespaces("tn-ra", "tn-rb") as (a, b):
        wire(a, b, number=1)
        near = End(a, WireGuardDriver(Links(OURS), Userspace(OURS)))
        far = End(b, WireGuardDriver(Links(OURS), Userspace(OURS)))
        near.wanted = [
            wireguard("tn-rw1", "a", 7401, OLD, tunnels=(peer("b", "b", "10.9.1.2", 7402, FAR),))
        ]
        far.wanted = [
            wireguard("tn-rwb", "b", 7402, FAR, tunnels=(peer("a", "a", "10.9.1.1", 7401, OLD),))
        ]
        try:
            near.ensure()
            far.ensure()
            yield Site(near, far)
        finally:
            for end in (near, far):
                end.space.run(end.driver.remove)
                end.space.run(end.driver.close)


@pytest.fixture
def sockets(site: Site) -> Iterator[dict[str, socket.socket]]:
    """Yield a socket on each tunnel address; the new one is bound before its device is there."""
    site.near.space.sh("sysctl -qw net.ipv4.ip_nonlocal_bind=1")
    made = {
        OLD: udp(site.near.space, OLD, PORT),
        NEW: udp(site.near.space, NEW, PORT),
        FAR: udp(site.far.space, FAR, PORT),
    }
    made[OLD].setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tn-rw1")
    yield made
    for one in made.values():
        one.close()


def prepare(sockets: dict[str, socket.socket]) -> None:
    """Let the first session come up, so that a stream finds it."""

    def answered() -> bool:
        sockets[OLD].sendto(b"hi", (FAR, PORT))
        try:
            return sockets[FAR].recv(10) == b"hi"
        except TimeoutError:
            return False

    until(answered)


def test_rotation_loses_no_packet(site: Site, sockets: dict[str, socket.socket]) -> None:
    """From start to the removal of the old device, 1 kHz each way arrives whole."""
    prepare(sockets)

    def out() -> tuple[socket.socket, tuple[str, int]]:
        return sockets[NEW if site.rotated else OLD], (FAR, PORT)

    def back() -> tuple[socket.socket, tuple[str, int]]:
        return sockets[FAR], (NEW if site.rotated else OLD, PORT)

    near = [sockets[OLD], sockets[NEW]]
    with flowing(out, [sockets[FAR]]) as there, flowing(back, near) as home:
        until(lambda: there.sent > 200)
        site.take(step(site.state, Event.START, now()))
        sockets[NEW].setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tn-rw2")
        site.take(step(site.state, Event.CREATED, now()))
        until(site.handshakes, seconds=10)
        site.take(step(site.state, Event.MOVE, now()))
        site.take(step(site.state, Event.MOVED, now()))
        until(site.old_is_idle)
        site.take(step(site.state, Event.DRAINED, now()))
        site.near.ensure()
        site.far.ensure()
        count = there.sent
        until(lambda: there.sent > count + 300)
    assert site.state.generation == 1
    assert [device.name for device in site.near.wanted] == ["tn-rw2"]
    assert len(there.ways) == len(home.ways) == 2, "the stream did not change its way"
    assert (there.lost, home.lost) == (0, 0), (there.sent, home.sent)
    assert there.sent > 500


def test_a_retreat_loses_no_packet(site: Site, sockets: dict[str, socket.socket]) -> None:
    """A rotation undone amid the move goes back to the old device, and loses nothing either."""
    prepare(sockets)

    def out() -> tuple[socket.socket, tuple[str, int]]:
        return sockets[NEW if site.rotated else OLD], (FAR, PORT)

    with flowing(out, [sockets[FAR]]) as there:
        until(lambda: there.sent > 100)
        site.take(step(site.state, Event.START, now()))
        sockets[NEW].setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tn-rw2")
        site.take(step(site.state, Event.CREATED, now()))
        until(site.handshakes, seconds=10)
        site.take(step(site.state, Event.MOVE, now()))
        count = there.sent
        until(lambda: there.sent > count + 100)
        site.take(step(site.state, Event.ABORT, now()))
        count = there.sent
        until(lambda: there.sent > count + 100)
        site.take(step(site.state, Event.MOVED, now()))
        until(lambda: there.sent > count + 200)
    assert site.state.generation == 0
    assert site.log[-3:] == [Action.MOVE_TO_OLD, Action.ANNOUNCE_OLD, Action.REMOVE_NEW]
    assert [device.name for device in site.near.wanted] == ["tn-rw1"]
    assert len(there.ways) == 2
    assert there.lost == 0, there.sent


def test_a_peer_that_never_learns_the_key_ends_the_rotation(site: Site) -> None:
    """Without a session on the new device a rotation is given up and leaves no trace."""
    site.take(step(site.state, Event.START, now()))
    site.state = step(site.state, Event.CREATED, now())[0]  # the announcement is lost
    assert not site.handshakes()
    site.take(tick(site.state, site.state.next_deadline()))
    assert site.state.reason == "not up on the new key in time: b"
    assert [device.name for device in site.near.wanted] == ["tn-rw1"]
    assert [s.name for s in site.near.space.run(site.near.driver.observe)] == ["tn-rw1"]
