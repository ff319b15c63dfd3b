"""What cannot work is refused before anything is touched, with one clear reason."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from patronus.dataplane.tunnels.spec import BadSpec, DeviceSpec, Kind, TunnelSpec, check
from tests.dataplane.tunnels.specs import KEYS, peer, vxlan, wireguard
from tests.dataplane.tunnels.yard import endpoint

B = peer("b", "b", "10.9.1.2", 7002, "172.31.0.2")
WG = wireguard("tn-w", "a", 7001, "172.31.0.1", tunnels=(B,))
VX = vxlan("tn-v", ("10.9.1.1", "10.9.1.2"), ("172.31.1.1", "172.31.1.2"))
PLAIN = DeviceSpec(
    name="tn-p",
    kind=Kind.PLAIN,
    transport="wan1",
    mark=1,
    local=endpoint("10.9.1.1", 7000),
    mtu=1500,
    tunnels=(TunnelSpec(peer="b", remote=endpoint("10.9.1.2", 7000)),),
)


def tunnel(device: DeviceSpec, **fields: object) -> DeviceSpec:
    """Return a device whose only tunnel differs in some fields."""
    changed = replace(device.tunnels[0], **fields)  # type: ignore[arg-type]  # names real fields
    return replace(device, tunnels=(changed,))


def test_what_works_passes() -> None:
    """One device of each kind, an own key a device, peers that call us included."""
    waiting = tunnel(replace(WG, name="tn-w2", local=endpoint("::", 7009)), remote=None)
    check([WG, VX, PLAIN, waiting], prefix="tn-")
    check([], prefix="tn-")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (replace(WG, name="tn-" + "x" * 13), "a name has up to 15"),
        (replace(WG, name="tn-A"), "a name has up to 15"),
        (replace(WG, name="tn-w\n"), "a name has up to 15"),
        (replace(WG, name="wg0"), "must begin with 'tn-'"),
        (replace(WG, mtu=575), "MTU 575 is not between 576 and 65535"),
        (replace(WG, mtu=65_536), "MTU 65536 is not between"),
        (
            replace(WG, mtu=1279, addresses=(ip_address("fd00::1"),)),
            "MTU 1279 is below 1280, the least that IPv6 addresses need",
        ),
        (replace(WG, mark=2**32), "does not fit 32 bits"),
        (replace(WG, local=endpoint("::", 0)), "port 0 is not one of"),
        (replace(WG, private_key=b""), "a private key has 32 bytes, not 0"),
        (replace(WG, private_key=KEYS["b"]), "peer b has our own key .*: was a key store copied"),
        (replace(WG, tunnels=(B, replace(B, peer="c"))), "two peers have the key"),
        (tunnel(WG, public_key=b"x"), "tunnel to b: a public key has 32 bytes, not 1"),
        (tunnel(WG, public_key=bytes(32)), "tunnel to b: the public key is all zeros"),
        (tunnel(WG, preshared_key=b"x"), "a pre-shared key has 32 bytes, not 1"),
        (tunnel(WG, keepalive_s=65_536), "a keepalive of 65536 s"),
        (tunnel(WG, peer_addresses=()), "the peer has no tunnel address"),
        (tunnel(WG, peer_addresses=WG.addresses), "is our own tunnel address and a peer's"),
        (tunnel(WG, remote=endpoint("10.9.1.2", 0)), "port 0 is not one of"),
        (tunnel(WG, remote=endpoint("0.0.0.0", 5)), "0.0.0.0 is not the address of a peer"),
        (tunnel(WG, remote=endpoint("224.0.0.1", 5)), "224.0.0.1 is not the address of a peer"),
        (
            replace(WG, tunnels=(B, replace(B, public_key=b"c" * 32))),
            "two peers have the tunnel address 172.31.0.2",
        ),
        (tunnel(VX, remote=None), "only WireGuard can wait for a peer to call"),
        (tunnel(VX, vni=0), "VNI 0 is not one of 1 to 16777215"),
        (tunnel(VX, vni=2**24), "VNI 16777216 is not one of"),
        (tunnel(VX, remote=endpoint("fd00::2", 4789)), "10.9.1.1 cannot send to fd00::2"),
        (tunnel(VX, remote=endpoint("10.9.1.1", 4789)), "10.9.1.1:4789 is our own end"),
        (replace(VX, tunnels=()), "a VXLAN device carries one tunnel, not 0"),
        (replace(VX, local=endpoint("0.0.0.0", 4789)), "needs the address that it sends from"),
        (replace(PLAIN, local=endpoint("::", 4789)), "needs the address that it sends from"),
        (replace(PLAIN, addresses=WG.addresses), "a plain device has no tunnel addresses"),
        (tunnel(PLAIN, remote=None), "only WireGuard can wait"),
    ],
)
def test_what_cannot_work_is_named(device: DeviceSpec, message: str) -> None:
    """The message begins with the device and says what is wrong with it."""
    with pytest.raises(BadSpec, match=message) as told:
        check([device], prefix="tn-")
    assert str(told.value).startswith(f"device {device.name!r}: ")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(WG, local=endpoint("::", 7009)), "two devices are called tn-w"),
        (replace(WG, name="tn-w2"), "two WireGuard devices listen on port 7001"),
        (replace(PLAIN, name="tn-p2"), "two plain devices listen on 10.9.1.1:7000"),
        (
            wireguard("tn-w2", "b", 7009, "172.31.0.9"),
            "device 'tn-w': peer b has our own key .*: was a key store copied",
        ),
        (replace(VX, name="tn-v2"), r"two VXLAN devices have the same \(port, VNI\) \(4789, 7\)"),
    ],
)
def test_devices_that_collide_are_named(other: DeviceSpec, message: str) -> None:
    """Two devices that want the same thing are refused together."""
    with pytest.raises(BadSpec, match=message):
        check([WG, VX, PLAIN, other], prefix="tn-")


def test_secrets_are_not_shown() -> None:
    """Neither the private nor the pre-shared key is in what gets logged."""
    device = tunnel(WG, preshared_key=b"s" * 32)
    assert "private_key" not in repr(device)
    assert "ssss" not in repr(device)
    assert str(endpoint("fd00::1", 5)) == "[fd00::1]:5"
    assert str(endpoint("10.0.0.1", 5)) == "10.0.0.1:5"
