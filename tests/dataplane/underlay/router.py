"""A router with two providers that lead to the same far end, in namespaces."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from patronus.dataplane.underlay.kernel import Outcome, ensure
from patronus.dataplane.underlay.pinning import Pin
from tests.dataplane.tunnels.yard import Namespace, namespaces, shell

PINS = (
    Pin(transport="wan1", interface="tn-wan1", mark=0x0100_0000, table=1001, vxlan_port=4789),
    Pin(transport="wan2", interface="tn-wan2", mark=0x0200_0000, table=1002),
)
INDICES = count(100)
"""Of interfaces: never twice the same, and never equal at the two ends of a link."""
FAR = {4: "10.99.0.1", 6: "fd99::1"}


@dataclass
class Router:
    """A router with two providers; both lead to the same far end."""

    near: Namespace
    far: Namespace

    def provide(self, number: int) -> None:
        """Plug in a provider: a link, an address and a default route."""
        near, far = self.near, self.far
        shell(
            f"ip link add tn-wan{number} index {next(INDICES)} netns {near.name} type veth "
            f"peer tn-isp{number} index {next(INDICES)} netns {far.name}"
        )
        for space, device, host in ((near, f"tn-wan{number}", 2), (far, f"tn-isp{number}", 1)):
            space.ip(f"addr add 10.8{number}.0.{host}/24 dev {device}")
            space.ip(f"addr add fd08:{number}::{host}/64 dev {device} nodad")
            space.ip(f"link set {device} up")
        near.ip(f"route add default via 10.8{number}.0.1 dev tn-wan{number} metric {number}00")
        near.ip(f"-6 route add default via fd08:{number}::1 dev tn-wan{number} metric {number}00")

    def ensure(self, *pins: Pin) -> Outcome:
        return self.near.run(lambda: ensure(pins or PINS))

    def way(self, mark: int, version: int = 4, source: str = "", port: int = 9) -> str:
        """Send a packet with a mark to the far end; return the provider that delivered it."""
        family = socket.AF_INET if version == 4 else socket.AF_INET6

        def send() -> None:
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
                if source:
                    sender.bind((source, 0))
                sender.sendto(b"x", (FAR[version], port))

        def listen() -> socket.socket:
            level, option = (socket.IPPROTO_IP, 8) if version == 4 else (socket.IPPROTO_IPV6, 49)
            receiver = socket.socket(family, socket.SOCK_DGRAM)
            receiver.settimeout(0.5)
            receiver.setsockopt(level, option, 1)  # PKTINFO: by which interface
            receiver.bind((FAR[version], port))
            return receiver

        with self.far.run(listen) as receiver:
            try:
                self.near.run(send)
                _, ancillary, _, _ = receiver.recvmsg(10, 100)
            except TimeoutError:
                return "lost"
            except OSError:
                return "unreachable"
            data = ancillary[0][2]
            index = int.from_bytes(data[:4] if version == 4 else data[16:20], "little")
            return self.far.run(lambda: socket.if_indextoname(index))


@contextmanager
def routers() -> Iterator[Router]:
    """Make a router with two providers, pinned."""
    with namespaces("tn-near", "tn-far") as (near, far):
        made = Router(near, far)
        far.ip(f"addr add {FAR[4]}/32 dev lo")
        far.ip(f"addr add {FAR[6]}/128 dev lo nodad")
        far.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        near.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
        for number in (1, 2):
            made.provide(number)
        outcome = made.ensure()
        assert outcome.troubles == []
        yield made
