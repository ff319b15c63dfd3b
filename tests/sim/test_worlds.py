"""Small whole worlds: each feature of a policy and each planned event does what it says."""

from collections import Counter

import pytest

from patronus.engine.units import SECOND
from patronus.sim import Run, run
from patronus.sim.language import parse
from patronus.sim.topology import build

HUBS = """
version: 1
name: two-hubs
duration: 12s
topology: {mesh: hub-and-spoke, sites: 5, hubs: 2}
transports: [mpls, broadband]
destinations: {internet: [hub1, hub2]}
traffic: [{class: voice, from: spokes, to: internet, rate: 64kbps, packet: 200B}]
"""

MESH = """
version: 1
name: mesh
duration: 12s
topology: {mesh: full-mesh, sites: [a, b, c]}
transports: [mpls, broadband]
traffic: [{class: voice, from: "*", to: "*", rate: 64kbps, packet: 200B}]
"""

VOICE = "classes: {voice: {match: [{dscp: ef}], sla: {latency: 150ms}, prefer: [mpls]}, rest: {}}\n"

CUT = (
    "faults: [{{name: cut, kind: blackhole, at: 3s, for: 4s,"
    " on: {{site: {site}, transport: mpls}}}}]"
)


def rehearse(text: str, *more: str, seed: int = 1) -> Run:
    """Run a scenario made of parts."""
    return run(parse("\n".join([text, *more])), seed=seed)


def reasons(done: Run, **where: str) -> Counter[str]:
    """Count the reasons of the decisions of some site, destination or class."""
    frame = done.decisions
    for column, value in where.items():
        frame = frame[frame[column.rstrip("_")] == value]
    return Counter(frame["reason"])


def voice_loss(done: Run) -> float:
    """Return the share of voice packets lost."""
    flows = done.series[done.series["class"] == "voice"]
    return float(flows["lost"].sum() / flows["offered"].sum())


def test_calm_weather_changes_nothing_that_prefers() -> None:
    """Without a fault no voice packet's path moves."""
    done = rehearse(MESH, VOICE)
    assert done.summary["converged"]
    assert not reasons(done, class_="voice")
    assert voice_loss(done) < 0.001


def test_a_dead_lan_sends_traffic_to_the_other_hub() -> None:
    """The withdrawal travels by announcement, and comes back after the fault."""
    fault = "faults: [{name: lan, kind: lan-down, at: 3s, for: 4s, on: {site: hub1}}]"
    done = rehearse(HUBS, VOICE, fault)
    assert reasons(done, destination="internet")["withdrawn"] > 0
    moved = done.failovers[done.failovers.destination == "internet"]
    assert len(moved) > 0
    # Announcements take at most 60 ms, the dataplane 0.3 ms.
    assert moved.failover_ns.max() <= 61_000_000
    assert (done.series[done.series.t_ns >= 5 * SECOND].lost == 0).mean() > 0.9


ALONE = """
version: 1
name: alone
duration: 8s
topology: {mesh: full-mesh, sites: [a, b]}
transports:
  broadband: {up: {loss: 0%, burst: none}, down: {loss: 0%, burst: none}, core: {loss: 0%}}
classes: {rest: {sla: {loss: 3%}, when_none: drop}}
traffic: [{class: rest, from: all, to: all, rate: 400kbps, packet: 200B}]
faults:
  - {name: deaf, kind: blackhole, at: 2s, for: 600ms,
     on: {site: b, transport: broadband, direction: in}}
"""


@pytest.mark.parametrize(("brownout", "first"), [("on", "brownout"), ("off", "no_path")])
def test_a_cut_that_is_noticed_twice_is_one_flap(brownout: str, first: str) -> None:
    """What an alarm or an evaluation finds before the silence is no other story than silence alone.

    Heard again by 2.8 s, they prove themselves for twice 1 s, to the evaluation at 5 s.
    """
    done = rehearse(
        ALONE,
        f"policy: {{evaluation: 500ms, damping: {{hold: 1s}}, features: {{brownout: {brownout}}},"
        " liveness: {broadband: {interval: 100ms, multiplier: 5}}}",
    )
    assert reasons(done, site="a") == {first: 1, "start": 1}
    assert reasons(done, site="b") == {"liveness_down": 1, "start": 1}
    back = done.decisions[done.decisions.reason == "start"]
    assert back.t_ns.tolist() == [5 * SECOND] * 2


def test_a_crashed_hub_is_left_for_the_other_one() -> None:
    """Backups end at another hub, so three intervals and a little are enough."""
    fault = "faults: [{name: crash, kind: site-crash, at: 3s, for: 5s, on: {site: hub1}}]"
    done = rehearse(HUBS, VOICE, fault)
    assert done.failovers.switch_ns.max() < 600_000_000
    assert set(done.failovers.moved_by) <= {"kernel", "engine"}


