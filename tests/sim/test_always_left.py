"""Always left, and never for worse: an 80 % loss path, a one-way cut, a dead backup.

SEMANTICS: within three detect times for a cut and a dead backup; the two seconds at 80 %
loss are a percentile, which ``tests/bench/leaving.py`` measures. Here each single case
has to keep three detect times or two seconds, whichever is longer.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine import verdict
from patronus.engine.units import PPM
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.result import to_run
from patronus.sim.world import World
from tests.bench.detection import watch
from tests.bench.leaving import BAR_S, DETECT_TIMES, FAULT_NS, FAULTS, cases, pairs_of
from tests.mutants.harness import caught

Case = tuple[str, str, int]
CASES = st.tuples(
    st.sampled_from(sorted(SHIPPED)), st.sampled_from(sorted(FAULTS)), st.integers(1, 10**6)
)


def left_for_good(case: Case) -> None:
    """Check one case: left in time, and nothing that was left is taken up again."""
    profile, fault, seed = case
    journal: list[bytes] = []
    world = World(pairs_of(profile, fault, pairs=2, data=True), seed, sink=journal.append)
    cut = watch(world, FAULT_NS)
    done = to_run(world, world.run(), journal, 0.0)
    found = cases(world, cut.detect_ns)
    assert (found.left_s <= np.maximum(DETECT_TIMES * found.detect_s, BAR_S)).all()
    since = done.decisions[done.decisions.t_ns >= FAULT_NS]
    for _, moves in since[since.site.str.startswith("a")].groupby(["site", "destination"]):
        taken = [moves["from"].iloc[0], *moves["to"]]
        bad = [path for path in taken if path.startswith("x>")]
        assert len(bad) <= 1, taken
        assert len(set(taken)) == len(taken), taken


@settings(max_examples=4, deadline=None)
@given(CASES)
def test_a_bad_path_is_left_in_time_and_for_good(case: Case) -> None:
    """Whatever the profile, the fault and the luck; the traffic never returns while it lasts."""
    left_for_good(case)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(CASES)
def test_bad_paths_are_left_in_time_and_for_good(case: Case) -> None:
    """The same, many times."""
    left_for_good(case)


def test_the_property_catches_an_engine_that_bears_any_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class without limits would stay on a path that loses 80 %, or return to it."""
    monkeypatch.setattr(verdict, "OUTAGE_PPM", 2 * PPM)
    lossy = st.tuples(st.just("mpls"), st.just("80 % loss one way"), st.integers(1, 10**6))
    assert caught(lossy, left_for_good, examples=3)
