"""The bench of throughput measures the ways that it names."""

from collections.abc import Iterator

import pytest

from patronus.dataplane.linux.records import Outcome
from tests.bench.throughput import KERNEL, ROUNDS, SLOTS, STEERED, Course, course

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def found(pytestconfig: pytest.Config) -> Iterator[Course]:
    """Return two routers that forward either way."""
    assert pytestconfig.cache is not None
    with course(pytestconfig.cache.mkdir("bpf"), flows=16) as made:
        yield made


def test_only_what_is_steered_passes_our_programs(found: Course) -> None:
    """Every datagram of a way arrives, and the counters of programs rise for one way alone."""
    one = found.lab.sites[1]
    with found.sink():
        assert found.datagrams(STEERED) > 0
        steered = one.counted(Outcome.STEER_PRIMARY)
        assert steered == (ROUNDS + 1) * SLOTS
        assert found.datagrams(KERNEL) > 0
        assert one.counted(Outcome.STEER_PRIMARY) == steered