@pytest.mark.parametrize("seed", range(1, 5))
def test_hubs_do_not_choose_each_other_when_a_branch_dies(seed: int) -> None:
    """Each has lost its own tunnels and has not heard yet that the other one has, too."""
    fault = "faults: [{name: crash, kind: site-crash, at: 3s, for: 5s, on: {site: spoke1}}]"
    traffic = HUBS.replace("from: spokes, to: internet", 'from: "*", to: "*"')
    done = rehearse(traffic, VOICE, fault, seed=seed)
    assert done.summary["checks"]["loops"] == 0
    moves = done.decisions[done.decisions.destination == "spoke1"]
    assert not moves[moves.site == "hub2"]["to"].str.contains("hub1").any()


RESCUE = """
version: 1
name: rescue
duration: 8s
topology:
  mesh: pairs
  sites: [{name: hub1, hub: on}, {name: hub2, hub: on}, leaf]
  pairs: [[hub1, hub2], [hub1, leaf], [hub2, leaf]]
transports: {mpls: {provider: mesh}, broadband: {provider: mesh}}
traffic: [{class: default, from: "*", to: "*", rate: 64kbps, packet: 200B}]
"""


def between(text: str, one: str, other: str) -> str:
    """Return the names of the carriers' links between two sites."""
    scenario = parse(text)
    network = build(scenario, scenario.seed)
    sites = [network.overlay.site_index[s] for s in (one, other)]
    names = []
    for number, transport in enumerate(network.overlay.transports):
        ends = sorted(network.underlay.pop[sites, number].tolist())
        here, there = (network.underlay.providers[number].nodes[e] for e in ends)
        names.append(f'"{transport}:{here}-{there}"')
    return ", ".join(names)


@pytest.mark.parametrize(("hub", "within_s"), [("hub1", 0.5), ("hub2", 2.1)])
def test_a_hub_that_alone_lost_a_branch_goes_through_the_other(hub: str, within_s: float) -> None:
    """The first does so at once; the second when its tunnels have been down for half a second."""
    links = between(RESCUE, hub, "leaf")
    fault = f"faults: [{{name: cut, kind: blackhole, at: 3s, on: {{link: [{links}]}}}}]"
    done = rehearse(RESCUE, fault)
    cut = done.failovers[(done.failovers.site == hub) & (done.failovers.destination == "leaf")]
    assert len(cut) > 0
    # Seen after 0.3 s and a little; a site's turn comes once a second.
    assert cut.failover_ns.between(1, within_s * SECOND).all()
    assert done.summary["checks"]["loops"] == 0


def test_a_dead_access_link_is_left_at_once_by_its_own_site() -> None:
    """Loss of carrier needs no silence: the site's own exposures switch within a millisecond."""
    fault = (
        "faults: [{name: unplugged, kind: link-down, at: 3s, for: 3s,"
        " on: {site: a, transport: mpls}}]"
    )
    done = rehearse(MESH, VOICE, fault)
    own = done.failovers[done.failovers.site == "a"]
    assert len(own) > 0
    assert own.switch_ns.max() < 1_000_000
    assert reasons(done, site="a")["carrier_lost"] > 0
    assert done.failovers[done.failovers.site == "b"].switch_ns.min() > 100_000_000


def test_a_drained_transport_loses_nothing() -> None:
    """Traffic leaves before the link does, and returns after."""
    faults = """
faults:
  - {name: drain, kind: drain, at: 2s, for: 8s, on: {site: a, transport: mpls}}
  - {name: work, kind: link-down, at: 3s, for: 1s, on: {site: a, transport: mpls}}
"""
    done = rehearse(MESH, VOICE, faults)
    told = reasons(done)
    assert told["drained"] > 0
    assert done.decisions[done.decisions.reason == "returned"].t_ns.min() >= 10 * SECOND
    assert len(done.failovers[done.failovers.fault == "work#0"]) == 0
    assert voice_loss(done) < 0.005


@pytest.mark.parametrize("kind", ["agent-kill", "agent-pause"])
def test_the_kernel_fails_over_without_its_agent(kind: str) -> None:
    """The agent is away when the link goes black; packets move all the same."""
    faults = f"""
faults:
  - {{name: away, kind: {kind}, at: 2s, for: 5s, on: {{site: a}}}}
  - {{name: cut, kind: blackhole, at: 4s, for: 2s, on: {{site: a, transport: mpls}}}}
"""
    done = rehearse(MESH, VOICE, faults)
    own = done.failovers[(done.failovers.site == "a") & (done.failovers.fault == "cut#0")]
    assert len(own) > 0
    assert set(own.moved_by) == {"kernel"}
    assert own.switch_ns.max() < 500_000_000
    assert reasons(done, site="a")["kernel_moved"] > 0


