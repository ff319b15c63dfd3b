"""A trial of the black hole bench of each sort: a smaller tunnel MTU, and no move."""

from collections.abc import Iterator

import pytest

from tests.bench.blackhole import BARS_S, Trials
from tests.bench.gaps import Bench, bench

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module", params=["plain", "wireguard"])
def found(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[Bench]:
    """Return a fleet under traffic."""
    assert pytestconfig.cache is not None
    with bench(request.param, pytestconfig.cache.mkdir("bpf")) as made:
        yield made


def test_large_packets_pass_again_over_the_same_wan(found: Bench) -> None:
    """They are lost for a short while, then a smaller MTU lets them through where they were."""
    trials = Trials(found)
    # The bars are the bench's to hold: here other tests share the processors.
    assert trials.busy() < 3 * BARS_S["busy"]
    assert trials.moves == 0


def test_an_idle_path_is_asked_by_itself(found: Bench) -> None:
    """Nobody sends large packets, and the tunnel's MTU is lowered all the same."""
    assert Trials(found).idle() < 2 * BARS_S["idle"]
