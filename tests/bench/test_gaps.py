"""A few trials of the gap bench: it measures what it says, with and without agents."""

from collections.abc import Iterator

import pytest

from patronus.engine.units import MS
from tests.bench.gaps import Bench, bench
from tests.bench.grey import PATIENCE_S, brownout

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def found(pytestconfig: pytest.Config) -> Iterator[Bench]:
    """Return a fleet on plain tunnels, under traffic."""
    assert pytestconfig.cache is not None
    with bench("plain", pytestconfig.cache.mkdir("bpf")) as made:
        yield made


@pytest.mark.parametrize(
    ("ways", "state"),
    [(("out", "in"), "running"), (("out",), "both-stopped"), (("in",), "A-killed")],
)
def test_a_cut_costs_a_short_gap(found: Bench, ways: tuple[str, ...], state: str) -> None:
    """Each stream that is cut loses something and goes on over the other wan; others lose less."""
    taken = found.trial(ways, state)
    # The bars are the bench's to hold: here other tests share the processors.
    assert all(10 * MS < gap.ns < 300 * MS for way in ways for gap in taken[way]), taken
    assert all(8 < gap.lost < 300 for way in ways for gap in taken[way]), taken


def test_no_cut_is_no_gap(found: Bench) -> None:
    """What is measured is loss: without any the gap is nothing."""
    assert found.trial((), "running") == {"out": [(0, 0)] * 2, "in": [(0, 0)] * 2}


def test_a_fifth_lost_is_left(found: Bench) -> None:
    """A class that forbids loss leaves the wan, and the time is of the user's packets."""
    assert 0 < brownout(found, "out", "lost") < PATIENCE_S
