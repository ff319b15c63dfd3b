"""Shares of flows: their sixteenths, and who takes part in sharing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.engine import Engine
from patronus.engine.flowshares import PARTS, flow_shares, sixteenths
from patronus.engine.forwarding import NO_ROW
from patronus.engine.liveness import State
from patronus.engine.overlay import alone, build_overlay
from patronus.engine.policy import Policy, SlaClass, TrafficClass
from patronus.engine.verdict import VIOLATING

LANES = ("blue", "green", "red")
NO_LIMITS = SlaClass()
WEIGHTS = {"blue": 2, "green": 1, "red": 1}


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=3))
def test_sixteenths_are_the_nearest(weights: list[int]) -> None:
    """Each border between two candidates lies at the sixteenth next to its share of the weights."""
    ((first, second),) = sixteenths(np.array(weights, dtype=np.int64)[:, None]).tolist()
    total = max(sum(weights), 1)
    for upto, got in ((weights[1], first), (weights[1] + weights[2], first + second)):
        assert abs(got - PARTS * upto / total) <= 0.5 or (got == PARTS - 1 < PARTS * upto / total)
    assert min(first, second) >= 0
    assert first + second < PARTS


def engine(
    share: dict[str, int], lanes: tuple[str, ...] = LANES, sla: SlaClass = NO_LIMITS
) -> Engine:
    """Return a router's engine with a tunnel to one peer over each transport, all of them up."""
    network = build_overlay(
        sites=["here", "there"],
        transports=list(LANES),
        pairs=np.array([(0, 1, LANES.index(n)) for n in lanes], dtype=np.int64).reshape(-1, 3),
    )
    policy = Policy(classes=(TrafficClass("bulk", sla=sla, share=share), TrafficClass("rest")))
    made = Engine(alone(network, 0), policy)
    made.tunnels.state[:] = State.UP
    made.steering.reselect(np.arange(made.space.entries, dtype=np.int64))
    return made


def shares(made: Engine) -> dict[str, int]:
    """Return the sixteenths of each transport towards the peer."""
    entries, found = made.flow_shares(0)
    assert entries.tolist() == [0, 2]
    rows = made.steering.wanted.rows[entries[1]]
    parts = [PARTS - int(found[1].sum()), *found[1].tolist()]
    lane = made.overlay.transport
    return {LANES[lane[r]]: n for r, n in zip(rows.tolist(), parts, strict=True) if r != NO_ROW}


def test_equally_good_paths_share_by_weight() -> None:
    """Half, a quarter, a quarter, whichever of them was drawn as the pair's own."""
    assert shares(engine(WEIGHTS)) == {"blue": 8, "green": 4, "red": 4}


def test_paths_that_rank_lower_take_no_part() -> None:
    """What is preferred carries all; what is not named has no weight."""
    assert shares(engine(WEIGHTS, sla=SlaClass(prefer=("green",))))["green"] == PARTS
    assert shares(engine({"blue": 1, "red": 1})) == {"blue": 8, "green": 0, "red": 8}


def test_what_drains_or_breaks_the_sla_takes_no_part() -> None:
    """Nor does what is down; the rest shares by the weights that are left."""
    made = engine(WEIGHTS)
    made.tunnels.drained[0] = True
    made.steering.reselect(np.array([2], dtype=np.int64))
    assert shares(made) == {"blue": 0, "green": 8, "red": 8}
    made.ranking.verdict[0, 1] = VIOLATING
    made.steering.reselect(np.array([2], dtype=np.int64))
    assert shares(made) == {"red": 16, "blue": 0, "green": 0}
    made.tunnels.state[2] = State.DOWN
    assert shares(made) == {"red": 16, "blue": 0, "green": 0}


def test_a_router_without_tunnels_shares_nothing() -> None:
    """There is nothing to lay out."""
    made = engine(WEIGHTS, ())
    assert not flow_shares(made.steering, 0, made.policy)[1].any()


def test_without_a_sharing_class_nothing_is_asked() -> None:
    """No entries, no shares."""
    entries, found = engine({}).flow_shares(0)
    assert (entries.shape, found.shape) == ((0,), (0, 2))
