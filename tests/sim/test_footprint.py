"""Estimates of memory: what a run is made of, and when it is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.sim import footprint as module
from patronus.sim.footprint import Memory, RoomError, footprint, free, shared
from patronus.sim.language import parse
from patronus.sim.topology import build
from patronus.sim.traffic import demands
from tests.bench.memory import CASES, CRASH, CUT, Case
from tests.scenarios.catalogue import NAMES, shipped

MESH = Case(100)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_estimates_are_near_what_was_measured(case: Case) -> None:
    """Within a tenth of the truth, a third above it where a hub dies, never far below."""
    need = footprint(parse(case.text())).needed / module.MB
    most = 1.3 if case.fault == CRASH else 1.1
    assert 0.93 * case.peak_mb <= need <= most * case.peak_mb


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_the_network(name: str) -> None:
    """Sites, tunnels and entries are what is built; where geography decides, near it."""
    scenario = shipped(name)
    told, network = footprint(scenario), build(scenario, scenario.seed)
    overlay = network.overlay
    assert told.sites == len(overlay.sites)
    classes = len(scenario.policy.classes)
    assert told.entries == len(overlay.sites) * len(overlay.destinations) * classes
    assert overlay.rows == pytest.approx(told.tunnels, rel=0.1)
    seconds = -(-scenario.duration_ns // 10**9)
    flows = len(demands(scenario, network, scenario.seed).site)
    assert flows <= told.flow_seconds // seconds <= 3 * flows


@settings(max_examples=20)
@given(more=st.integers(1, 50), sites=st.integers(10, 300))
def test_more_of_anything_needs_no_less(more: int, sites: int) -> None:
    """Sites, seconds, peers: none of them makes a run smaller."""
    base = Case(sites)
    need = footprint(parse(base.text())).needed
    for grown in (
        base._replace(sites=sites + more),
        base._replace(seconds=3 + more),
        base._replace(peers=1 + more),
    ):
        assert footprint(parse(grown.text())).needed >= need


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        (CUT % "site1", 2 / 100),
        (CUT % "all", 1),
        ("{kind: blackhole, at: 1s, on: {site: all, transport: mpls, mode: one}}", 2 / 100),
        ("{kind: blackhole, at: 1s, on: {site: 'site9*', transport: mpls}}", 22 / 100),
        ("{kind: shared-risk-cut, at: 1s, for: 1s, on: {group: cut}}", 4 / 100),
        ("{kind: provider-outage, at: 1s, for: 1s, on: {provider: mpls}}", 1 / 2),
        ("{kind: link-down, at: 1s, for: 9ms, every: 500ms, times: 3, on: {site: site1}}", 6 / 100),
        ("{kind: link-down, at: 1s, for: 9ms, every: 500ms, on: {site: site1}}", 10 / 100),
        ("{kind: flapping, at: 1s, for: 1s, up: 300ms, down: 200ms, on: {site: site1}}", 6 / 100),
    ],
)  # fmt: skip
def test_faults_expose_a_share(fault: str, share: float) -> None:
    """What faults harm is the entries about the sites that they hit, once each time."""
    need = footprint(parse(MESH._replace(fault=fault).text()))
    assert need.exposures == pytest.approx(share * need.entries, abs=1)


def test_what_does_not_fit_is_refused() -> None:
    """The message has the estimate, what is free, and what would need less."""
    scenario = parse(Case(1000, seconds=60).text())
    Memory(3 * 10**9).check([scenario])
    with pytest.raises(RoomError) as caught:
        Memory(10**9, at_once=2).check([scenario])
    assert str(caught.value) == (
        "scenario: 1,000 sites with 1,998,000 tunnels need about 2.8 GB of memory, and 1.0 GB are "
        "free for each of 2 runs at a time; fewer jobs, sites or classes need less"
    )


def test_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of what the machine and the control groups leave, shared by runs at a time."""
    assert 0 < free() < 2**50
    assert shared(4).each <= free() // 2
    monkeypatch.setattr(module, "_GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    before = free()
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert free() == 4_000_000 < before
    (tmp_path / "memory.current").write_text("6000000\n")
    assert free() == 0
