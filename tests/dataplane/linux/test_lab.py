"""Real packets between two LANs, over plain tunnels between namespaces."""

import errno
import fcntl
import hashlib
import ipaddress
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from patronus.dataplane.linux import builder
from patronus.dataplane.linux.attach import Hook
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.objects import Object
from patronus.dataplane.linux.records import Kind, Outcome, Setting
from patronus.engine.forwarding import NO_ROW, ForwardingDelta
from patronus.engine.units import SECOND
from tests.dataplane.behaviour import moves
from tests.dataplane.linux.kit import wrapped
from tests.dataplane.linux.lab import PORT, Lab, inside, received, run, udp, unique, until

pytestmark = pytest.mark.root

# <linux/in.h> and <linux/if_tun.h>; Python's socket module names only some of them.
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO, IP_MTU = 10, 0, 2, 14
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> Object:
    """Compile with the kernel's own clock."""
    cache: Path = request.config.cache.mkdir("bpf")
    return builder.build(cache)


def entry(index: int, *rows: int) -> ForwardingDelta:
    padded = (*rows, *(NO_ROW,) * (3 - len(rows)))
    return ForwardingDelta(
        generation=1,
        entries=np.array([index]),
        rows=np.array([padded], dtype=np.int32),
        drop=np.array([False]),
        shared_fate=np.array([False]),
    )


@pytest.fixture
def lab(programs: Object) -> Iterator[Lab]:
    """Return two sites with two wans; the first carries, the second stands ready."""
    with Lab(programs, unique()) as made:
        made.site(1)
        made.site(2)
        made.wan(1, 2)
        made.wan(1, 2)
        for site, other in ((1, 2), (2, 1)):
            made.route(site)
            made.sites[site].plane.apply(entry(other, 0, 1), time.monotonic_ns())
        made.start()
        yield made


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("deliver", [False, True])
def test_hosts_talk_through_the_tunnel(lab: Lab, six: bool, deliver: bool) -> None:
    """Datagrams go and come back, in either family, with neighbours unknown at first."""
    if deliver:
        for site in lab.sites.values():
            site.settings["flags"] = Setting.DELIVER
    one, other = lab.sites[1].udp(six=six), lab.sites[2].udp(7000, six=six)
    with one, other:
        one.sendto(b"there", other.getsockname()[:2])
        data, sender = other.recvfrom(100)
        assert (data, sender[:2]) == (b"there", one.getsockname()[:2])
        other.sendto(b"back", sender[:2])
        assert received(one) == b"back"
    assert lab.sites[1].counted(Outcome.STEER_PRIMARY) >= 1
    arrived = Outcome.DELIVER_LAN if deliver else Outcome.DELIVER_STACK
    assert lab.sites[2].counted(arrived) >= 1


def transfer(lab: Lab, size: int) -> bool:
    """Send bytes from host to host over TCP; tell whether they arrived as they were."""
    data = np.random.default_rng(5).bytes(size)
    with inside(lab.sites[2].host):
        listener = socket.create_server((f"{lab.sites[2].lan4}.2", 7001))
    with inside(lab.sites[1].host):
        client = socket.socket()
    digest = hashlib.sha256()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            while chunk := peer.recv(1 << 16):
                digest.update(chunk)

    server = threading.Thread(target=serve)
    server.start()
    with listener, client:
        client.settimeout(20)
        client.connect((f"{lab.sites[2].lan4}.2", 7001))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        server.join(timeout=30)
        assert not server.is_alive()
    return digest.digest() == hashlib.sha256(data).digest()


def test_a_connection_carries_megabytes(lab: Lab) -> None:
    """TCP with large segments arrives whole, and both ends count the same packets."""
    lab.hush()
    assert transfer(lab, 8_000_000)
    sent, came = lab.sites[1].tunnels[0], lab.sites[2].tunnels[0]
    assert sent["tx_packets"].sum() > 8_000_000 // 1452
    assert came["rx_packets"].tolist() == sent["tx_packets"].tolist()
    # Two processors may swap packets: what was missed for a moment came late, and nothing twice.
    assert (came["rx_gap"] - came["rx_late"], came["rx_duplicate"]) == (0, 0)


