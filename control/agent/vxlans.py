"""VXLAN devices of one agent: one for each tunnel whose other end is known.

Both ends work out the tunnel's number from the names of the two sites and the transport, and
its addresses as those inside WireGuard. A kernel tells devices of one port by their numbers
alone, so of two tunnels with the same one (one pair in 16 million) the second is not made, and
that is told.
"""

import hashlib
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TypeAlias

from patronus.control.agent import wanted
from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Met
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Kind
from patronus.dataplane.linkdump import links
from patronus.dataplane.tunnels import headers, spec
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import VNI_MAX, DeviceSpec, Endpoint, TunnelSpec
from patronus.dataplane.tunnels.vxlan import VxlanDriver

Inside: TypeAlias = Callable[[str, str], IPv6Address]


def number(site: str, peer: str, transport: str) -> int:
    """Return the VXLAN network identifier of a tunnel, the same at both ends."""
    names = "\0".join([*sorted((site, peer)), transport])
    digest = hashlib.sha256(names.encode()).digest()
    return int.from_bytes(digest[:8], "big") % VNI_MAX + 1


class Vxlans:
    """The VXLAN tunnels of one site."""

    def __init__(
        self, config: AgentConfig, layout: Layout, ground: Ground, kernel: Links, inside: Inside
    ) -> None:
        """Name what is wanted; nothing is done yet.

        Args:
            config: of the site.
            layout: of its tunnels.
            ground: that they stand on.
            kernel: the interfaces of our owner.
            inside: gives the address of a site inside its tunnels over a transport.
        """
        self._config, self._layout, self._ground, self._inside = config, layout, ground, inside
        self.driver = VxlanDriver(kernel)
        self._prefix = kernel.ownership.prefix
        self._indices: dict[str, int] = {}
        self.troubles: list[str] = []

    def specs(self, mets: Sequence[Met | None]) -> list[DeviceSpec]:
        """Return the devices that are wanted, by what is known of other ends."""
        found: list[DeviceSpec] = []
        taken: dict[tuple[int, int], str] = {}
        self.troubles = []
        for lane, met in zip(self._layout.lanes, mets, strict=True):
            device = self._device(lane, met) if lane.transport.kind is Kind.VXLAN else None
            if device is None:
                continue
            key = device.local.port, device.tunnels[0].vni
            if key in taken:
                self.troubles.append(
                    f"no VXLAN tunnel to {lane.peer.name} over {lane.transport.name}: it has the "
                    f"number {key[1]} of that to {taken[key]}; let the transport have another name"
                )
                continue
            taken[key] = lane.peer.name
            found.append(device)
        return found

    def _device(self, lane: Lane, met: Met | None) -> DeviceSpec | None:
        transport = lane.transport
        pmtu = self._ground.pmtu(transport)
        if met is None or pmtu is None:
            return None
        remote = ip_address(lane.endpoint.address or met.host)
        own = self._ground.local(transport, remote.version)
        if own is None:
            return None
        kind = spec.Kind.VXLAN
        tunnel = TunnelSpec(
            peer=lane.peer.name,
            remote=Endpoint(remote, transport.port),
            peer_addresses=(self._inside(lane.peer.name, transport.name),),
            vni=number(self._config.site, lane.peer.name, transport.name),
        )
        return DeviceSpec(
            name=self.name(lane), kind=kind, transport=transport.name,
            mark=wanted.mark(self._config, transport), local=Endpoint(own, transport.port),
            mtu=headers.roomy_mtu(kind, pmtu, outer=own.version),
            addresses=(self._inside(self._config.site, transport.name),), tunnels=(tunnel,),
        )  # fmt: skip

    def name(self, lane: Lane) -> str:
        """Return the name of a tunnel's device; its digits are the tunnel's number."""
        vni = number(self._config.site, lane.peer.name, lane.transport.name)
        return f"{self._prefix}v{vni:06x}"

    def look(self) -> None:
        """Learn under which indices the kernel has the devices."""
        self._indices = {link.name: link.index for link in links()}

    def index(self, lane: Lane) -> int:
        """Return the interface of a tunnel, 0 while there is none."""
        return self._indices.get(self.name(lane), 0)

    def indices(self) -> list[int]:
        """Return the interfaces of all tunnels."""
        lanes = (w for w in self._layout.lanes if w.transport.kind is Kind.VXLAN)
        return [index for lane in lanes if (index := self.index(lane))]

    def remote(self, lane: Lane) -> str | None:
        """Return the peer's address on the underlay that the kernel has for a tunnel."""
        name = self.name(lane)
        found = (s.remote for s in self.driver.observe() if s.name == name and s.remote)
        return next((str(end.address) for end in found), None)
