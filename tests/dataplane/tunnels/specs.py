"""Wanted devices for tests."""

from dataclasses import replace
from ipaddress import ip_address

from patronus.dataplane.tunnels.keys import new_private, public_of
from patronus.dataplane.tunnels.spec import DeviceSpec, Kind, TunnelSpec
from tests.dataplane.tunnels.yard import endpoint

KEYS = {name: new_private() for name in ("a", "b", "c", "d")}


def wireguard(name: str, key: str, port: int, address: str, **fields: object) -> DeviceSpec:
    """Return a WireGuard device without peers."""
    spec = DeviceSpec(
        name=name,
        kind=Kind.WIREGUARD,
        transport="wan1",
        mark=0,
        local=endpoint("::", port),
        mtu=1420,
        addresses=(ip_address(address),),
        private_key=KEYS[key],
    )
    return replace(spec, **fields)  # type: ignore[arg-type]  # each test names real fields


def peer(name: str, key: str, remote: str | None, port: int, address: str) -> TunnelSpec:
    """Return a tunnel to a WireGuard peer."""
    return TunnelSpec(
        peer=name,
        remote=endpoint(remote, port) if remote else None,
        peer_addresses=(ip_address(address),),
        public_key=public_of(KEYS[key]),
    )


def vxlan(name: str, ends: tuple[str, str], inner: tuple[str, str], vni: int = 7) -> DeviceSpec:
    """Return a VXLAN device from the first of two ends to the second."""
    tunnel = TunnelSpec(
        peer="b", remote=endpoint(ends[1], 4789), peer_addresses=(ip_address(inner[1]),), vni=vni
    )
    return DeviceSpec(
        name=name,
        kind=Kind.VXLAN,
        transport="wan1",
        mark=0,
        local=endpoint(ends[0], 4789),
        mtu=1450,
        addresses=(ip_address(inner[0]),),
        tunnels=(tunnel,),
    )
