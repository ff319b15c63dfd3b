"""Two ends whose rows are tunnels of one kind: plain, VXLAN, or WireGuard by ``wireguard-go``.

VXLAN is a device a tunnel, as the agent makes them, with the tunnel's row in the upper 16 bits
of its VNI. On WireGuard the near end is a hub: one device with a peer a tunnel. The far end is as
many spokes in one namespace, each with a device, a process and a key of its own: a device has one
key, and so between two of them there is one tunnel. Only that the hub has an address for each
spoke is not as the agent does it: the spokes share one routing table.
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
    kind: Kind, prefix: str, cache: Path, *, rows: int, detect_ns: int
) -> Iterator[Carried]:
    """Yield two ends with tunnels of a kind between them; nothing probes yet."""
    with pair(prefix, cache, rows=rows, detect_ns=detect_ns) as found:
        start = time.monotonic()
        wans = ([found.near.wan], [found.far.wan])
        if kind is Kind.PLAIN:
            yield Carried(found, wans, FRAMES[kind], time.monotonic() - start)
            return
        lay = _lay_vxlan if kind is Kind.VXLAN else _lay_wireguard
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
def _lay_wireguard(found: Pair, detect_ns: int) -> Iterator[tuple[list[int], list[int]]]:
    wanted = _hub_and_spokes(found.near.rows)
    drivers = [WireGuardDriver(Links(owner), Userspace(owner)) for owner in OWNERS]
    devices = ([0], [0])
    try:
        for at, end in enumerate(found.ends):
            devices[at][:] = _ensure(end, drivers[at], wanted[at])
            _hear(end, devices[at], "tunnel_ip")
            for row in range(end.rows):
                ends = (_inside(at, row), _inside(1 - at, row))
                index = devices[at][row if at else 0]
                _lead(end, at, row, Kind.WIREGUARD, ends, index, detect_ns)
        yield devices
    finally:
        for end, driver in zip(found.ends, drivers, strict=True):
            end.run(driver.remove)
            end.run(driver.close)


def _inside(at: int, row: int) -> Address:
    # Even ones: the last bit tells the two keys of an end apart.
    return ipaddress.IPv6Address(f"fd77:{at + 1}::") + 2 * row + 2


def _hub_and_spokes(rows: int) -> tuple[list[DeviceSpec], list[DeviceSpec]]:
    hub, *spokes = (new_private() for _ in range(rows + 1))
    peers = tuple(
        TunnelSpec(
            peer=f"spoke{row}", remote=endpoint(HOSTS[1], SPOKE_PORT + row),
            peer_addresses=(_inside(1, row),), public_key=public_of(key),
        )
        for row, key in enumerate(spokes)
    )  # fmt: skip
    near = wireguard("bn-hub", "a", HUB_PORT, str(_inside(0, 0)), tunnels=peers)
    near = replace(near, private_key=hub, addresses=tuple(_inside(0, row) for row in range(rows)))
    far = [
        wireguard(f"bf-{row}", "a", SPOKE_PORT + row, str(_inside(1, row)), private_key=key,
                  tunnels=(TunnelSpec(
                      peer="hub", remote=endpoint(HOSTS[0], HUB_PORT),
                      peer_addresses=(_inside(0, row),), public_key=public_of(hub),
                  ),))
        for row, key in enumerate(spokes)
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
