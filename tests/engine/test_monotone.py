"""What becomes worse is not chosen for it, and what is added takes nothing away."""

from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.fastpath import Counter, Entry, Tunnel, steer
from patronus.engine.forwarding import NO_ROW
from patronus.engine.liveness import State
from patronus.engine.units import MS, SECOND
from patronus.sim import run
from patronus.sim.scenario import FaultKind, Selector
from tests.engine.scene import CASES, Case, Scene
from tests.sim.storms import calm, fault

WORSE = st.sets(
    st.sampled_from(["state", "drained", "verdict", "told", "metric_now", "metric_published"]),
    min_size=1,
)


def worsen(scene: Scene, row: int, how: set[str]) -> None:
    """Make one tunnel worse in some respects."""
    tunnels, ranking = scene.parts.tunnels, scene.parts.ranking
    if "state" in how:
        tunnels.state[row] = min(int(tunnels.state[row]), State.INIT)
    if "drained" in how:
        tunnels.drained[row] = True
    if "verdict" in how:
        ranking.verdict[:, row] = np.minimum(ranking.verdict[:, row] + 1, 2)
    if "told" in how:
        known = ranking.told[:, row] >= 0
        ranking.told[known, row] += 30 * MS
    for metric in ("metric_now", "metric_published"):
        if metric in how:
            values = getattr(ranking, metric)
            values[row] = min(int(values[row]) + 3 * MS, 2**42)


@settings(max_examples=70)
@given(CASES, st.integers(0, 10**6), WORSE)
def test_a_tunnel_that_became_worse_is_not_chosen_for_it(
    case: Case, which: int, how: set[str]
) -> None:
    """No entry takes a tunnel that it would leave alone were that better, whatever the policy."""
    before, after = Scene(case), Scene(case)
    row = which % before.overlay.rows
    worsen(after, row, how)
    every = np.arange(before.space.entries, dtype=np.int64)
    for scene in (before, after):
        scene.parts.steering.reselect(every)
    first, then = (scene.parts.steering.wanted.rows[:, 0] for scene in (before, after))
    assert not ((then == row) & (first != row)).any()


@settings(max_examples=70)
@given(CASES, st.integers(0, 10**6))
def test_a_tunnel_that_comes_up_leaves_no_entry_with_less(case: Case, which: int) -> None:
    """Each entry has as many ways as before, and a primary of no worse verdict."""
    before, after = Scene(case), Scene(case)
    row = which % before.overlay.rows
    for scene, state in ((before, State.DOWN), (after, State.UP)):
        scene.parts.tunnels.state[row] = state
        # With nothing in use yet: what is in use may be kept although it ranks behind.
        scene.parts.steering.wanted.rows[:] = NO_ROW
    every = np.arange(before.space.entries, dtype=np.int64)
    for scene in (before, after):
        scene.parts.steering.reselect(every)
    fewer, more = (scene.parts.steering for scene in (before, after))
    assert ((more.wanted.rows >= 0).sum(axis=1) >= (fewer.wanted.rows >= 0).sum(axis=1)).all()
    drained = after.parts.tunnels.drained
    detour = [scene.parts.steering.leads_through(every) for scene in (before, after)]
    for entry in every.tolist():
        old, new = int(fewer.wanted.rows[entry, 0]), int(more.wanted.rows[entry, 0])
        resort = old >= 0 and (drained[old] or detour[0][entry])
        if old >= 0 and not resort:
            assert more.tier[entry] <= fewer.tier[entry]
            assert not drained[new]


# ------------------------------------------------------------ packets

DETECT = 30
TUNNEL = st.builds(
    Tunnel,
    detect_ns=st.just(DETECT),
    confirmed_ns=st.integers(-DETECT - 2, 0),
    latched=st.sampled_from([False, False, True]),
)


def living(tunnels: Mapping[int, Tunnel], row: int) -> bool:
    return row >= 0 and not tunnels[row].latched and tunnels[row].confirmed_ns >= -DETECT


@given(
    st.fixed_dictionaries(dict.fromkeys(range(3), TUNNEL)),
    st.integers(0, 2),
    st.booleans(),
    st.integers(-1, 2),
)
def test_a_further_backup_never_takes_a_packet_from_a_living_tunnel(
    tunnels: dict[int, Tunnel], kept: int, drop: bool, last: int
) -> None:
    """What went through goes through as before; what did not may do so now."""
    few = [row if place < kept else NO_ROW for place, row in enumerate(range(3))]
    fewer = Entry((few[0], few[1], few[2]), drop, last)
    more = Entry((0, 1, 2), drop, last)
    old, new = (steer(entry, tunnels, 0) for entry in (fewer, more))
    if living(tunnels, old.row):
        assert new == old
    assert living(tunnels, new.row) == any(living(tunnels, row) for row in range(3))
    assert new.counter is not Counter.NO_PATH


# ------------------------------------------------------------ outages

HERE = Selector(sites=("berlin",), transports=("fabric",))
CUT = fault(FaultKind.BLACKHOLE, 801 * MS, 900 * MS, on=HERE)
SECOND_CUT = fault(
    FaultKind.BLACKHOLE, SECOND, 600 * MS, name="then",
    on=Selector(sites=("berlin",), transports=("lte",)),
)  # fmt: skip
FEW = ("fabric", "lte")
KEY = ["fault", "site", "destination", "class", "path_before"]


def test_another_transport_never_lengthens_an_outage() -> None:
    """Under the same luck every exposure of the same path is over no later, and some earlier."""
    few, more = (
        run(
            calm(CUT, SECOND_CUT, transports=names, traffic=False, duration_ns=2_500 * MS), 2
        ).failovers
        for names in (FEW, (*FEW, "satellite"))
    )
    both = few.merge(more, on=KEY, suffixes=("_few", "_more"))
    assert len(both) >= 14
    assert (both.outage_ns_more <= both.outage_ns_few).all()
    assert (both.outage_ns_more < both.outage_ns_few).any()
