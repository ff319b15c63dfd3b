"""Filters: ours are attached, replaced and found; what others attached stays."""

import errno
import os
import subprocess
from collections.abc import Iterator

import pytest
from pyroute2 import NetNS
from pyroute2.netlink.exceptions import NetlinkError

from patronus.dataplane.linux.attach import Filter, Hook, attach, attached, detach
from patronus.dataplane.linux.pins import Pins

pytestmark = pytest.mark.root


@pytest.fixture
def namespace() -> Iterator[str]:
    """Return a namespace with one device, ``bpa``."""
    name = f"bp-attach-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    words = f"ip -n {name} link add bpa type veth peer name bpb"
    try:
        subprocess.run(words.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture
def ip(namespace: str) -> Iterator[NetNS]:
    """Return netlink inside the namespace."""
    with NetNS(namespace) as opened:
        yield opened


def everything(namespace: str) -> str:
    done = subprocess.run(
        ["tc", "-n", namespace, "filter", "show", "dev", "bpa", "ingress"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_programs_come_and_go(ip: NetNS, pins: Pins) -> None:
    """Both hooks, several programs, each found again under its own name."""
    device = ip.link_lookup(ifname="bpa")[0]
    assert attached(ip, device) == set()
    wanted = {
        Filter(device, Hook.INGRESS, "tunnel_ether"),
        Filter(device, Hook.INGRESS, "steer_lan"),
        Filter(device, Hook.EGRESS, "steer_out"),
    }
    for where in wanted:
        attach(ip, where, pins.programs[where.program])
    assert attached(ip, device) == wanted
    for where in wanted:
        assert detach(ip, where)
        assert not detach(ip, where)
    assert attached(ip, device) == set()


def test_an_upgrade_leaves_one_filter(ip: NetNS, namespace: str, pins: Pins) -> None:
    """Attaching again replaces; there is never a second filter, nor none."""
    device = ip.link_lookup(ifname="bpa")[0]
    where = Filter(device, Hook.INGRESS, "steer_lan")
    for _ in range(2):
        attach(ip, where, pins.programs["steer_lan"])
    assert everything(namespace).count("patronus/steer_lan") == 1


def test_foreign_filters_stay(ip: NetNS, namespace: str, pins: Pins) -> None:
    """What an administrator attached is neither ours nor touched."""
    device = ip.link_lookup(ifname="bpa")[0]
    for words in ("qdisc add dev bpa clsact", "filter add dev bpa ingress u32 match u32 0 0"):
        subprocess.run(["tc", "-n", namespace, *words.split()], check=True)
    ip.tc(
        "add-filter", "bpf", device, 1, parent=int(Hook.INGRESS), prio=7, protocol=3,
        fd=pins.programs["empty"], name="steer_lan", direct_action=True,
    )  # fmt: skip
    before = everything(namespace)
    assert attached(ip, device) == set()
    where = Filter(device, Hook.INGRESS, "tunnel_ether")
    attach(ip, where, pins.programs["tunnel_ether"])
    assert attached(ip, device) == {where}
    detach(ip, where)
    assert everything(namespace) == before


def test_a_device_that_is_gone_is_told(ip: NetNS, pins: Pins) -> None:
    """Attaching to nothing is an error; nothing has no filters."""
    assert attached(ip, 9999) == set()
    with pytest.raises(NetlinkError) as raised:
        attach(ip, Filter(9999, Hook.INGRESS, "steer_lan"), pins.programs["steer_lan"])
    assert raised.value.code == errno.ENODEV
