"""What tests of the Linux dataplane share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def compiled(pytestconfig: pytest.Config) -> Path:
    """Return where compiled programs are kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("patronus-programs")
