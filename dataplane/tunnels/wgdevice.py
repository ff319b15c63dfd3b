"""What WireGuard knows of a device, and the change that leads from there to what is wanted.

Both back ends speak of these values: the kernel's netlink messages and the text of
``wireguard-go`` are two ways to write them down. The change is a pure function, so what is
sent to a device can be tested without one.

*Roaming.* The endpoint of a peer follows its authenticated packets, and the wanted one is only
where to call it first. So the endpoint of a peer that is there already is left alone, unless
the caller says that it must be set again (:mod:`patronus.dataplane.tunnels.roaming`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from patronus.dataplane.tunnels.driver import Health, PeerState
from patronus.dataplane.tunnels.keys import KEY_BYTES, clamped
from patronus.dataplane.tunnels.spec import Address, DeviceSpec, Endpoint, Prefix, TunnelSpec

NO_PRESHARED = bytes(KEY_BYTES)
"""How both interfaces write that there is no pre-shared key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WgDevice:
    """What a WireGuard implementation knows of one device."""

    private_key: bytes = field(default=b"", repr=False)
    port: int = 0
    mark: int = 0
    peers: tuple[PeerState, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a device showed."""

    health: Health
    """DEAD also if there is no such device."""
    device: WgDevice | None = None
    """Known of a device that is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerChange:
    """What to change of one peer; None and False leave things alone."""

    public_key: bytes
    remove: bool = False
    preshared_key: bytes | None = field(default=None, repr=False)
    """``NO_PRESHARED`` takes it away."""
    endpoint: Endpoint | None = None
    keepalive_s: int | None = None
    allowed: frozenset[Prefix] | None = None
    """The new list, instead of the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WgChange:
    """What to change of one device; None leaves things alone."""

    private_key: bytes | None = field(default=None, repr=False)
    port: int | None = None
    mark: int | None = None
    peers: tuple[PeerChange, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to change."""
        return self != WgChange()


def host(address: Address) -> Prefix:
    """Return the prefix that holds one address only."""
    if address.version == 4:
        return IPv4Network(address)
    return IPv6Network(address)


def change_to(
    wanted: DeviceSpec, found: WgDevice, *, call_again: Collection[bytes] = ()
) -> WgChange:
    """Return what to change of a device.

    Peers that go are named before those that come: an address may pass from one to the other.

    Args:
        wanted: the device as it shall be.
        found: the device as it is.
        call_again: public keys of the peers whose endpoint is to be set even if they have one.
    """
    have = {peer.public_key: peer for peer in found.peers}
    want = {tunnel.public_key: tunnel for tunnel in wanted.tunnels}
    gone = [PeerChange(public_key=key, remove=True) for key in have if key not in want]
    key = clamped(wanted.private_key)
    return WgChange(
        private_key=key if found.private_key != key else None,
        port=wanted.local.port if found.port != wanted.local.port else None,
        mark=wanted.mark if found.mark != wanted.mark else None,
        peers=(*gone, *_changed(wanted.tunnels, have, call_again)),
    )


def _changed(
    tunnels: Collection[TunnelSpec], have: dict[bytes, PeerState], call_again: Collection[bytes]
) -> Iterator[PeerChange]:
    for tunnel in tunnels:
        found = have.get(tunnel.public_key)
        change = _peer_change(tunnel, found, again=tunnel.public_key in call_again)
        if found is None or change != PeerChange(public_key=tunnel.public_key):
            yield change


def _peer_change(tunnel: TunnelSpec, found: PeerState | None, *, again: bool) -> PeerChange:
    have = found or PeerState(public_key=tunnel.public_key)
    allowed = frozenset(host(address) for address in tunnel.peer_addresses)
    preshared = tunnel.preshared_key or NO_PRESHARED
    call = again or have.endpoint is None
    return PeerChange(
        public_key=tunnel.public_key,
        preshared_key=preshared if (have.preshared_key or NO_PRESHARED) != preshared else None,
        endpoint=tunnel.remote if call else None,
        keepalive_s=tunnel.keepalive_s if have.keepalive_s != tunnel.keepalive_s else None,
        allowed=allowed if have.allowed != allowed else None,
    )
