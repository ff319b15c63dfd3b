"""What tests of the fallback share."""

from collections.abc import Iterator

import pytest

from tests.dataplane.nexthops.kit import Kit, devices


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """Return a kernel with three tunnels."""
    with devices() as indices:
        made = Kit(tmp_path_factory.mktemp("memory"), indices)
        yield made
        made.channel.close()
        made.memory.close()