def test_a_blackout_is_survived_without_an_agent(lab: Lab) -> None:
    """The tunnel goes silent amid a stream: the backup carries on, and nobody was asked."""
    one, other = lab.sites[1].udp(), lab.sites[2].udp(7002)
    came: set[int] = set()
    sent_s: list[float] = []

    def listen() -> None:
        while (data := received(other, 1)) is not None:
            came.add(int.from_bytes(data, "big"))

    listener = threading.Thread(target=listen)
    listener.start()
    pace = threading.Event()
    for number in range(400):
        if number == 200:
            lab.cut(1, 0)
        sent_s.append(time.monotonic())
        one.sendto(number.to_bytes(4, "big"), other.getsockname())
        pace.wait(0.001)
    listener.join(timeout=10)
    one.close()
    other.close()
    missing = sorted(set(range(400)) - came)
    assert missing
    assert missing == [*range(missing[0], missing[0] + len(missing))]
    # By when they were sent: a listener that has to wait for a processor reads a heap at once.
    gap_ms = (sent_s[missing[-1] + 1] - sent_s[missing[0] - 1]) * 1000
    # The bars of issue 3 are measured by `make bench-dataplane`; this machine may be busy.
    assert 15 < gap_ms < 200
    (move,) = moves(lab.sites[1].plane.events(0))
    assert move[1:] == (2, 0, 1)
    assert lab.sites[2].counted(Outcome.DROP_BAD_TUNNEL) >= len(missing)


def test_a_host_learns_the_mtu_of_the_tunnel(lab: Lab) -> None:
    """A large datagram with DF comes back as an error that says what fits."""
    fits = int(lab.sites[1].tunnels["mtu"][0])
    with lab.sites[1].udp() as one, lab.sites[2].udp(7003) as other:
        one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        one.connect(other.getsockname())
        one.send(bytes(1472))
        until(lambda: one.getsockopt(socket.IPPROTO_IP, IP_MTU) == fits)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
        one.send(bytes(fits - 28))
        assert len(received(other) or b"") == fits - 28


def test_a_tagged_lan_is_served(lab: Lab) -> None:
    """The tag of a LAN's frames does not reach the other site."""
    site = lab.sites[1]
    packet = (
        IP(src=f"{site.lan4}.2", dst=f"{lab.sites[2].lan4}.2") / UDP(sport=9, dport=7004) / b"x"
    )
    to = run("ip", "netns", "exec", site.name, "cat", "/sys/class/net/lan/address").strip()
    with lab.sites[2].udp(7004) as other, inside(site.host):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with raw:
            raw.bind(("eth", 0))
            raw.send(bytes(Ether(dst=to) / Dot1Q(vlan=10) / packet))
        assert received(other) == b"x"


def test_the_kernels_firewall_applies_in_mode_mark(lab: Lab) -> None:
    """The kernel forwards to the overlay device; what its rules refuse is not steered."""
    site = lab.sites[1]
    lab.overlay_device(site, 1452)
    site.settings["flags"] = Setting.MARK
    run("ip", "netns", "exec", site.name, "nft", "add table ip test; "
        "add chain ip test forward { type filter hook forward priority 0; }; "
        "add rule ip test forward udp dport 7006 drop")  # fmt: skip
    with site.udp() as one, lab.sites[2].udp(7005) as other, lab.sites[2].udp(7006) as refused:
        one.sendto(b"no", refused.getsockname())
        one.sendto(b"yes", other.getsockname())
        assert received(other) == b"yes"
        assert received(refused, 0.2) is None
    assert site.counted(Outcome.PASS_MARKED) == 2
    assert site.counted(Outcome.STEER_PRIMARY) == 1


def test_the_kernel_fragments_what_may_be_fragmented(lab: Lab) -> None:
    """Without DF a large datagram arrives in pieces, by way of the overlay device."""
    site = lab.sites[1]
    lab.overlay_device(site, 1452)
    with site.udp() as one, lab.sites[2].udp(7007) as other:
        one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        one.sendto(bytes(1472), other.getsockname())
        assert len(received(other) or b"") == 1472
    assert site.counted(Outcome.PASS_TO_FRAGMENT) == 1
    assert site.counted(Outcome.STEER_PRIMARY) == 2


