"""Two sites without BPF: traffic flows, cuts are survived, a restart loses nothing."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.control.agent.bare import BareFleet
from tests.control.agent.fleet import run, stream, unique, until

pytestmark = [pytest.mark.root, pytest.mark.slow]


def report(line: str) -> None:
    """Print a figure, to be seen with ``-s``."""
    print(line)  # noqa: T201  # measured figures are for whoever reads the run


@pytest.fixture(scope="module", params=["plain", "wireguard"])
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BareFleet]:
    """Return two sites that reach each other."""
    made = BareFleet(tmp_path_factory.mktemp("bare"), unique(), request.param)
    try:
        made.build()
        made.start()
        yield made
    finally:
        made.close()


def test_traffic_flows_and_the_agent_says_which_way(fleet: BareFleet) -> None:
    """Datagrams arrive both ways; what the fallback costs is told."""
    for one, other in ((fleet.spoke, fleet.hub), (fleet.hub, fleet.spoke)):
        flow = stream(one, other)
        flow.for_s(0.5)
        flow.end()
        assert flow.sent > 50
        assert flow.lost == 0
    way = " ".join(fleet.spoke.show("health")["way"])
    assert "no BPF" in way
    assert "rules tell classes" in way
    assert fleet.spoke.ask("show", "flows") == []
    assert fleet.spoke.show("counters")["outcomes"]["probe_returned"] > 0


def test_classes_go_by_their_own_tunnels(fleet: BareFleet) -> None:
    """What is marked as voice takes the wan that it prefers, all else the cheaper one."""
    fleet.wait()
    spoke, hub = fleet.spoke, fleet.hub
    until(lambda: [p["path"].partition(">")[0] for p in spoke.show("paths")] == ["red", "blue"])
    took = []
    with spoke.udp() as sender, hub.udp() as receiver:
        for tos in (46 << 2, 0):
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
            before = spoke.sent()
            for _ in range(200):
                sender.sendto(b"of a class", receiver.getsockname())
            rises = {name: count - before[name] for name, count in spoke.sent().items()}
            took.append([name for name, rise in rises.items() if rise >= 200])
    assert [len(names) for names in took] == [1, 1]
    assert took[0] != took[1]


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_cut_is_survived(fleet: BareFleet, state: str) -> None:
    """One wan goes silent: the prober moves the stream, with the agents asleep as well."""
    fleet.wait()
    flow = stream(fleet.spoke, fleet.hub)
    flow.for_s(0.5)
    for site in (fleet.spoke, fleet.hub):
        assert site.process is not None
        site.process.send_signal(signal.SIGSTOP if state == "stopped" else signal.SIGCONT)
    fleet.cut("oslo", "blue")
    flow.for_s(3)
    came = len(flow.came)
    flow.for_s(0.5)
    assert len(flow.came) > came, "it goes on over the other wan while this one is cut"
    fleet.cut("oslo", "blue", on=False)
    for site in (fleet.spoke, fleet.hub):
        assert site.process is not None
        site.process.send_signal(signal.SIGCONT)
    flow.end()
    report(f"cut, agents {state}, 100 ms × 5: gap {flow.gap_ms:.0f} ms, {flow.lost} lost")
    assert 300 < flow.gap_ms < 3000
    assert fleet.spoke.show("counters")["kernel_moves"] > 0
    fleet.wait()


def test_a_restart_of_the_agent_loses_nothing(fleet: BareFleet) -> None:
    """The kernel forwards and the prober probes on: the new agent finds both."""
    fleet.wait()
    prober, slow = fleet.spoke.prober, fleet.hub.overflowed()
    flow = stream(fleet.spoke, fleet.hub)
    flow.for_s(0.3)
    for site in (fleet.spoke, fleet.hub):
        assert site.stop() == 0
        flow.for_s(0.3)
        site.start()
        flow.for_s(0.5)
    flow.end()
    assert flow.lost == fleet.hub.overflowed() - slow
    assert fleet.spoke.prober == prober
    fleet.wait()


def test_a_killed_prober_is_started_anew_and_counted(fleet: BareFleet) -> None:
    """Traffic flows on meanwhile, by the objects that there are."""
    fleet.wait()
    before = fleet.spoke.show("counters")["pacer_rebuilt"]
    flow, gone = stream(fleet.spoke, fleet.hub), fleet.spoke.prober
    os.kill(gone, signal.SIGKILL)
    until(lambda: fleet.spoke.prober not in {0, gone})
    flow.for_s(0.3)
    flow.end()
    assert flow.lost == 0
    assert fleet.spoke.show("counters")["pacer_rebuilt"] == before + 1
    fleet.wait()


def test_what_is_deleted_comes_back(fleet: BareFleet) -> None:
    """Objects, routes, rules and a device: noticed, repaired, counted, and traffic flows."""
    spoke = fleet.spoke
    fleet.wait()
    before = spoke.show("health")["drifts"]
    run("ip", "-n", spoke.router, "nexthop", "flush", check=False)
    run("ip", "-n", spoke.router, "rule", "del", "pref", "1101")
    run("ip", "-n", spoke.router, "route", "flush", "table", "7400", check=False)
    lanes = run("ip", "-n", spoke.router, "-o", "link", "show", "type", "vxlan").splitlines()
    device = lanes[0].split(": ")[1]
    run("ip", "-n", spoke.router, "link", "del", device)
    steps = ("hops", "tunnels")
    until(lambda: all(spoke.show("health")["drifts"].get(s, 0) > before.get(s, 0) for s in steps))
    fleet.wait()
    flow = stream(spoke, fleet.hub)
    flow.for_s(0.3)
    flow.end()
    assert flow.lost == 0


def test_clean_leaves_nothing_of_ours_and_all_of_others(fleet: BareFleet) -> None:
    """Prober, objects, routes, rules and devices go; a rule and an object of others stay."""
    spoke = fleet.spoke
    assert spoke.left()
    run("ip", "-n", spoke.router, "rule", "add", "pref", "500", "fwmark", "0x77", "table", "77")
    run("ip", "-n", spoke.router, "nexthop", "add", "id", "77", "blackhole")
    spoke.stop()
    done = spoke.call("clean")
    assert done.returncode == 0, done.stderr
    assert spoke.left() == ["id 77 blackhole "]
    assert "0x77" in run("ip", "-n", spoke.router, "rule")
    setting = "net.ipv4.nexthop_compat_mode"
    assert run("ip", "netns", "exec", spoke.router, "sysctl", "-n", setting).strip() == "1"
    assert spoke.call("clean").stdout == "there was nothing of ours\n"
