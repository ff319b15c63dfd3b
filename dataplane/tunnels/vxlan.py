"""VXLAN tunnels (RFC 7348): one device a peer, unicast, nothing learned or flooded.

Nothing in VXLAN is authenticated. Who can send to the port with the peer's address as its
source can put packets in, so liveness must not rest on a packet having arrived (DATAPLANE 6).

The kernel does not mark what a VXLAN device sends; the underlay's rules select it by source
address and port instead (:mod:`patronus.dataplane.underlay.pinning`).
"""

from collections.abc import Collection, Sequence
from typing import Final

from patronus.dataplane.tunnels.driver import DeviceState, Drift, Outcome, TunnelTrouble
from patronus.dataplane.tunnels.links import Link, Links, mac_of
from patronus.dataplane.tunnels.spec import DeviceSpec, Endpoint, Kind

DF_SET: Final = 1
"""IFLA_VXLAN_DF: never fragment on the underlay. The MTU follows the path's instead."""


class VxlanDriver:
    """Implements :class:`patronus.dataplane.tunnels.driver.TunnelDriver`."""

    kind = Kind.VXLAN

    def __init__(self, links: Links) -> None:
        self._links = links

    def ensure(self, wanted: Sequence[DeviceSpec]) -> Outcome:
        """Make the kernel hold exactly these devices of ours."""
        outcome = Outcome()
        names = {spec.name for spec in wanted}
        have = self._links.ours(self.kind)
        for name, link in have.items():
            if name not in names:
                self._links.delete(link)
                outcome.drifts.append(Drift(name, "device", "none", "present"))
        for spec in wanted:
            try:
                outcome.drifts += self._ensure_one(spec, have.get(spec.name))
            except TunnelTrouble as trouble:
                outcome.troubles.append(str(trouble))
        return outcome

    def observe(self) -> list[DeviceState]:
        """Tell what the kernel has of ours, by name."""
        links = self._links.ours(self.kind).values()
        return [self._links.state(link, self.kind) for link in sorted(links, key=_name)]

    def remove(self, names: Collection[str] | None = None) -> list[str]:
        """Remove devices of ours, all of them if none are named; return those that there were."""
        have = self._links.ours(self.kind)
        gone = sorted(have if names is None else set(names) & have.keys())
        for name in gone:
            self._links.delete(have[name])
        return gone

    def close(self) -> None:
        """Let go of everything; the devices stay."""
        self._links.close()

    def _ensure_one(self, spec: DeviceSpec, link: Link | None) -> list[Drift]:
        drifts = self._aim(spec, link) if link is not None else []
        link = self._links.find_ours(spec.name, self.kind)  # refuses somebody else's
        if link is not None:
            return drifts + self._links.shape(spec, link)
        self._links.shape(spec, self._make(spec))
        # That all of a new device had to be set is no drift of its own.
        return drifts or [Drift(spec.name, "device", "present", "none")]

    def _make(self, spec: DeviceSpec) -> Link:
        (tunnel,) = spec.tunnels
        return self._links.add(
            spec.name,
            kind="vxlan",
            vxlan_id=tunnel.vni,
            vxlan_port=spec.local.port,
            vxlan_learning=0,
            vxlan_df=DF_SET,
            address=mac_of(spec.addresses, tunnel.vni),
            mtu=spec.mtu,
            **_ends(spec),
        )

    def _aim(self, spec: DeviceSpec, link: Link) -> list[Drift]:
        """Change the ends of a device in place, or remove one that cannot be changed.

        Ends change with an address from DHCP, and then the interface index, which others
        hold, stays. VNI and port are fixed for a device's life.
        """
        (tunnel,) = spec.tunnels
        found = self._links.state(link, self.kind)
        want = (tunnel.vni, spec.local.port, _address(spec.local), _address(tunnel.remote))
        port = found.local.port if found.local else 0
        have = (found.vni, port, _address(found.local), _address(found.remote))
        mac = mac_of(spec.addresses, tunnel.vni)
        if have == want and link.mac == mac:
            return []
        if have[:2] != want[:2] or _versions(have[2:]) != _versions(want[2:]) or link.mac != mac:
            self._links.delete(link)
        else:
            self._links.change(link, kind="vxlan", vxlan_id=tunnel.vni, **_ends(spec))
        return [Drift(spec.name, "ends", _shown(want), _shown(have))]


def _ends(spec: DeviceSpec) -> dict[str, str]:
    """Return the attributes that say from where to where."""
    (tunnel,) = spec.tunnels
    assert tunnel.remote is not None, "checked with the specification"
    six = "6" if tunnel.remote.address.version == 6 else ""
    return {
        f"vxlan_group{six}": str(tunnel.remote.address),
        f"vxlan_local{six}": str(spec.local.address),
    }


def _address(end: Endpoint | None) -> str:
    return str(end.address) if end else ""


def _versions(ends: Sequence[object]) -> list[bool]:
    return [":" in str(end) for end in ends]


def _shown(ends: tuple[int, int, str, str]) -> str:
    vni, port, local, remote = ends
    return f"VNI {vni} from {local} to {remote} port {port}"


def _name(link: Link) -> str:
    return link.name
