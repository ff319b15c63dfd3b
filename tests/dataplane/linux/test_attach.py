"""Filters: ours are attached, replaced and found; what others attached stays."""

import errno
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from patronus.dataplane.linux.attach import Filter, Hook, attach, attached, detach
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.traffic import BpfFilter, set_filter
from tests.dataplane.linux.lab import inside

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
def device(namespace: str) -> Iterator[int]:
    """Be inside the namespace; return the index of its device."""
    with inside(namespace):
        yield socket.if_nametoindex("bpa")


def everything(namespace: str) -> str:
    done = subprocess.run(
        ["tc", "-n", namespace, "filter", "show", "dev", "bpa", "ingress"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_programs_come_and_go(device: int, pins: Pins) -> None:
    """Both hooks, several programs, each found again under its own name."""
    assert attached(device) == set()
    wanted = {
        Filter(device, Hook.INGRESS, "tunnel_ether"),
        Filter(device, Hook.INGRESS, "steer_lan"),
        Filter(device, Hook.EGRESS, "steer_out"),
    }
    for where in wanted:
        attach(where, pins.programs[where.program])
    assert attached(device) == wanted
    for where in wanted:
        assert detach(where)
        assert not detach(where)
    assert attached(device) == set()


def test_an_upgrade_leaves_one_filter(device: int, namespace: str, pins: Pins) -> None:
    """Attaching again replaces; there is never a second filter, nor none."""
    where = Filter(device, Hook.INGRESS, "steer_lan")
    for _ in range(2):
        attach(where, pins.programs["steer_lan"])
    assert everything(namespace).count("patronus/steer_lan") == 1


def test_foreign_filters_stay(device: int, namespace: str, pins: Pins) -> None:
    """What an administrator attached is neither ours nor touched."""
    for words in ("qdisc add dev bpa clsact", "filter add dev bpa ingress u32 match u32 0 0"):
        subprocess.run(["tc", "-n", namespace, *words.split()], check=True)
    set_filter(device, Hook.INGRESS, BpfFilter(7, "steer_lan"), pins.programs["empty"])
    before = everything(namespace)
    assert attached(device) == set()
    where = Filter(device, Hook.INGRESS, "tunnel_ether")
    attach(where, pins.programs["tunnel_ether"])
    assert attached(device) == {where}
    detach(where)
    assert everything(namespace) == before


@pytest.mark.usefixtures("device")
def test_a_device_that_is_gone_is_told(pins: Pins) -> None:
    """Attaching to nothing is an error; nothing has no filters."""
    assert attached(9999) == set()
    with pytest.raises(OSError, match="No such device") as raised:
        attach(Filter(9999, Hook.INGRESS, "steer_lan"), pins.programs["steer_lan"])
    assert raised.value.errno == errno.ENODEV
