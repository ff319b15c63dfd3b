"""What WireGuard may know of a device, drawn by Hypothesis."""

from hypothesis import strategies as st

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.spec import Endpoint
from patronus.dataplane.tunnels.wgdevice import WgDevice, host

keys = st.binary(min_size=32, max_size=32).filter(any)
addresses = st.ip_addresses().filter(lambda a: getattr(a, "scope_id", None) is None)
endpoints = st.builds(Endpoint, addresses, st.integers(1, 65_535))

peer_states = st.builds(
    PeerState,
    public_key=keys,
    preshared_key=st.just(b"") | keys,
    endpoint=st.none() | endpoints,
    allowed=st.frozensets(addresses.map(host), max_size=4),
    keepalive_s=st.integers(0, 65_535),
    handshake_ns=st.integers(0, 2**62),
    rx_bytes=st.integers(0, 2**64 - 1),
    tx_bytes=st.integers(0, 2**64 - 1),
)

devices = st.builds(
    WgDevice,
    private_key=st.just(b"") | keys,
    port=st.integers(0, 65_535),
    mark=st.integers(0, 2**32 - 1),
    peers=st.lists(peer_states, max_size=4, unique_by=lambda peer: peer.public_key).map(tuple),
)
