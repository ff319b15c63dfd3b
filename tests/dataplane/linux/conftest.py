"""The programs, loaded once for all tests of this folder, with a clock that tests set."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from patronus.dataplane.linux import builder
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.objects import Object
from patronus.dataplane.linux.pins import Pins, Sizes
from tests.dataplane.linux.kit import Kit

SIZES = Sizes(
    rows=16, entries=64, flows=1024, fragments=256, prefixes=256, rule_prefixes=64, moves=1024
)


@pytest.fixture(scope="session")
def compiled(request: pytest.FixtureRequest) -> Object:
    """Compile with a clock of the tests; the results are kept from one run to the next."""
    cache: Path = request.config.cache.mkdir("bpf")  # type: ignore[union-attr]  # always there
    return builder.build(cache, ["-DTEST_CLOCK"])


@pytest.fixture(scope="session")
def pins(compiled: Object) -> Iterator[Pins]:
    """Return the pinned programs and maps."""
    name = f"patronus-bpf-test-{os.getpid()}"
    unload(name)
    try:
        with load(name, compiled, SIZES) as loaded:
            yield loaded
    finally:
        unload(name)


@pytest.fixture
def kit(pins: Pins) -> Kit:
    """Return the programs with empty maps."""
    return Kit(pins, SIZES)


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Path:
    """Return where compiled programs are kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("patronus-programs")
