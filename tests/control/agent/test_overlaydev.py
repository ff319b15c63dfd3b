"""The kernel's own way to other sites: its traffic, its firewall, its reverse path checks."""

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control.agent.fleet import Fleet, Site, inside, run, stream, unique, until

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module", params=["mark", "redirect", "wireguard"])
def fleet(
    request: pytest.FixtureRequest, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Return two sites whose routers check reverse paths strictly, everywhere."""

    def change(text: dict[str, Any]) -> None:
        text["dataplane"] = {"mode": "redirect" if request.param == "redirect" else "mark"}

    kind = "wireguard" if request.param == "wireguard" else "plain"
    folder = tmp_path_factory.mktemp(request.param)
    made = Fleet(folder, cache, unique(), kind, names=("hub", "oslo"))
    try:
        made.build()
        for site in made.sites.values():
            site.write(change)
            strictly(site, 1)
        made.start()
        yield made
    finally:
        made.close()


def strictly(site: Site, value: int) -> None:
    """Set the reverse path check of all interfaces of a router, those to come as well."""
    there = ("nsenter", f"--net=/run/netns/{site.router}")
    for which in run(*there, "ls", "/proc/sys/net/ipv4/conf").split():
        run(*there, "sysctl", "-qw", f"net.ipv4.conf.{which}.rp_filter={value}")


def came(receiver: socket.socket, seconds: float = 2.0) -> bytes | None:
    """Return what comes, None if nothing does."""
    ready, _, _ = select.select([receiver], [], [], seconds)
    return receiver.recv(2000) if ready else None


def test_hosts_reach_each_other(fleet: Fleet) -> None:
    """With strict checks nothing is lost, either way."""
    for one, other in (("oslo", "hub"), ("hub", "oslo")):
        flow = stream(fleet[one], fleet[other])
        flow.for_s(0.5)
        flow.end()
        assert flow.sent > 100
        assert flow.lost == 0


def test_the_router_itself_reaches_other_sites(fleet: Fleet) -> None:
    """It asks from its LAN address, unbidden, and hears the answer."""
    oslo, hub = fleet["oslo"], fleet["hub"]
    with inside(oslo.router):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with own, hub.udp(7600) as there:
        own.sendto(b"question", there.getsockname())
        assert select.select([there], [], [], 2)[0]
        data, source = there.recvfrom(100)
        assert (data, source[0]) == (b"question", f"{oslo.lan}.1")
        there.sendto(b"answer", source)
        assert came(own) == b"answer"


def test_routers_reach_each_other(fleet: Fleet) -> None:
    """From one router to the other one's LAN address."""
    oslo, hub = fleet["oslo"], fleet["hub"]
    with inside(hub.router):
        there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(oslo.router):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with own, there:
        there.bind((f"{hub.lan}.1", 7601))
        own.sendto(b"router", there.getsockname())
        assert came(there) == b"router"


@pytest.mark.parametrize("fleet", ["mark"], indirect=True)
def test_the_firewall_applies_in_mode_mark(fleet: Fleet) -> None:
    """Its rules name the overlay device, for what leaves by tunnels and for what comes out."""
    oslo, hub = fleet["oslo"], fleet["hub"]
    device = next(w.rstrip(":") for w in run("ip", "-n", oslo.router, "-o", "link").split()
                  if w.endswith("-overlay:"))  # fmt: skip
    rules = (
        "add table ip t; add chain ip t f { type filter hook forward priority 0; };"
        f' add rule ip t f oifname "{device}" udp dport 7602 counter drop;'
        f' add rule ip t f iifname "{device}" udp dport 7603 counter drop'
    )
    run("nsenter", f"--net=/run/netns/{oslo.router}", "nft", rules)
    with oslo.udp(7603) as here, hub.udp(7602) as there, hub.udp(7604) as open_there:
        here.sendto(b"out", there.getsockname())
        there.sendto(b"in", here.getsockname())
        here.sendto(b"open", open_there.getsockname())
        assert came(open_there) == b"open"
        assert came(there, 0.3) is None
        assert came(here, 0.3) is None
    counted = run("nsenter", f"--net=/run/netns/{oslo.router}", "nft", "list table ip t")
    assert counted.count("packets 1 ") == 2
    run("nsenter", f"--net=/run/netns/{oslo.router}", "nft", "delete table ip t")
    assert oslo.show("counters")["outcomes"]["pass_marked"] >= 2


@pytest.mark.parametrize("fleet", ["mark"], indirect=True)
def test_a_false_source_is_refused_in_mode_mark(fleet: Fleet) -> None:
    """A host with an address of another site is refused by strict checks, and by them alone."""
    oslo, hub = fleet["oslo"], fleet["hub"]
    false = f"{hub.lan}.99"
    run("ip", "-n", oslo.host, "addr", "add", f"{false}/32", "dev", "eth")
    with inside(oslo.host):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, hub.udp(7605) as there, contextlib.ExitStack() as stack:
        sender.bind((false, 0))
        sender.sendto(b"false", there.getsockname())
        assert came(there, 0.3) is None
        for site in (oslo, hub):
            strictly(site, 0)
            stack.callback(strictly, site, 1)
        sender.sendto(b"false", there.getsockname())
        assert came(there) == b"false"
    run("ip", "-n", oslo.host, "addr", "del", f"{false}/32", "dev", "eth")


def test_what_is_deleted_of_it_comes_back(fleet: Fleet) -> None:
    """The device with its filter and routes, or one route: repaired and counted."""
    oslo, hub = fleet["oslo"], fleet["hub"]

    def drifts(what: str) -> int:
        return int(oslo.show("health")["drifts"].get(what, 0))

    before = drifts("overlay"), drifts("routes")
    run("ip", "-n", oslo.router, "route", "del", f"{hub.lan}.0/24")
    until(lambda: drifts("routes") > before[1])
    device = next(w.rstrip(":") for w in run("ip", "-n", oslo.router, "-o", "link").split()
                  if w.endswith("-overlay:"))  # fmt: skip
    run("ip", "-n", oslo.router, "link", "del", device)
    until(lambda: drifts("overlay") > before[0])
    until(lambda: f"{hub.lan}.0/24" in run("ip", "-n", oslo.router, "route"))
    test_hosts_reach_each_other(fleet)
    test_the_router_itself_reaches_other_sites(fleet)


def test_clean_takes_it_away(fleet: Fleet) -> None:
    """After `clean` there is neither the device nor a route or rule of ours."""
    oslo = fleet["oslo"]
    oslo.stop()
    assert oslo.call("clean").returncode == 0
    assert "-overlay" not in run("ip", "-n", oslo.router, "link")
    assert "proto 173" not in run("ip", "-n", oslo.router, "route", "show", "table", "all")
    assert "lookup 75" not in run("ip", "-n", oslo.router, "rule")
