"""Two ends whose rows are tunnels of one kind: plain, VXLAN, or WireGuard by ``wireguard-go``.

VXLAN is a device a tunnel, as the agent makes them, with the tunnel's row in the upper 16 bits
of its VNI. On WireGuard the near end is a hub with one device, as the agent makes it. The far end
stands for its spokes, which have a device, a process and a key each: one key is one peer, so
between two devices the agent has one tunnel. Fifty more processes on the hub's machine would
measure that machine, so fewer spokes, or one alone, have several tunnels each, by as many
addresses: the hub's device carries as many packets as it would, to fewer peers.
"""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from patronus.dataplane.linux.attach import Filter, Hook, attach
from patronus.dataplane.linux.endpoints import Address, Endpoint, write_endpoint
from patronus.dataplane.linux.records import Kind
from patronus.dataplane.tunnels.driver import DeviceState, Ownership, TunnelDriver
from patronus.dataplane.tunnels.keys import new_private, public_of
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec, TunnelSpec
from patronus.dataplane.tunnels.userspace import Userspace
from patronus.dataplane.tunnels.vxlan import VxlanDriver
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from tests.bench.lossy import Frame
from tests.dataplane.linux.ends import PORT, End, Pair, pair
from tests.dataplane.tunnels.specs import vxlan, wireguard
from tests.dataplane.tunnels.yard import endpoint

KINDS: Final = {"plain": Kind.PLAIN, "vxlan": Kind.VXLAN, "wireguard": Kind.WIREGUARD}
FRAMES: Final = {
    Kind.PLAIN: Frame(at=14 + 20 + 8 + 4, length=14 + 20 + 8 + 20 + 92),
    Kind.VXLAN: Frame(at=14 + 20 + 8 + 4, length=50 + 14 + 20 + 8 + 20 + 92),
    Kind.WIREGUARD: Frame(at=40 + 8 + 4, length=40 + 8 + 20 + 92),
}
"""Of the cable, but of WireGuard devices: behind them nobody sees tunnels."""
HOSTS: Final = ("10.77.0.1", "10.77.0.2")
SESSIONS: Final = (0x5EC2E7 << 32, 0xABCDEF << 32)
OWNERS: Final = (Ownership("bn-", "patronus-bench"), Ownership("bf-", "patronus-bench"))
"""Apart by their prefixes: processes of both ends are found in one folder."""
HUB_PORT: Final = 7400
SPOKE_PORT: Final = 7500


class Carried(NamedTuple):
    """Both ends, and at which devices what they send can be lost."""

    pair: Pair
    devices: tuple[list[int], list[int]]
    frame: Frame
    setup_s: float


@contextmanager
def carried(
    kind: Kind, prefix: str, cache: Path, *, rows: int, detect_ns: int, spokes: int = 1
) -> Iterator[Carried]:
    """Yield two ends with tunnels of a kind between them; nothing probes yet."""
    with pair(prefix, cache, rows=rows, detect_ns=detect_ns) as found:
        start = time.monotonic()
        wans = ([found.near.wan], [found.far.wan])
        if kind is Kind.PLAIN:
            yield Carried(found, wans, FRAMES[kind], time.monotonic() - start)
            return
        lay = _lay_vxlan if kind is Kind.VXLAN else partial(_lay_wireguard, spokes=spokes)
        with lay(found, detect_ns) as devices:
            took_s = time.monotonic() - start
            yield Carried(found, wans if kind is Kind.VXLAN else devices, FRAMES[kind], took_s)


@contextmanager
def _lay_vxlan(found: Pair, detect_ns: int) -> Iterator[tuple[list[int], list[int]]]:
    devices: tuple[list[int], list[int]] = ([], [])
    for at, end in enumerate(found.ends):
        inner = (_inner(at), _inner(1 - at))
        wanted = [
            vxlan(f"bn-v{row}", (HOSTS[at], HOSTS[1 - at]),
                  (str(inner[0] + row), str(inner[1] + row)), vni=row << 8 | 1)
            for row in range(end.rows)
        ]  # fmt: skip
        indices = _ensure(end, VxlanDriver(Links(OWNERS[0])), wanted)
        for row, index in enumerate(indices):
            ends = (inner[0] + row, inner[1] + row)
            _lead(end, at, row, Kind.VXLAN, ends, index, detect_ns)
        _hear(end, indices, "tunnel_ether")
        devices[at].extend(indices)
    yield devices  # they go with their namespaces


