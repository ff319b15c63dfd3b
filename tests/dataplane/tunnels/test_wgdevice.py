"""The change from a device to the wanted one is complete, minimal, and never fights roaming."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.keys import clamped
from patronus.dataplane.tunnels.spec import DeviceSpec, TunnelSpec
from patronus.dataplane.tunnels.wgdevice import PeerChange, WgChange, WgDevice, change_to, host
from tests.dataplane.tunnels.specs import wireguard
from tests.dataplane.tunnels.strategies import addresses, devices, endpoints, keys
from tests.dataplane.tunnels.yard import endpoint

tunnels = st.builds(
    TunnelSpec,
    peer=st.just("b"),
    remote=st.none() | endpoints,
    peer_addresses=st.lists(addresses, min_size=1, max_size=3, unique=True).map(tuple),
    public_key=keys,
    preshared_key=st.just(b"") | keys,
    keepalive_s=st.integers(0, 65_535),
)

specs = st.builds(
    lambda many, key, port, mark: replace(
        wireguard("tn-w", "a", port, "172.31.0.1"),
        tunnels=tuple(many),
        private_key=key,
        mark=mark,
    ),
    st.lists(tunnels, max_size=4, unique_by=lambda tunnel: tunnel.public_key),
    keys,
    st.integers(1, 65_535),
    st.integers(0, 2**32 - 1),
)


def applied(device: WgDevice, change: WgChange) -> WgDevice:
    """Return a device after a change, as linux/wireguard.h defines it."""
    peers = {peer.public_key: peer for peer in device.peers}
    for new in change.peers:
        if new.remove:
            peers.pop(new.public_key, None)
            continue
        have = peers.get(new.public_key, PeerState(public_key=new.public_key))
        psk = have.preshared_key if new.preshared_key is None else new.preshared_key
        peers[new.public_key] = replace(
            have,
            preshared_key=psk if any(psk) else b"",
            endpoint=new.endpoint or have.endpoint,
            keepalive_s=have.keepalive_s if new.keepalive_s is None else new.keepalive_s,
            allowed=have.allowed if new.allowed is None else new.allowed,
        )
    return WgDevice(
        private_key=clamped(change.private_key) if change.private_key else device.private_key,
        port=device.port if change.port is None else change.port,
        mark=device.mark if change.mark is None else change.mark,
        peers=tuple(peers.values()),
    )


def related(data: st.DataObject, spec: DeviceSpec, device: WgDevice) -> WgDevice:
    """Give some peers of a device the keys of wanted ones, so that the two meet."""
    wanted = [tunnel.public_key for tunnel in spec.tunnels]
    chosen = data.draw(st.permutations(wanted))
    pairs = zip(device.peers, chosen, strict=False)
    return replace(device, peers=tuple(replace(p, public_key=key) for p, key in pairs))


@settings(max_examples=50)  # drawing this many keys takes long
@given(specs, devices, st.data())
def test_after_the_change_nothing_is_left_to_change(
    spec: DeviceSpec, device: WgDevice, data: st.DataObject
) -> None:
    """From any device one change leads to the wanted one, and a second is empty."""
    device = related(data, spec, device)
    after = applied(device, change_to(spec, device))
    assert (after.private_key, after.port, after.mark) == (
        clamped(spec.private_key),
        spec.local.port,
        spec.mark,
    )
    peers = {peer.public_key: peer for peer in after.peers}
    assert peers.keys() == {tunnel.public_key for tunnel in spec.tunnels}
    for tunnel in spec.tunnels:
        peer = peers[tunnel.public_key]
        assert peer.allowed == {host(address) for address in tunnel.peer_addresses}
        assert (peer.preshared_key, peer.keepalive_s) == (tunnel.preshared_key, tunnel.keepalive_s)
        assert peer.endpoint is not None or tunnel.remote is None
    assert not change_to(spec, after)


@settings(max_examples=50)  # drawing this many keys takes long
@given(specs, devices, st.data())
def test_an_endpoint_that_is_there_is_left_alone(
    spec: DeviceSpec, device: WgDevice, data: st.DataObject
) -> None:
    """A peer keeps the endpoint that its packets came from, unless it is to be called again."""
    device = related(data, spec, device)
    roamed = {peer.public_key for peer in device.peers if peer.endpoint}
    for change in change_to(spec, device).peers:
        assert change.endpoint is None or change.public_key not in roamed
    again = change_to(spec, device, call_again=roamed)
    called = {change.public_key for change in again.peers if change.endpoint is not None}
    configured = {tunnel.public_key for tunnel in spec.tunnels if tunnel.remote}
    assert called >= roamed & configured


def test_a_wider_address_than_wanted_is_drift() -> None:
    """A peer that may send from everywhere is put back to its tunnel address."""
    tunnel = TunnelSpec(
        peer="b",
        remote=endpoint("10.9.1.2", 5),
        peer_addresses=(ip_address("172.31.0.2"),),
        public_key=b"k" * 32,
    )
    spec = wireguard("tn-w", "a", 7, "172.31.0.1", tunnels=(tunnel,))
    wide = PeerState(
        public_key=b"k" * 32,
        endpoint=tunnel.remote,
        allowed=frozenset({ip_network("172.31.0.2/31")}),
    )
    device = WgDevice(private_key=spec.private_key, port=7, peers=(wide,))
    (change,) = change_to(spec, device).peers
    narrow = frozenset({ip_network("172.31.0.2/32")})
    assert change == PeerChange(public_key=b"k" * 32, allowed=narrow)
    assert host(ip_address("fd00::1")) == ip_network("fd00::1/128")
