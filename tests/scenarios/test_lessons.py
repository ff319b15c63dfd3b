"""What running the scenarios taught: each case was once decided or measured wrongly."""

from pathlib import Path

import pandas as pd

from patronus.engine.units import MS, SECOND
from patronus.sim import api
from patronus.sim.run import Run
from tests.scenarios.catalogue import shipped

LINES = "{profile: mpls, up: {loss: 0%}, down: {loss: 0%}}"


def run(folder: Path, text: str) -> Run:
    """Run a scenario of two lines without loss; ``text`` says the rest."""
    file = folder / "case.patronus.yml"
    file.write_text(
        f"version: 1\ntransports: {{red: {LINES}, blue: {LINES}}}\n{text}", encoding="utf-8"
    )
    return api.run(api.load(file))


def moves(done: Run, site: str, destination: str) -> pd.DataFrame:
    """Return the decisions of a pair."""
    frame = done.decisions
    return frame[(frame["site"] == site) & (frame["destination"] == destination)]


def lost(done: Run, site: str, since_s: int, until_s: int) -> int:
    """Return the packets of the comb that a site lost in a time."""
    frame = done.series
    when = (frame["t_ns"] >= since_s * SECOND) & (frame["t_ns"] < until_s * SECOND)
    return int(frame.loc[when & (frame["site"] == site), "lost"].sum())


HUB_LINE = """
topology: {mesh: hub-and-spoke, sites: 4, hubs: 2}
duration: 20s
classes: {all: {sla: {loss: 1%}, prefer: red}}
traffic: [{class: all, from: spoke1, to: spoke2, rate: 400kbps, packet: 100B}]
"""


def test_a_transit_site_drops_nothing_that_it_was_sent(tmp_path: Path) -> None:
    """A hub whose own lines to a branch are lossy still forwards what others send through it.

    It once took the other hub for itself and thus dropped the rest: a packet that came from
    a tunnel may leave on a direct one only.
    """
    pairs = ["hub1, to: spoke1", "hub1, to: spoke2", "hub2, to: spoke1", "hub2, to: spoke2"]
    ways = [
        f"{{from: {pair}, delay: {ms}ms}}" for pair, ms in zip(pairs, (5, 5, 9, 9), strict=True)
    ]
    topology = f"""
topology:
  mesh: hub-and-spoke
  sites: [{{name: hub1, hub: on}}, {{name: hub2, hub: on}}, spoke1, spoke2]
  delays: [{", ".join(ways)}, {{from: hub1, to: hub2, delay: 5ms}}]
"""
    fault = "{kind: loss, loss: 4%, at: 5s, on: {link: ['red:hub1-spoke2', 'blue:hub1-spoke2']}}"
    rest = HUB_LINE.partition("hubs: 2}")[2]
    done = run(tmp_path, f"{topology}{rest}faults: [{fault}]\n")
    # A second at 4 % would be 4 packets; the hole lasted for seconds and took all of them.
    assert lost(done, "spoke1", 5, 20) < 100


def test_nobody_seeks_a_way_to_himself(tmp_path: Path) -> None:
    """What a site announces itself has no path, also when others transit for it."""
    done = run(tmp_path, f"{HUB_LINE}faults: [{{kind: site-crash, at: 5s, on: {{site: hub1}}}}]\n")
    assert len(done.decisions)
    assert not (done.decisions["site"] == done.decisions["destination"]).any()
    assert not (done.failovers["site"] == done.failovers["destination"]).any()


def test_a_move_further_on_saves_an_exposure(tmp_path: Path) -> None:
    """What goes through a hub is saved when the hub leaves the dead line."""
    fault = "{kind: blackhole, at: 5s, on: {site: spoke2, transport: red}}"
    done = run(tmp_path, f"{HUB_LINE}faults: [{fault}]\n")
    far = done.failovers[done.failovers["site"] == "spoke1"]
    assert len(far) == 1
    assert far["switch_ns"].max() < SECOND // 2


def test_a_good_line_is_used_again_after_its_hold(tmp_path: Path) -> None:
    """What was lost in an outage is not held against the line after its repair."""
    fault = "{kind: blackhole, at: 4s, for: 4s, on: {site: spoke1, transport: red}}"
    done = run(
        tmp_path,
        f"{HUB_LINE}  # from a branch to a hub\ndestinations: {{}}\nfaults: [{fault}]\n".replace(
            "to: spoke2", "to: hub1"
        ),
    )
    back = moves(done, "spoke1", "hub1").iloc[-1]
    assert back["reason"] == "returned"
    # Heard again at 8.1 s, held for 4 s, and up to a second until its turn.
    assert back["t_ns"] <= 13_200_000_000
    assert done.detections[done.detections["fault"] == ""].empty


def test_a_line_in_its_hold_is_better_than_none(tmp_path: Path) -> None:
    """When the other line dies, one that is held for its flaps carries traffic at once."""
    flap = (
        "{kind: flapping, up: 7s, down: 1s, at: 2s, for: 10s, on: {site: spoke1, transport: red}}"
    )
    dark = "{kind: blackhole, at: 15s, on: {site: spoke1, transport: blue}}"
    done = run(tmp_path, f"{HUB_LINE}faults:\n  - {flap}\n  - {dark}\n")
    frame = done.failovers
    late = frame[(frame["fault"] == "blackhole-1#0") & (frame["site"] == "spoke1")]
    assert len(late)
    assert late["outage_ns"].max() <= SECOND // 2


def test_each_tunnel_of_a_storm_harms_at_its_turn() -> None:
    """Whoever uses a tunnel when it falls mute is exposed then, not when the storm began."""
    frame = api.run(shipped("rekey-storm")).failovers
    assert set(frame["t0_ns"] % SECOND) == {0}
    # The eight tunnels take their turns from 10 s on; the four that are preferred carry.
    assert frame["t0_ns"].nunique() >= 4
    assert frame["t0_ns"].between(10 * SECOND, 17 * SECOND).all()
    own = frame[frame["path_before"] == "mpls>" + frame["destination"].astype(str)]
    times, sites, ends = (own[column].tolist() for column in ("t0_ns", "site", "destination"))
    hit = {(t0, *sorted(pair)) for t0, *pair in zip(times, sites, ends, strict=True)}
    assert len(hit) == own["t0_ns"].nunique()
    assert (own["detection_ns"].between(0, 400 * MS)).all()


def test_an_agent_that_comes_back_tends_what_its_kernel_did() -> None:
    """Traffic returns to the line that died and came back while the agent was dead."""
    done = api.run(shipped("agent-killed"))
    assert list(moves(done, "spoke1", "hub1")["reason"]) == [
        "kernel_moved", "liveness_down", "returned",
    ]  # fmt: skip


def test_an_agent_that_comes_back_hears_what_still_holds() -> None:
    """Paths through a hub are taken again although the hub has nothing new to say."""
    done = api.run(shipped("agent-paused"))
    through = moves(done, "spoke1", "*")
    assert through.iloc[-1]["reason"] == "returned"
