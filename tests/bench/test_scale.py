"""The benchmarks in small: that they measure what they say, and compare like with like.

``patronus bench`` and ``python -m tests.bench.scale`` (``make bench-scale``) run the large ones.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from patronus.control.benchmarks import lines_of, machine_lines
from patronus.engine.units import SECOND
from patronus.sim.api import make_world
from patronus.sim.benchmarks.cases import FULL, SMALL, Case
from patronus.sim.benchmarks.machine import machine
from patronus.sim.benchmarks.measures import case_record, search_record
from patronus.sim.benchmarks.packets import ns_pace
from patronus.sim.benchmarks.peer import Peer, pace, subset
from patronus.sim.benchmarks.spread import Spread
from patronus.sim.benchmarks.whole import CommandError, run
from patronus.sim.language import load
from patronus.sim.scenario import Scenario

TINY = Case(
    "tiny", "6 sites behind 2 hubs", 4, "{mesh: hub-and-spoke, sites: 6, hubs: 2}",
    "{name: hub, kind: site-crash, at: 1s, on: {site: hub1}}",
    peer_tunnels=9, peer_s=8,
)  # fmt: skip


def scenario_of(case: Case, folder: Path) -> Scenario:
    """Return the scenario of a case."""
    file = folder / "s.patronus.yml"
    file.write_text(case.text(), encoding="utf-8")
    return load(str(file))


def test_a_tiny_case_is_measured_beside_its_peers() -> None:
    """Counts, speeds and memory of the command, and of both peers in proportion to their part."""
    record = json.loads(json.dumps(case_record(TINY, 1), allow_nan=False))
    assert record["missing"] == []
    assert record["peak_mb"] > 20
    assert record["probes_per_s"] == pytest.approx(record["probes"] / record["wall_s"]["median"])
    assert record["packets_per_s"] * record["wall_s"]["median"] == pytest.approx(
        2 * record["probes"] - record["probes_lost"]
    )
    for peer in record["peers"].values():
        assert (peer["tunnels"], peer["simulated_s"]) == (10, 8)
        share = record["tunnels"] / 10 * record["simulated_s"] / 8
        assert peer["extrapolated_s"] == pytest.approx(peer["wall_s"]["median"] * share)
        times = peer["extrapolated_s"] / record["wall_s"]["median"]
        assert peer["times"] == pytest.approx(times)
        # 10 probes a second on each tunnel.
        assert 780 <= peer["probes"] <= 810
    told = "\n".join(lines_of(record))
    assert f"{record['probes']:,} probes" in told
    assert "plain SimPy" in told


def test_what_has_nothing_to_show_gets_no_ratio() -> None:
    """A run without decisions is not compared, however quick it was."""
    calm = TINY._replace(fault="{name: hub, kind: site-crash, at: 1s, for: 1ns, on: {site: hub1}}")
    record = case_record(calm, 1)
    assert record["missing"] == ["decisions"]
    assert [peer["times"] for peer in record["peers"].values()] == [None, None]
    assert "not compared: no decisions" in "\n".join(lines_of(record))


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    """A scenario that cannot be run ends with the last words of the command, not with a time."""
    broken = TINY._replace(fault="{kind: site-crash, at: 1s, on: {site: nowhere}}")
    with pytest.raises(CommandError, match=r"(?s)ended with 2.*nowhere"):
        run(broken, tmp_path)


def test_a_case_too_large_for_the_machine_is_not_begun() -> None:
    """It is told what it needs and what is free, in place of any figure."""
    huge = TINY._replace(topology="{mesh: full-mesh, sites: 10000, hubs: 2}")
    record = case_record(huge, 1)
    assert record["not_run"].startswith("10,000 sites with ")
    assert "GB are free" in record["not_run"]
    assert set(record) == {"measure", "case", "about", "not_run"}
    assert "  not run: 10,000" in "\n".join(lines_of(record))


def test_a_peer_that_is_not_installed_has_no_figures(tmp_path: Path) -> None:
    """Where ``ns.py`` is missing its row says so, and how to get it."""
    some = subset(scenario_of(TINY, tmp_path), 1, 2)
    assert ns_pace(some, 1, package="no-such-simulator") is None
    record = {
        "measure": "case",
        "case": "x",
        "about": "y",
        "sites": 1,
        "tunnels": 1,
        "simulated_s": 1.0,
        "probes": 1,
        "probes_lost": 0,
        "decisions": 0,
        "peak_mb": 1,
        "wall_s": Spread((1.0,)).record(),
        "bar_s": None,
        "bar_mb": None,
        "missing": [],
        "probes_per_s": 1.0,
        "packets_per_s": 1.0,
        "x_real_time": 1.0,
        "peers": {"ns.py": {"status": "not installed"}},
    }
    row = lines_of(record)[-1].split(maxsplit=1)
    assert row == ["ns.py", "not installed (pip install 'patronus[bench]')"]


def test_ns_py_sends_what_the_tunnels_send(tmp_path: Path) -> None:
    """Of the same tunnels it has as many probes as plain SimPy, and loses about as many."""
    some = subset(scenario_of(SMALL[0], tmp_path), 1, 40)
    plain, packets = pace(some, 10), ns_pace(some, 10)
    assert packets is not None
    assert plain.tunnels == packets.tunnels == 40
    assert abs(packets.sent - plain.sent) <= 2 * 40
    # No faults yet; both lose what shipped lines lose, and what is still under way.
    assert 0 < packets.lost < packets.sent // 20


def test_the_peer_has_the_same_luck(tmp_path: Path) -> None:
    """Of the same tunnels it sends and loses the same probes, and finds the same figures."""
    # Without traffic: the peer knows no queues.
    scenario = replace(scenario_of(TINY, tmp_path), traffic=())
    world, peer = make_world(scenario, 1), Peer(subset(scenario, 1, 1000))
    world.run(SECOND)
    peer.run(SECOND)
    assert len(peer.rows) == world.overlay.rows
    health = world.engine.meters.health
    rows = sorted(peer.rows)
    assert [peer.health[r].srtt_ns for r in rows] == health.srtt_ns.tolist()
    assert [peer.health[r].jitter_x16 for r in rows] == health.jitter_x16.tolist()
    # The peer learns the fate of a probe when it reaches its end.
    under_way = world.prober.sent - peer.sent
    assert 0 <= under_way <= len(rows)
    assert 0 < peer.lost <= world.prober.lost <= peer.lost + under_way


@pytest.mark.parametrize("case", SMALL + FULL, ids=lambda c: c.name)
def test_the_scenarios_are_valid(case: Case, tmp_path: Path) -> None:
    """Each file says what its bar asks for."""
    scenario = scenario_of(case, tmp_path)
    assert [c.name for c in scenario.policy.classes] == ["voice", "video", "default"]
    assert {scenario.policy.profile(t).interval_ns for t in ("mpls", "broadband")} == {SECOND // 10}


def test_path_search_is_compared_on_one_graph() -> None:
    """Both find the same distances; their times stand side by side."""
    record = search_record(30, 2)
    assert record["equal_distances"] is True
    assert record["times"] == pytest.approx(
        record["networkx_wall_s"]["median"] / record["wall_s"]["median"]
    )
    assert "30 nodes, 60 links, equal distances" in lines_of(record)[0]


def test_the_machine_is_described() -> None:
    """Processor, cores, Python and libraries; where the system says nothing, nothing is made up."""
    facts = machine()
    told = "\n".join(machine_lines(facts))
    assert facts["python"] in told
    assert f"simpy {facts['libraries']['simpy']}" in told


def test_the_median_of_several_measurements() -> None:
    """The middle one, with the least, the greatest and all of them."""
    spread = Spread((3.0, 1.0, 2.5))
    assert spread.record() == {"median": 2.5, "min": 1.0, "max": 3.0, "values": [3.0, 1.0, 2.5]}
