"""The bench of WireGuard's throughput measures the ways that it names."""

from collections.abc import Iterator

import pytest

from patronus.dataplane.linux.records import Outcome
from tests.bench.throughput import KERNEL, STEERED
from tests.bench.wgthroughput import DATAGRAMS, WireGuardCourse, course

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def found(pytestconfig: pytest.Config) -> Iterator[WireGuardCourse]:
    """Return two routers that lead into WireGuard either way."""
    assert pytestconfig.cache is not None
    with course(pytestconfig.cache.mkdir("bpf"), flows=16) as made:
        yield made


def test_only_what_is_steered_passes_our_programs(found: WireGuardCourse) -> None:
    """Datagrams arrive both ways, through WireGuard; our counters rise for one way alone."""
    one, passed = found.lab.sites[1], []
    with found.sink():
        for way in (STEERED, KERNEL):
            before = found.carried()
            assert found.thrown(way, 18) > 0
            passed.append(one.counted(Outcome.STEER_PRIMARY))
            assert found.carried() - before > 46 * DATAGRAMS * 0.99
    assert passed[0] == passed[1] >= DATAGRAMS * 0.99
    assert one.counted(Outcome.PROBE_RETURNED) > 0
