"""Fans of random overlays against an argument about each entry, however small they are."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine import fanout as kernel
from tests.engine.scene import Case
from tests.engine.test_steering import Decided
from tests.mutants.harness import caught, mutant
from tests.oracles import steering as oracle
from tests.oracles.overlays import Plan


@st.composite
def hubs(draw: st.DrawFn) -> Plan:
    """Draw spokes around one or two hubs that carry their traffic; some tunnels are missing."""
    sites, lanes, inner = 5, draw(st.integers(1, 3)), draw(st.integers(1, 2))
    every = [(a, b, n) for a in range(sites) for b in range(min(a, inner)) for n in range(lanes)]
    gone = draw(st.lists(st.sampled_from(every), max_size=3)) if draw(st.booleans()) else []
    shared = draw(st.sampled_from([(), ((1, 4),), ((0,), (3, 2))]))
    # One spoke may have no tunnel to one hub, so that a hub needs the other one.
    spoke, hub = draw(st.sampled_from([(9, 9), (2, 0), (4, 0), (3, inner - 1)]))
    gone += [(spoke, hub, n) for n in range(lanes)]
    stray = [(4, 3, 0)] if draw(st.booleans()) else []
    tunnels = tuple(t for t in [*every, *stray] if t not in gone)
    return Plan(sites, lanes, tunnels, shared, tuple(range(inner)))


Shared = tuple[tuple[int, ...], ...]

CASES = st.builds(
    Case,
    hubs(),
    st.integers(0, 10**6).map(lambda n: n * 2_654_435_761 % 2**32),
    st.booleans(),
    st.just(False),  # a value to draw, no switch
)


def _star(lanes: int, missing: int, *more: tuple[int, int, int], shared: Shared, luck: int) -> Case:
    """Return spokes around the first site, one of them without tunnels, and what else there is."""
    spokes = (site for site in range(1, 5) if site != missing)
    tunnels = (*((site, 0, lane) for site in spokes for lane in range(lanes)), *more)
    return Case(Plan(5, lanes, tunnels, shared, (0,)), luck, calm=True, keep=False)


TELLING = (
    _star(2, 3, shared=(), luck=3_665_821_456),
    _star(3, 0, (4, 3, 0), shared=((1, 4),), luck=12_257_792),
    _star(3, 3, (4, 3, 0), shared=((0,), (3, 2)), luck=556_784_891),
    Case(Plan(5, 1, (), ((0,), (3, 2)), (0,)), 2_340_144_880, calm=True, keep=False),
)
"""Some mutants show in one case of a thousand; these are theirs."""


def fan_out(module: ModuleType, case: Case, fewest: int = 1) -> Decided:
    """Let an engine choose with fans for as few sites and destinations."""
    return Decided(case, fanout=module.Fanout, fewest=fewest)


@settings(max_examples=200)
@given(CASES, st.integers(1, 3))
def test_fans_hold_what_is_argued_for(case: Case, fewest: int) -> None:
    """What a fan is made of leads to the same paths as looking at each pair."""
    fan_out(kernel, case, fewest).argued(oracle)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("& ~columns.forbidden[lane]", ""),
        ("usable &= beyond.ready[self._end][:, None]", "usable &= True"),
        ("(rows != NO_ROW) & (self._tunnels.state[rows] == UP)", "rows != NO_ROW"),
        ("np.maximum(tier, beyond.tier[self._end][:, None], out=tier)", "pass"),
        ("grade += self._tunnels.drained[rows] * np.int64(DRAINED)", "pass"),
        ("if columns.drops or columns.stays or", "if columns.stays or"),
        ("columns.stays or columns.weights is not None", "columns.weights is not None"),
        ("or columns.weights is not None", ""),
        ("if not (features.transit and features.backups)", "if not features.transit"),
        ("margin_ns=policy.margin_ns if policy.features.hysteresis else 0", "margin_ns=10**9"),
        ("odd[site] |= whole > tier[column, site][:, None]", "pass"),
        ("odd[~known.all(axis=0)] = True", "pass"),
        ("(badness < METRIC_MAX).all(axis=0)", "(badness >= 0).all(axis=0)"),
        ("self._suits[self._through[self._through < sites]] = False", "pass"),
        ("self._suits |= ~(candidates.direct != NO_ROW).any(axis=0)", "self._suits |= True"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of laying out a fan wrongly is noticed."""
    broken = mutant(kernel, old, new)
    hunted = st.sampled_from(TELLING) | CASES
    assert caught(hunted, lambda case: fan_out(broken, case).argued(oracle))


def test_few_entries_are_left_to_others() -> None:
    """Fans of fewer sites or destinations than pay are not made."""
    star = Plan(3, 1, ((1, 0, 0), (2, 0, 0)), shared=(), transit=(0,))
    case = Case(star, 0, calm=True, keep=False)
    found = Decided(case)
    every = np.arange(found.scene.space.entries, dtype=np.int64)
    batch, rest = found.scene.parts.steering.whole.fanout.batch(every, found.scene.space)
    assert (len(batch.sites), rest.tolist()) == (0, every.tolist())
    fanout, space = found.scene.parts.steering.whole.fanout, found.scene.space
    fanout.fewest = 2
    own = every[space.of_site(1)]
    assert len(own) >= 4
    batch, rest = fanout.batch(own, space)
    assert (len(batch.sites), rest.tolist()) == (0, own.tolist())