def _inner(at: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address("172.30.1.0") + (at << 16)


@contextmanager
def _lay_wireguard(
    found: Pair, detect_ns: int, spokes: int
) -> Iterator[tuple[list[int], list[int]]]:
    wanted = _hub_and_spokes(found.near.rows, spokes)
    drivers = [WireGuardDriver(Links(owner), Userspace(owner)) for owner in OWNERS]
    devices = ([0], [0])
    try:
        for at, end in enumerate(found.ends):
            devices[at][:] = _ensure(end, drivers[at], wanted[at])
            _hear(end, devices[at], "tunnel_ip")
            for row in range(end.rows):
                ends = (_inside(at, row), _inside(1 - at, row))
                index = devices[at][row % len(devices[at])]
                _lead(end, at, row, Kind.WIREGUARD, ends, index, detect_ns)
        yield devices
    finally:
        for end, driver in zip(found.ends, drivers, strict=True):
            end.run(driver.remove)
            end.run(driver.close)


def _inside(at: int, row: int) -> Address:
    # Even ones: the last bit tells the two keys of an end apart.
    return ipaddress.IPv6Address(f"fd77:{at + 1}::") + 2 * row + 2


def _hub_and_spokes(rows: int, spokes: int) -> tuple[list[DeviceSpec], list[DeviceSpec]]:
    hub, *keys = (new_private() for _ in range(spokes + 1))
    shares = [range(spoke, rows, spokes) for spoke in range(spokes)]

    def device(name: str, at: int, share: range, port: int, **fields: object) -> DeviceSpec:
        made = wireguard(name, "a", port, "::", **fields)
        return replace(made, addresses=tuple(_inside(at, row) for row in share))

    def peer(at: int, share: range, port: int, key: bytes) -> TunnelSpec:
        return TunnelSpec(
            peer="other", remote=endpoint(HOSTS[at], port), public_key=public_of(key),
            peer_addresses=tuple(_inside(at, row) for row in share),
        )  # fmt: skip

    peers = tuple(
        peer(1, share, SPOKE_PORT + spoke, keys[spoke]) for spoke, share in enumerate(shares)
    )
    near = device("bn-hub", 0, range(rows), HUB_PORT, private_key=hub, tunnels=peers)
    far = [
        device(f"bf-{spoke}", 1, share, SPOKE_PORT + spoke, private_key=keys[spoke],
               tunnels=(peer(0, share, HUB_PORT, hub),))
        for spoke, share in enumerate(shares)
    ]  # fmt: skip
    return [near], far


def _ensure(end: End, driver: TunnelDriver, wanted: list[DeviceSpec]) -> list[int]:
    """Make devices at an end; return their interfaces, in order."""
    assert end.run(partial(driver.ensure, wanted)).troubles == []
    states: list[DeviceState] = end.run(driver.observe)
    found = {state.name: state.index for state in states}
    return [found[spec.name] for spec in wanted]


def _hear(end: End, devices: list[int], program: str) -> None:
    """Receive from devices."""

    def attach_all() -> None:
        for device in devices:
            attach(Filter(device, Hook.INGRESS, program), end.program(program))

    end.run(attach_all)


def _lead(
    end: End, at: int, row: int, kind: Kind, ends: tuple[Address, Address], index: int,
    detect_ns: int,
) -> None:  # fmt: skip
    """Let a row be a tunnel over a device."""
    tunnel = Endpoint(
        kind=kind, local=ends[0], remote=ends[1], local_port=PORT, remote_port=PORT,
        peer_row=row, session_in=SESSIONS[at] + row, session_out=SESSIONS[1 - at] + row,
        mtu=1280, peer_site=1, ifindex=index,
    )  # fmt: skip
    write_endpoint(end.tunnels, row, tunnel, detect_ns=detect_ns)
