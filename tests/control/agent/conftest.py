"""What tests of real agents share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def cache(pytestconfig: pytest.Config) -> Path:
    """Return where compiled programs are kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("bpf")
