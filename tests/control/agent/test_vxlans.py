"""VXLAN tunnels in the agent: numbers that both ends know, and three sites with real packets."""

import itertools
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from patronus.control.agent.devices import inside, ownership
from patronus.control.agent.meeting import Keys, Met
from patronus.control.agent.vxlans import Vxlans, number
from patronus.control.config.layout import layout
from patronus.control.config.model import Transport
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import VNI_MAX, Address
from tests.control.agent.fleet import Fleet, run, stream, unique, until
from tests.control.config.files import KEYS, SMALL, config


def test_both_ends_know_a_tunnels_number() -> None:
    """Whoever asks; another peer or transport has another one."""
    assert number("oslo", "rome", "lte") == number("rome", "oslo", "lte")
    found = {number("oslo", peer, t) for peer in ("rome", "bern") for t in ("lte", "mpls")}
    assert len(found) == 4
    assert all(1 <= each <= VNI_MAX for each in found)


class Level:
    """Ground with one address and 1500 bytes, whatever transport is asked for."""

    def pmtu(self, transport: Transport) -> int:
        return 1500

    def local(self, transport: Transport, version: int) -> Address:
        return ip_address("192.0.2.9")


def test_the_second_tunnel_of_a_number_is_not_made() -> None:
    """The first one works; the trouble names both."""
    seen: dict[int, str] = {}
    for at in itertools.count():
        name = f"p{at}"
        if (vni := number("rome", name, "mpls")) in seen:
            break
        seen[vni] = name
    text = SMALL.replace("kind: plain", "kind: vxlan, port: 4789")
    text += "".join(f"  {n}: {{key: {k}, endpoints: {{mpls: 192.0.2.{last}}}}}\n" for n, k, last
                    in ((seen[vni], KEYS[2], 77), (name, KEYS[3], 78)))  # fmt: skip
    made = config(text=text)
    plan = layout(made)
    ground: Any = Level()
    vxlans = Vxlans(made, plan, ground, Links(ownership("rome")), inside)
    mets = [Met(row, row, 1, Keys(), "192.0.2.1") for row in range(len(plan.lanes))]
    found = {device.tunnels[0].peer for device in vxlans.specs(mets)}
    assert len(found & {name, seen[vni]}) == 1
    assert {"hub", "oslo"} <= found
    assert name in vxlans.troubles[0]
    assert seen[vni] in vxlans.troubles[0]
    assert vxlans.specs([None] * len(mets)) == []


@pytest.fixture(scope="module")
def fleet(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return three sites that reach each other."""
    made = Fleet(tmp_path_factory.mktemp("vxlan"), cache, unique(), "vxlan")
    try:
        made.build()
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.root
@pytest.mark.slow
def test_hosts_reach_each_other(fleet: Fleet) -> None:
    """Directly and through the hub, all of it as VXLAN on the wire."""
    for one, other in (("oslo", "hub"), ("rome", "oslo")):
        flow = stream(fleet[one], fleet[other])
        flow.for_s(0.5)
        flow.end()
        assert flow.sent > 100
        assert flow.lost == 0
    assert {t["kind"] for t in fleet["oslo"].show("health")["tunnels"]} == {"vxlan"}


@pytest.mark.root
@pytest.mark.slow
def test_a_blackout_costs_a_short_gap(fleet: Fleet) -> None:
    """The kernel moves the stream to the other wan, as on plain tunnels."""
    fleet.wait()
    flow = stream(fleet["oslo"], fleet["hub"])
    flow.for_s(0.5)
    fleet.cut("oslo", "blue")
    flow.for_s(1)
    fleet.cut("oslo", "blue", on=False)
    flow.end()
    print(f"blackout over VXLAN: gap {flow.gap_ms:.1f} ms")  # noqa: T201  # a measured figure
    assert 15 < flow.gap_ms < 300
    fleet.wait()


@pytest.mark.root
@pytest.mark.slow
def test_a_restart_loses_no_packet(fleet: Fleet) -> None:
    """The next agent takes over the devices as they are."""
    oslo = fleet["oslo"]
    fleet.wait()
    flow = stream(oslo, fleet["rome"])
    flow.for_s(0.5)
    assert oslo.stop() == 0
    oslo.start()
    flow.for_s(1)
    flow.end()
    assert flow.lost == 0
    assert "tunnels" not in oslo.show("health")["drifts"]


@pytest.mark.root
@pytest.mark.slow
def test_a_deleted_device_comes_back(fleet: Fleet) -> None:
    """With another index, under the same row; its rule is put back, too."""
    oslo = fleet["oslo"]
    fleet.wait()
    words = run("ip", "-n", oslo.router, "-o", "link", "show", "type", "vxlan").split()
    device = next(w.rstrip(":") for w in words if w.startswith("pt-"))
    run("ip", "-n", oslo.router, "link", "del", device)
    run("ip", "-n", oslo.router, "rule", "del", "from", oslo.wan("blue"), "ipproto", "udp",
        "dport", "4789")  # fmt: skip
    until(lambda: oslo.show("health")["drifts"].get("tunnels", 0) > 0)
    until(lambda: oslo.show("health")["drifts"].get("underlay", 0) > 0)
    fleet.wait()


@pytest.mark.root
@pytest.mark.slow
def test_clean_takes_the_devices_away(fleet: Fleet) -> None:
    """After `clean` no VXLAN device is left."""
    rome = fleet["rome"]
    rome.stop()
    assert rome.call("clean").returncode == 0
    assert not run("ip", "-n", rome.router, "-o", "link", "show", "type", "vxlan").strip()
