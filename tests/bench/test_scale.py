"""The scale bench in small: that it measures what it says, and compares like with like.

``python -m tests.bench.scale`` (``make bench-scale``) runs the cases of the bars.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from patronus.engine.units import SECOND
from patronus.sim.api import make_world
from patronus.sim.language import load
from tests.bench.peer import Peer, pace
from tests.bench.scale import CASES, Case, ratio, run, told

SMALL = Case(
    "small", 4, "{mesh: hub-and-spoke, sites: 6, hubs: 2}",
    "{name: hub, kind: site-crash, at: 1s, on: {site: hub1}}",
    bar_s=3,
)  # fmt: skip


def test_a_small_case_is_measured_and_compared(tmp_path: Path) -> None:
    """The command's counts, its memory and the peer's pace stand in the words on a case."""
    result = run(SMALL, tmp_path)
    assert result.missing() == []
    assert result.peak_mb > 20
    plain = pace(load(str(tmp_path / "small.patronus.yml")), 1, tunnels=9, simulated_s=8)
    assert plain.tunnels == 10
    assert plain.lost > 0
    assert ratio(result, plain) is not None
    assert f"{result.summary['counts']['probes']:,} probes" in told(SMALL, [result], plain)


def test_what_has_nothing_to_show_gets_no_ratio(tmp_path: Path) -> None:
    """A run without decisions is not compared, however quick it was."""
    result = run(SMALL, tmp_path)
    result.summary["counts"]["decisions"] = 0
    plain = pace(load(str(tmp_path / "small.patronus.yml")), 1, tunnels=4, simulated_s=1)
    assert ratio(result, plain) is None
    assert "no ratio: no decisions" in told(SMALL, [result], plain)


def test_the_peer_has_the_same_luck(tmp_path: Path) -> None:
    """Of the same tunnels it sends and loses the same probes, and finds the same figures."""
    (tmp_path / "s.patronus.yml").write_text(SMALL.text(), encoding="utf-8")
    # Without traffic: the peer knows no queues.
    scenario = replace(load(str(tmp_path / "s.patronus.yml")), traffic=())
    world, peer = make_world(scenario, 1), Peer(scenario, 1, 1000)
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


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_scenarios_of_the_bars_are_valid(case: Case, tmp_path: Path) -> None:
    """Each file says what its bar asks for."""
    (tmp_path / "s.patronus.yml").write_text(case.text(), encoding="utf-8")
    scenario = load(str(tmp_path / "s.patronus.yml"))
    assert [c.name for c in scenario.policy.classes] == ["voice", "video", "default"]
    assert {scenario.policy.profile(t).interval_ns for t in ("mpls", "broadband")} == {SECOND // 10}
