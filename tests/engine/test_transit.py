"""Ways through other sites that came to break an SLA: none is missed, none is made up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.transit import TransitWatch
from tests.engine.scene import CASES, Case, Scene
from tests.mutants.harness import caught
from tests.oracles.steering import COMPLIANT, add, judge


def watched(kind: type[TransitWatch], case: Case, some: set[int]) -> None:
    """Compare what fell with the verdict of each way in use."""
    scene = Scene(case)
    parts, homes = scene.parts, scene.plan.homes
    parts.steering.tier[:] = scene.some([0, 1, 2], scene.space.entries)
    watch = kind(
        parts.steering,
        configured=parts.configured,
        tunnels=parts.tunnels,
        ranking=parts.ranking,
        knowledge=parts.knowledge,
    )
    sites = sorted(s for s in some if s < scene.plan.sites)
    fallen = watch.fallen(np.array(sites, dtype=np.int64)).tolist()
    assert fallen == sorted(set(fallen))
    must: set[int] = set()
    may: set[int] = set()
    for number, entry in scene.entries():
        row, pair = int(parts.steering.wanted.rows[number, 0]), number // scene.space.classes
        tunnel = scene.known(entry.site).tunnels.get(row)
        features = scene.policy(entry.site).features
        if tunnel is None or tunnel.end in homes(entry.destination) or entry.site not in sites:
            continue
        if tunnel.end not in scene.plan.transit or not (features.sla and features.transit):
            continue
        offer = scene.known(entry.site).offers.get((tunnel.end, entry.destination, entry.number))
        if offer is None:
            may.add(pair)  # it is no way any more, which is found out elsewhere
            continue
        sla = scene.policy(entry.site).classes[entry.number].sla
        whole = judge(add(tunnel.told, offer.figures), sla)
        tier = max(whole, tunnel.verdicts[entry.number], offer.verdict)
        if tier > parts.steering.tier[number]:
            (must if whole > COMPLIANT else may).add(pair)
    assert must <= set(fallen) <= must | may


@settings(max_examples=120)
@given(CASES, st.sets(st.integers(0, 4), min_size=1))
def test_each_way_that_fell_is_found(case: Case, some: set[int]) -> None:
    """Whatever worst destination is asked first: a way whose sum breaks the SLA is reported."""
    watched(TransitWatch, case, some)


class Blind(TransitWatch):
    """Suspects no tunnel."""

    def _suspects(self, sites: np.ndarray, sla: object, number: int) -> np.ndarray:
        return np.zeros(0, dtype=np.int64)


class Rash(TransitWatch):
    """Takes every way for broken."""

    def _tier(self, entries: np.ndarray, sla: object, number: int) -> np.ndarray:
        return np.full(len(entries), 3, dtype=np.int8)


@pytest.mark.parametrize("kind", [Blind, Rash])
def test_the_property_catches_a_watch_that_is_blind_or_rash(kind: type[TransitWatch]) -> None:
    """One that misses ways, or reports good ones, is noticed."""
    assert caught(CASES, lambda case: watched(kind, case, {0, 1, 2, 3, 4}))
