"""One engine that holds many sites decides as one engine a site does, told by bytes alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from patronus.engine.announcement import Announcement, decode
from patronus.engine.knowledge import Knowledge, News
from patronus.engine.liveness import State
from patronus.engine.overlay import I64, Overlay, alone
from patronus.engine.selection import Bools
from patronus.engine.tunnels import Tunnels
from patronus.engine.units import NEVER, SECOND
from patronus.sim.scenario import Mesh, Scenario
from patronus.sim.world import World
from tests.engine.alone import Hermits
from tests.engine.fleet import Fleet
from tests.scenarios.catalogue import shipped
from tests.short import short
from tests.sim.storms import STORMS, calm

SHIPPED = {
    "agent-killed": 15, "agent-paused": 13, "cable-cut-rerouted": 13, "clock-jump": 13,
    "controller-partition": 22, "dual-isp-blackout": 12, "flapping-lte": 13,
    "half-applied-config": 13, "hub-lan-loss": 14, "hub-loss": 13, "mtu-blackhole": 13,
    "provider-outage": 12, "rekey-storm": 13, "rolling-maintenance": 12, "shared-risk-cut": 13,
    "stale-transit": 17, "transit-rescue": 15,
}  # fmt: skip
"""Scenarios, and the second by which their faults have done what they do."""

SMALL = (("agents", Mesh.FULL), ("plans", Mesh.PARTIAL), ("cuts", Mesh.REGIONAL))
"""Storms of many faults, each on another kind of overlay."""


class Poisoned(Fleet):
    """Its sites' own engines hold rubbish in place of all that is other sites'."""

    poisoned = True


def lived(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
    kind: type[Fleet] = Fleet,
    until_ns: int = NEVER,
) -> Fleet:
    """Run a world with a fleet in place of its engine; it compares with every step."""
    monkeypatch.setattr("patronus.sim.world.Engine", kind)
    world = World(scenario, 1)
    world.run(until_ns=until_ns)
    fleet: Any = world.engine
    assert isinstance(fleet, Fleet)
    return fleet


@pytest.mark.parametrize("name", short(SHIPPED, 3))
@pytest.mark.no_cover
def test_a_shipped_scenario_is_decided_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals, wishes and announcements are equal, byte by byte, at each step."""
    fleet = lived(monkeypatch, shipped(name), until_ns=SHIPPED[name] * SECOND)
    assert fleet.compared > 0


@pytest.mark.parametrize(("storm", "mesh"), SMALL)
def test_a_storm_is_decided_alike(storm: str, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """So are those of small overlays of other kinds in which much goes wrong at once."""
    assert lived(monkeypatch, calm(*STORMS[storm], mesh=mesh)).compared > 40


@pytest.mark.parametrize(("storm", "mesh"), SMALL[:2])
@pytest.mark.no_cover
def test_rubbish_in_the_rows_of_others_changes_nothing(
    storm: str, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site's own engine decides the same whatever its arrays hold of other sites."""
    scenario = calm(*STORMS[storm], mesh=mesh, sites=6)
    assert lived(monkeypatch, scenario, Poisoned).compared > 40


LONELY = ("agent-paused", "half-applied-config", "hub-loss", "stale-transit", "transit-rescue")


@pytest.mark.parametrize("name", LONELY)
@pytest.mark.no_cover
def test_an_engine_that_holds_one_site_decides_alike(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Routers hold no rows but their own, number everything anew, and decide the same."""
    assert lived(monkeypatch, shipped(name), Hermits, SHIPPED[name] * SECOND).compared > 0


@pytest.mark.parametrize(("storm", "mesh"), SMALL)
@pytest.mark.no_cover
def test_lonely_engines_decide_alike_in_a_storm(
    storm: str, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do they on small overlays of other kinds in which much goes wrong at once."""
    assert lived(monkeypatch, calm(*STORMS[storm], mesh=mesh), Hermits).compared > 40


@pytest.mark.no_cover
def test_routers_that_order_each_other_differently_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Transit sites wait for each other in one order; an order of each one's own shows."""

    def own_order(overlay: Overlay, site: int) -> Overlay:
        mine = alone(overlay, site)
        return replace(mine, rank=np.arange(len(mine.sites), dtype=np.int32))

    monkeypatch.setattr("tests.engine.alone.alone", own_order)
    with pytest.raises(AssertionError):
        lived(monkeypatch, shipped("stale-transit"), Hermits, SHIPPED["stale-transit"] * SECOND)


# ------------------------------------------------------------ what such a comparison is worth


def everybody_hears(real: Callable[..., list[News]]) -> Callable[..., list[News]]:
    """Break the knowledge: what one site receives all sites know."""

    def receive(self: Knowledge, observers: I64, told: Announcement, now_ns: int) -> list[News]:
        return real(self, np.arange(len(self.held)) if len(observers) else observers, told, now_ns)

    return receive


def all_rise(real: Callable[..., I64]) -> Callable[..., I64]:
    """Break the holds: they end at any site's evaluation."""

    def rise(self: Tunnels, rows: I64, now_ns: int) -> I64:
        return real(self, np.arange(len(self.state)), now_ns)

    return rise


def last_site_knows(real: Callable[..., Bools]) -> Callable[..., Bools]:
    """Break what is believed: all ask what the last site has heard."""

    def announces(self: Knowledge, observers: I64, sites: I64, destinations: I64) -> Bools:
        return real(self, np.full_like(observers, len(self.held) - 1), sites, destinations)

    return announces


def both_ends_count(real: Callable[..., I64]) -> Callable[..., I64]:
    """Break the holds: a tunnel waits until its other end, at another site, is heard, too."""

    def rise(self: Tunnels, rows: I64, now_ns: int) -> I64:
        heard = self.state >= State.INIT
        return real(self, rows[np.roll(heard, 5)[rows]], now_ns)

    return rise


@pytest.mark.parametrize(
    ("owner", "verb", "broken", "scenario"),
    [
        (Knowledge, "receive", everybody_hears, "controller-partition"),
        (Tunnels, "rise", all_rise, "hub-loss"),
        (Knowledge, "announces", last_site_knows, "hub-lan-loss"),
    ],
)
@pytest.mark.no_cover
def test_sites_that_share_what_they_know_are_noticed(
    owner: type, verb: str, broken: Any, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine in which sites know of each other without being told fails the comparison."""
    monkeypatch.setattr(owner, verb, broken(getattr(owner, verb)))
    with pytest.raises(AssertionError):
        lived(monkeypatch, shipped(scenario), until_ns=SHIPPED[scenario] * SECOND)


@pytest.mark.no_cover
def test_a_look_at_the_rows_of_others_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rubbish makes visible what equal journals alone may hide."""
    monkeypatch.setattr(Tunnels, "rise", both_ends_count(Tunnels.rise))
    with pytest.raises(AssertionError):
        lived(monkeypatch, calm(*STORMS["cuts"], sites=6), Poisoned)


@pytest.mark.no_cover
def test_words_that_change_on_the_way_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What travels is what was encoded: bytes that lose something fail the comparison."""

    def forgetful(letter: bytes) -> Announcement:
        told = decode(letter)
        told.usable[:] = False
        return told

    monkeypatch.setattr("tests.engine.fleet.decode", forgetful)
    with pytest.raises(AssertionError):
        lived(monkeypatch, shipped("transit-rescue"))
