"""Rows of tunnels: written whole, and the old tunnel's packets refused first."""

import ipaddress

import numpy as np
import pytest

from patronus.dataplane.linux import records
from patronus.dataplane.linux.endpoints import (
    Endpoint,
    clear_endpoint,
    move_endpoint,
    write_endpoint,
)
from patronus.dataplane.linux.records import Kind, TunnelFlag
from patronus.engine.units import LONG_AGO, MS, NEVER


def endpoint(local: str = "192.0.2.1", remote: str = "192.0.2.2", mtu: int = 1400) -> Endpoint:
    return Endpoint(
        kind=Kind.WIREGUARD,
        local=ipaddress.ip_address(local),
        remote=ipaddress.ip_address(remote),
        local_port=4790,
        remote_port=4791,
        peer_row=7,
        session_in=2**64 - 1,
        session_out=1,
        mtu=mtu,
        peer_site=3,
        transport=2,
        ifindex=9,
        mark=0x100,
    )


def test_a_row_holds_what_the_programs_need() -> None:
    """Addresses lie in front, ports in network order, and the tunnel starts silent."""
    tunnels = records.zeros(records.TUNNEL, 3)
    write_endpoint(tunnels, 1, endpoint(), detect_ns=30 * MS)
    row = tunnels[1]
    assert row["local"].tolist() == [192, 0, 2, 1] + [0] * 12
    assert tunnels["remote_port"][1:2].tobytes() == (4791).to_bytes(2, "big")
    assert (row["peer_id"], row["session_in"], row["kind"]) == (7, 2**64 - 1, Kind.WIREGUARD)
    assert (row["mark"], row["ifindex"], row["mtu"], row["peer_site"]) == (0x100, 9, 1400, 3)
    assert (row["latched"], row["since_ns"], row["confirmed_ns"]) == (True, NEVER, LONG_AGO)
    assert row["flags"] == TunnelFlag.IN_USE
    assert not tunnels[0].tobytes().strip(b"\0")


def test_a_row_of_ipv6_says_so() -> None:
    """The outer family is the tunnel's, whatever travels inside."""
    tunnels = records.zeros(records.TUNNEL)
    write_endpoint(tunnels, 0, endpoint("2001:db8::1", "2001:db8::2"), detect_ns=MS)
    assert tunnels["flags"][0] == TunnelFlag.IN_USE | TunnelFlag.IPV6
    assert tunnels["remote"][0].tobytes() == ipaddress.ip_address("2001:db8::2").packed


def test_a_row_that_is_used_again_keeps_its_numbering() -> None:
    """The next tunnel of a row starts silent, and its packets are numbered on."""
    tunnels = records.zeros(records.TUNNEL)
    tunnels["tx_sequence"], tunnels["heard_ns"], tunnels["drain_until_ns"] = 5, 6, 7
    write_endpoint(tunnels, 0, endpoint(), detect_ns=MS)
    assert (tunnels["tx_sequence"][0], tunnels["heard_ns"][0]) == (5, LONG_AGO)
    clear_endpoint(tunnels, 0)
    assert tunnels["flags"][0] == tunnels["drain_until_ns"][0] == 0


def test_a_next_hop_is_forgotten_with_the_address_that_it_led_to() -> None:
    """Packets to the new address are not sent to the neighbour of the old one."""
    tunnels = records.zeros(records.TUNNEL)
    tunnels["hop"]["until_ns"] = NEVER
    write_endpoint(tunnels, 0, endpoint(), detect_ns=MS)
    assert tunnels["hop"]["until_ns"][0] == 0
    tunnels["hop"]["until_ns"] = NEVER
    move_endpoint(tunnels, 0, remote=ipaddress.ip_address("198.51.100.9"), remote_port=1)
    assert tunnels["hop"]["until_ns"][0] == 0


def test_a_peer_that_roams_keeps_its_stamps() -> None:
    """Only the address changes; the tunnel stays up."""
    tunnels = records.zeros(records.TUNNEL)
    write_endpoint(tunnels, 0, endpoint(), detect_ns=MS)
    tunnels["heard_ns"] = 99
    move_endpoint(tunnels, 0, remote=ipaddress.ip_address("198.51.100.9"), remote_port=1)
    assert tunnels["remote"][0].tolist()[:4] == [198, 51, 100, 9]
    assert (tunnels["remote_port"][0], tunnels["heard_ns"][0]) == (1, 99)


@pytest.mark.parametrize(
    ("local", "remote", "mtu"),
    [("192.0.2.1", "2001:db8::1", 1400), ("192.0.2.1", "192.0.2.2", 70_000)],
)
def test_what_does_not_fit_is_our_own_mistake(local: str, remote: str, mtu: int) -> None:
    """Two families in one tunnel, or a size beyond 16 bits, are never cut to fit."""
    with pytest.raises(AssertionError):
        endpoint(local, remote, mtu)


def test_only_one_row_is_touched() -> None:
    """Neighbouring rows keep every byte."""
    tunnels = records.zeros(records.TUNNEL, 3)
    tunnels.view(np.uint8)[:] = 0x5A
    write_endpoint(tunnels, 1, endpoint(), detect_ns=MS)
    for row in (0, 2):
        assert set(tunnels[row].tobytes()) == {0x5A}
