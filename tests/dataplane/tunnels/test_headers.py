"""The header sums are those of the standards, and of real packets."""

from itertools import product

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from patronus.dataplane.linux import records
from patronus.dataplane.tunnels.headers import (
    PATRONUS,
    device_mtu,
    roomy_mtu,
    user_mtu,
)
from patronus.dataplane.tunnels.spec import Kind

LAYER = {4: IP, 6: IPv6}


def test_our_own_header_is_as_long_as_the_kernel_writes_it() -> None:
    """Who reckons with its length and who writes it agree."""
    assert records.OVERLAY.itemsize == PATRONUS


@pytest.mark.parametrize(("outer", "inner"), list(product((4, 6), (4, 6))))
def test_sums_agree_with_packets_built_by_scapy(outer: int, inner: int) -> None:
    """A full packet of each kind, built layer by layer, is exactly as long as the path takes."""
    below = LAYER[outer]() / UDP()
    within = LAYER[inner]() / UDP() / Raw(bytes(PATRONUS))
    pmtu = 1500
    built = {
        Kind.PLAIN: below / Raw(bytes(PATRONUS)),
        Kind.VXLAN: below / VXLAN() / Ether() / within,
        # type and reserved 4, receiver 4, counter 8; the tag behind
        Kind.WIREGUARD: below / Raw(bytes(4 + 4 + 8)) / within / Raw(bytes(16)),
    }
    for kind, packet in built.items():
        user = user_mtu(kind, pmtu, outer=outer, inner=inner)
        assert len(bytes(packet)) + user == pmtu


@pytest.mark.parametrize(
    ("kind", "outer", "mtu"),
    [
        (Kind.WIREGUARD, 4, 1440),
        (Kind.WIREGUARD, 6, 1420),
        (Kind.VXLAN, 4, 1450),
        (Kind.VXLAN, 6, 1430),
        (Kind.PLAIN, 4, 1472),
    ],
)
def test_the_well_known_figures_come_out(kind: Kind, outer: int, mtu: int) -> None:
    """Over Ethernet these are the figures that every manual has."""
    assert device_mtu(kind, 1500, outer=outer) == mtu


@pytest.mark.parametrize("pmtu", range(1400, 1432))
def test_wireguard_pads_no_further_than_a_narrow_path(pmtu: int) -> None:
    """Where the device takes more than the path, a full packet fits with its padding."""
    user = user_mtu(Kind.WIREGUARD, pmtu, outer=4, inner=6, narrow=True)
    inside = 40 + 8 + PATRONUS + user
    assert inside % 16 == 0
    assert pmtu - 16 < 20 + 8 + 32 + inside <= pmtu


@pytest.mark.parametrize("kind", [Kind.VXLAN, Kind.WIREGUARD])
@pytest.mark.parametrize("outer", [4, 6])
def test_a_device_over_a_narrow_path_keeps_its_addresses(kind: Kind, outer: int) -> None:
    """Below 1280 bytes Linux would take the IPv6 addresses off a device."""
    assert roomy_mtu(kind, 576, outer=outer) == 1280
    assert roomy_mtu(kind, 1500, outer=outer) == device_mtu(kind, 1500, outer=outer) > 1280