def test_a_half_applied_policy_moves_its_site_alone() -> None:
    """One site prefers broadband for a while; nobody else does."""
    fault = """
faults:
  - name: rollout
    kind: half-applied-config
    at: 3s
    for: 4s
    on: {site: a}
    policy: {classes: {voice: {prefer: [broadband]}}}
"""
    done = rehearse(MESH, VOICE, fault)
    assert reasons(done, site="a")["policy_changed"] > 0
    assert not reasons(done, site="b")["policy_changed"]
    voice = done.decisions[(done.decisions.site == "a") & (done.decisions["class"] == "voice")]
    assert voice["to"].iloc[0].startswith("broadband>")
    assert voice["to"].iloc[-1].startswith("mpls>")


def test_shares_follow_their_weights() -> None:
    """A class that shares uses both transports at once over many pairs."""
    text = """
version: 1
name: shares
duration: 2s
topology: {mesh: full-mesh, sites: 12}
transports: [mpls, broadband]
classes: {bulk: {share: {mpls: 1, broadband: 1}}}
traffic: [{class: bulk, from: "*", to: "*", rate: 64kbps}]
"""
    done = rehearse(text)
    paths = Counter(path.split(">")[0] for path in done.series.path)
    share = paths["mpls"] / (paths["mpls"] + paths["broadband"])
    # 132 pairs: within three standard deviations of one half.
    assert 0.37 < share < 0.63


@pytest.mark.parametrize(
    ("when_none", "reason"), [("best", "sla_violated"), ("stay", None), ("drop", "no_path")]
)
def test_what_a_class_does_when_nothing_complies(when_none: str, reason: str | None) -> None:
    """Best takes the better of two bad paths, stay does not move, drop sends nothing."""
    text = f"""
classes:
  voice:
    match: [{{dscp: ef}}]
    sla: {{latency: 100ms}}
    prefer: [mpls]
    when_none: {when_none}
  rest: {{}}
faults:
  - {{name: slow, kind: delay, at: 3s, delay: 200ms, on: {{site: a, transport: mpls}}}}
  - {{name: slower, kind: delay, at: 3s, delay: 80ms, on: {{site: a, transport: broadband}}}}
"""
    done = rehearse(MESH, text)
    told = reasons(done, site="a", class_="voice")
    if reason is None:
        assert not told
    else:
        assert sum(told.values()) > 0
    if when_none == "drop":
        assert voice_loss(done) > 0.2
    if when_none == "best":
        last = done.decisions[(done.decisions.site == "a") & (done.decisions["class"] == "voice")]
        assert last["to"].iloc[-1].startswith("broadband>")


@pytest.mark.parametrize(
    "feature", ["backups", "kernel_failover", "brownout", "damping", "hysteresis", "sla", "transit"]
)
def test_a_feature_can_be_switched_off(feature: str) -> None:
    """The run without it is another one, and still ends with traffic flowing."""
    fault = CUT.format(site="spoke1")
    done = rehearse(HUBS, VOICE, f"policy: {{features: {{{feature}: off}}}}", fault)
    assert done.summary["converged"]
    last = done.series[done.series.t_ns == 11 * SECOND]
    assert last.lost.sum() == 0


def test_without_backups_traffic_waits_for_the_next_evaluation() -> None:
    """The kernel has nowhere to go, so the failover takes up to an interval longer."""
    fault = CUT.format(site="a")
    with_them = rehearse(MESH, VOICE, fault)
    without = rehearse(MESH, VOICE, "policy: {features: {backups: off}}", fault)
    assert with_them.failovers.switch_ns.max() < 500_000_000
    assert without.failovers.switch_ns.max() > 500_000_000


def test_a_cold_start_is_journalled() -> None:
    """Bring-up is part of the story when nothing is known at the start."""
    done = rehearse(MESH, VOICE, "start: cold")
    assert reasons(done)["start"] > 0


def test_a_class_keeps_off_paths_that_are_too_narrow() -> None:
    """Links say how large packets they take; a class that needs more goes elsewhere."""
    text = """
version: 1
duration: 12s
topology: {sites: 12, mesh: full-mesh}
transports: {mpls: {access: {mtu: 1400}}, broadband: {}}
classes:
  large: {match: {dscp: af11}, sla: {mtu: 1401}, prefer: [mpls]}
  rest: {prefer: [mpls]}
traffic:
  - {class: large, from: "*", to: "*", rate: 64kbps}
  - {class: rest, from: "*", to: "*", rate: 64kbps}
"""
    done = rehearse(text)
    series = done.series
    paths = {(c, p.split(">")[0]) for c, p in zip(series["class"], series.path, strict=True)}
    assert paths == {("large", "broadband"), ("rest", "mpls")}
