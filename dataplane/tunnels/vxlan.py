"""VXLAN tunnels (RFC 7348): one device a peer, unicast, nothing learned or flooded.

Nothing in VXLAN is authenticated. Who can send to the port with the peer's address as its
source can put packets in, so liveness must not rest on a packet having arrived (DATAPLANE 6).

The kernel does not mark what a VXLAN device sends; the underlay's rules select it by source
address and port instead (:mod:`patronus.dataplane.underlay.pinning`).
"""

import struct
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from patronus.dataplane.linkdump import Link
from patronus.dataplane.rtnetlink import attribute
from patronus.dataplane.tunnels.driver import DeviceState, Drift, Outcome, TunnelTrouble
from patronus.dataplane.tunnels.links import (
    IFLA_VXLAN_GROUP,
    IFLA_VXLAN_GROUP6,
    IFLA_VXLAN_ID,
    IFLA_VXLAN_LOCAL,
    IFLA_VXLAN_LOCAL6,
    IFLA_VXLAN_PORT,
    Found,
    Links,
    mac_of,
)
from patronus.dataplane.tunnels.spec import DeviceSpec, Endpoint, Kind

IFLA_VXLAN_LEARNING, IFLA_VXLAN_DF = 7, 29
DF_SET: Final = 1
"""IFLA_VXLAN_DF: never fragment on the underlay. The MTU follows the path's instead."""


class VxlanDriver:
    """Implements :class:`patronus.dataplane.tunnels.driver.TunnelDriver`."""

    kind = Kind.VXLAN

    def __init__(self, links: Links) -> None:
        self._links = links

    def ensure(self, wanted: Sequence[DeviceSpec]) -> Outcome:
        """Make the kernel hold exactly these devices of ours."""
        have = self._links.look(self.kind)
        names = {spec.name for spec in wanted}
        gone = self.remove([name for name in have if name not in names])
        outcome = Outcome([Drift(name, "device", "none", "present") for name in gone])
        for spec in wanted:
            try:
                outcome.drifts += self._ensure_one(spec, have.get(spec.name))
            except TunnelTrouble as trouble:
                outcome.troubles.append(str(trouble))
        return outcome

    def observe(self) -> list[DeviceState]:
        """Tell what the kernel has of ours, by name."""
        return [found.state for _, found in sorted(self._links.look(self.kind).items())]

    def remove(self, names: Collection[str] | None = None) -> list[str]:
        """Remove devices of ours, all of them if none are named; return those that there were."""
        if names is not None and not names:
            return []
        have = self._links.look(self.kind)
        gone = sorted(have if names is None else set(names) & have.keys())
        for name in gone:
            self._links.delete(have[name].link)
        return gone

    def close(self) -> None:
        """Nothing is held between calls."""

    def _ensure_one(self, spec: DeviceSpec, found: Found | None) -> list[Drift]:
        drifts: list[Drift] = []
        if found is not None:
            drifts = self._aim(spec, found)
            if not drifts:
                return self._links.shape(spec, found.link, found.state)
        link = self._links.find_ours(spec.name, self.kind)  # refuses somebody else's
        if link is not None and found is not None:
            return drifts + self._links.shape(spec, link, found.state)
        self._links.shape(spec, link or self._make(spec), None)
        # That all of a new device had to be set is no drift of its own.
        return drifts or [Drift(spec.name, "device", "present", "none")]

    def _make(self, spec: DeviceSpec) -> Link:
        (tunnel,) = spec.tunnels
        fixed = (
            attribute(IFLA_VXLAN_PORT, struct.pack("!H", spec.local.port))
            + attribute(IFLA_VXLAN_LEARNING, b"\0")
            + attribute(IFLA_VXLAN_DF, bytes([DF_SET]))
        )
        return self._links.add(
            spec.name,
            kind="vxlan",
            mtu=spec.mtu,
            mac=mac_of(spec.addresses, tunnel.vni),
            data=_ends(spec) + fixed,
        )

    def _aim(self, spec: DeviceSpec, found: Found) -> list[Drift]:
        """Change the ends of a device in place, or remove one that cannot be changed.

        Ends change with an address from DHCP, and then the interface index, which others
        hold, stays. VNI, port and link address are fixed for a device's life.
        """
        (tunnel,) = spec.tunnels
        link, state = found
        mac = mac_of(spec.addresses, tunnel.vni)
        port = state.local.port if state.local else 0
        want = _Ends(tunnel.vni, spec.local.port, mac, spec.local, tunnel.remote)
        have = _Ends(state.vni, port, link.mac, state.local, state.remote)
        if str(want) == str(have):
            return []
        if want.fixed() == have.fixed():
            self._links.change_data(link, kind="vxlan", data=_ends(spec))
        else:
            self._links.delete(link)
        return [Drift(spec.name, "ends", str(want), str(have))]


class _Ends(NamedTuple):
    """From where to where a device sends."""

    vni: int
    port: int
    mac: str
    local: Endpoint | None
    remote: Endpoint | None

    def fixed(self) -> tuple[object, ...]:
        """Return what cannot be changed; the version of IP is among it."""
        versions = (end and end.address.version for end in (self.local, self.remote))
        return self.vni, self.port, self.mac, *versions

    def __str__(self) -> str:
        local, remote = (end and end.address for end in (self.local, self.remote))
        return f"VNI {self.vni} from {local} ({self.mac}) to {remote} port {self.port}"


def _ends(spec: DeviceSpec) -> bytes:
    """Return the attributes that say from where to where."""
    (tunnel,) = spec.tunnels
    assert tunnel.remote is not None, "checked with the specification"
    remote, local = tunnel.remote.address, spec.local.address
    numbers = (IFLA_VXLAN_GROUP, IFLA_VXLAN_LOCAL)
    if remote.version == 6:
        numbers = (IFLA_VXLAN_GROUP6, IFLA_VXLAN_LOCAL6)
    return (
        attribute(IFLA_VXLAN_ID, struct.pack("=I", tunnel.vni))
        + attribute(numbers[0], remote.packed)
        + attribute(numbers[1], local.packed)
    )