def test_the_router_itself_reaches_other_sites(lab: Lab) -> None:
    """Packets of the router's own take the overlay device, and are steered like others."""
    lab.overlay_device(lab.sites[1], 1452)
    address = f"{lab.sites[1].lan4}.1"
    with udp(lab.sites[1].name, address) as one, lab.sites[2].udp(7008) as other:
        one.sendto(b"self", other.getsockname())
        assert received(other) == b"self"


@pytest.fixture
def three(programs: Object) -> Iterator[Lab]:
    """Return two sites that reach each other through a third alone."""
    with Lab(programs, unique()) as made:
        for number in (1, 2, 3):
            made.site(number)
        made.wan(1, 3)
        made.wan(2, 3)
        for site in (1, 2, 3):
            made.route(site)
        homes = np.arange(4)[:, None]
        for site, deltas in {
            1: [entry(2, 0)],
            2: [entry(1, 0)],
            3: [entry(1, 0), entry(2, 1)],
        }.items():
            made.sites[site].plane.homes = homes
            for delta in deltas:
                made.sites[site].plane.apply(delta, time.monotonic_ns())
        made.start()
        yield made


def test_sites_reach_each_other_through_a_third(three: Lab) -> None:
    """A connection through a transit site, large segments and all, and hops are counted."""
    assert transfer(three, 2_000_000)
    assert three.sites[3].counted(Outcome.TRANSIT) > 100
    three.sites[3].plane.apply(entry(2, NO_ROW), time.monotonic_ns())
    with three.sites[1].udp() as one, three.sites[2].udp(7009) as other:
        one.sendto(b"lost", other.getsockname())
        assert received(other, 0.2) is None
    assert three.sites[3].counted(Outcome.TRANSIT_NO_DIRECT) == 1


def test_devices_without_ethernet_receive_too(lab: Lab) -> None:
    """A packet out of a TUN device, as of WireGuard, reaches the host, or is sent on."""
    site = lab.sites[2]
    with inside(site.name):
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wg0", IFF_TUN_NO_PI))
    run("ip", "-n", site.name, "addr", "add", "198.51.100.1/24", "dev", "wg0")
    run("ip", "-n", site.name, "link", "set", "wg0", "up")
    site.attach("wg0", Hook.INGRESS, "tunnel_ip")
    endpoint = Endpoint(
        kind=Kind.WIREGUARD,
        local=ipaddress.ip_address("198.51.100.1"), remote=ipaddress.ip_address("198.51.100.2"),
        local_port=PORT, remote_port=PORT, peer_row=5, session_in=77, session_out=78,
        mtu=1400, peer_site=1, ifindex=site.ifindex("wg0"),
    )  # fmt: skip
    write_endpoint(site.tunnels, 5, endpoint, detect_ns=1000 * SECOND)
    inner = (
        IP(src=f"{lab.sites[1].lan4}.2", dst=f"{site.lan4}.2") / UDP(sport=9, dport=7010) / b"tun"
    )
    with site.udp(7010) as other:
        for flags in (Setting(0), Setting.DELIVER):
            site.settings["flags"] = flags
            os.write(tun, bytes(wrapped(endpoint, 5, inner, ether=False)))
            assert received(other) == b"tun"
        site.plane.clear_latch([5], time.monotonic_ns())
        site.plane.apply(entry(1, 5), time.monotonic_ns())
        other.sendto(b"answer", (f"{lab.sites[1].lan4}.2", 9))
        until(lambda: site.counted(Outcome.STEER_PRIMARY) == 1)
        # The kernel itself sends router solicitations there.
        sent = next(p for p in iter(lambda: os.read(tun, 2000), b"") if p[0] >> 4 == 4)
    os.close(tun)
    ip = IP(sent)
    assert (ip.src, ip.dst, ip[UDP].dport) == ("198.51.100.1", "198.51.100.2", PORT)
    assert sent.endswith(b"answer")
