"""The devices of a site without BPF: one VXLAN device for each tunnel.

    kind of the transport     the device sends from, to
    plain, vxlan              the addresses of the transport, its port
    wireguard                 the addresses inside the WireGuard device, port 4512

So each tunnel is a device with one peer, which a next hop can name, and WireGuard's AllowedIPs
still hold nothing but the peers' addresses inside. A tunnel's addresses, name and VNI are made of
the names of its sites and its transport: both ends know them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from patronus.control.agent.devices import INSIDE, Devices, inside
from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Met
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Kind, Transport
from patronus.dataplane.linkdump import links
from patronus.dataplane.linux.records import Twin
from patronus.dataplane.tunnels import headers, spec
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import DeviceSpec, Endpoint, TunnelSpec
from patronus.dataplane.tunnels.vxlan import VxlanDriver

INSIDE_PORT: Final = 4_512
"""Of VXLAN inside WireGuard; the two before it are taken (``wanted.MEETING_PORT``)."""
PROBE_PORT: Final = 4_513


def end(site: str, peer: str, transport: str) -> IPv6Address:
    """Return a site's address inside the tunnel to a peer over a transport."""
    digest = hashlib.sha256(f"{site}\0{peer}\0{transport}".encode()).digest()
    return IPv6Address(INSIDE | int.from_bytes(digest[:12], "big"))


def vni(site: str, peer: str, transport: str) -> int:
    """Return the VNI of a tunnel, the same at both ends, never 0."""
    ends = "\0".join([*sorted([site, peer]), transport])
    return int.from_bytes(hashlib.sha256(ends.encode()).digest()[:3], "big") or 1


class LaneDevices(Devices):
    """The devices of one agent that runs without BPF."""

    twin_keys = False

    def __init__(self, config: AgentConfig, layout: Layout, ground: Ground, keys: Path) -> None:
        """Name what is wanted; nothing is done yet, and raised as for :class:`Devices`."""
        super().__init__(config, layout, ground, keys)
        self.vxlans = None  # all tunnels have their devices here, whatever their transport's kind
        self._indices: dict[str, int] | None = None

    def lane_name(self, lane: Lane) -> str:
        """Return the name of a tunnel's device."""
        digest = hashlib.sha256(f"{lane.peer.name}\0{lane.transport.name}".encode()).hexdigest()
        return f"{self._ownership.prefix}{digest[:7]}"

    def lane(self, row: int) -> int:
        """Return the device of a tunnel, 0 while there is none."""
        if self._indices is None:
            self._indices = {found.name: found.index for found in links()}
        return self._indices.get(self.lane_name(self._layout.lanes[row]), 0)

    def inside(self, site: str, transport: Transport, place: int) -> IPv6Address:
        """Return a site's address inside: one, as no two keys are ever in use."""
        del place
        return inside(site, transport.name)

    def ensure(self, mets: Sequence[Met | None], twins: Sequence[Twin]) -> int:
        """Make the kernel hold WireGuard's devices and those of tunnels."""
        changed = super().ensure(mets, twins)
        specs = [found for lane in self._layout.lanes if (found := self._lane_spec(lane))]
        outcome = VxlanDriver(Links(self._ownership)).ensure(self._sound(specs))
        self.troubles += outcome.troubles
        self._indices = None
        return changed + len(outcome.drifts)

    def _wanted(
        self, transport: Transport, mets: Sequence[Met | None], twins: Sequence[Twin]
    ) -> Iterator[DeviceSpec]:
        if transport.kind is Kind.WIREGUARD:
            yield from super()._wanted(transport, mets, twins)

    def _lane_spec(self, lane: Lane) -> DeviceSpec | None:
        ends, mtu = self._ends(lane), self.lane_mtu(lane)
        if ends is None or mtu is None:
            return None
        local, remote = ends
        site, peer, transport = self._config.site, lane.peer.name, lane.transport.name
        return DeviceSpec(
            name=self.lane_name(lane), kind=spec.Kind.VXLAN, transport=transport, mark=0,
            local=local,
            mtu=mtu,
            addresses=(end(site, peer, transport),),
            tunnels=(
                TunnelSpec(
                    peer=peer, remote=remote, peer_addresses=(end(peer, site, transport),),
                    vni=vni(site, peer, transport),
                ),
            ),
        )  # fmt: skip

    def lane_mtu(self, lane: Lane) -> int | None:
        """Return the MTU of a tunnel's device, None without the interface below it."""
        pmtu = self._ground.pmtu(lane.transport)
        if pmtu is None:
            return None
        outer = 4 if self._ground.local(lane.transport, 4) else 6
        if lane.transport.kind is Kind.WIREGUARD:
            pmtu, outer = headers.device_mtu(spec.Kind.WIREGUARD, pmtu, outer=outer), 6
        elif lane.endpoint.address is not None:
            outer = ip_address(lane.endpoint.address).version
        return headers.device_mtu(spec.Kind.VXLAN, pmtu, outer=outer)

    def _ends(self, lane: Lane) -> tuple[Endpoint, Endpoint] | None:
        """Return from where to where a tunnel's device sends; None while we have no address."""
        site, transport = self._config.site, lane.transport
        if transport.kind is Kind.WIREGUARD:
            here, there = inside(site, transport.name), inside(lane.peer.name, transport.name)
            return Endpoint(here, INSIDE_PORT), Endpoint(there, INSIDE_PORT)
        assert lane.endpoint.address is not None, "checked with the configuration"
        remote = ip_address(lane.endpoint.address)
        own = self._ground.local(transport, remote.version)
        if own is None:
            return None
        return Endpoint(own, transport.port), Endpoint(remote, transport.port)
