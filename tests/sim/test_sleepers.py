"""Lazy mode decides what event mode decides, byte for byte."""

from dataclasses import replace

import numpy as np
import pytest

from patronus.engine.units import SECOND
from patronus.sim.sleepers import REASONS, Sleepers
from patronus.sim.world import World
from tests.proof.lazy import both
from tests.short import short
from tests.sim.storms import STORMS
from tests.sim.test_passes import OFTEN, evenly
from tests.sim.test_world import run, told
from tests.sim.weather import KINDS_OF_FAULT, scenario

WEATHER = [scenario(seed, sites=4, duration_ns=6 * SECOND) for seed in range(1, 7)]


def test_random_weather_is_decided_alike() -> None:
    """Random overlays under every kind of fault: equal journals, and many slept and woke."""
    results = [both(drawn) for drawn in WEATHER]
    assert all(result.equal for result in results)
    assert frozenset(KINDS_OF_FAULT) == frozenset().union(*(r.kinds for r in results))
    assert all(result.asleep > 0.05 for result in results)
    assert all(result.woken > 0.2 for result in results)
    for reason in ("loss", "links", "site", "watched"):
        assert sum(result.wakes[reason] for result in results), reason


@pytest.mark.parametrize("storm", short(STORMS, 2))
def test_storms_leave_the_same_frames(storm: str) -> None:
    """Summary and frames are those of event mode, but for what they say of sleep."""
    drawn = evenly(storm, OFTEN, traffic=False)
    lazy, event = (told(run(drawn, compiled=True, lazy=mode)) for mode in (True, False))
    assert lazy.keys() == event.keys()
    for name, said in lazy.items():
        assert _but_for_sleep(said) == event[name], name


def _but_for_sleep(said: object) -> object:
    if not isinstance(said, dict):
        return said
    return {k: v for k, v in said.items() if k != "sleep"} | {"mode": "event"}


def test_who_is_asked_for_is_up_to_date() -> None:
    """Figures of rows that sleep are those of event mode at any time, and they sleep on."""
    drawn = scenario(2, sites=6, duration_ns=4 * SECOND, faults=0)
    figures = []
    for mode in (True, False):
        world = World(drawn, 2, compiled=True, lazy=mode)
        world.run(until_ns=3 * SECOND)
        every = np.arange(world.overlay.rows)
        before = _asleep(world.sleepers)
        figures.append(np.stack(world.engine.figures(every, 3 * SECOND)).tolist())
        assert _asleep(world.sleepers) == before
        assert (before > 0) == mode
    assert figures[0] == figures[1]


def _asleep(sleepers: Sleepers | None) -> int:
    return 0 if sleepers is None else int(sleepers.asleep.sum())


def test_a_policy_without_terms_is_simulated_whole() -> None:
    """Where a pass cannot judge rows, asking for lazy mode is no error."""
    drawn = scenario(3, sites=4, duration_ns=SECOND, faults=0)
    features = replace(drawn.policy.features, sla=False)
    world = World(replace(drawn, policy=replace(drawn.policy, features=features)), 1, lazy=True)
    assert world.sleepers is None


def test_large_worlds_are_lazy_unless_told_otherwise() -> None:
    """Where passes are compiled rows may sleep, if nobody says that they must not."""
    drawn = scenario(3, sites=4, duration_ns=SECOND, faults=0)
    for lazy, asked, found in ((None, True, True), (None, False, False), (False, True, False)):
        assert (World(drawn, 1, compiled=asked, lazy=lazy).sleepers is not None) == found


def test_the_summary_says_how_much_was_simulated() -> None:
    """Share of the rows that were awake, and every reason with its count."""
    result = run(WEATHER[0], compiled=True, lazy=True)
    assert result.summary["mode"] == "lazy"
    sleep = result.summary["sleep"]
    assert 0 < sleep["awake_ppm"] < 1_000_000
    assert tuple(sleep["wakes"]) == REASONS
